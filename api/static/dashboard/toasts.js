/** `<toast-stack>`: short messages that go by themselves. Errors are read out at once. */

import { fill, h, icon } from "./dom.js";
import { ApiError } from "./server.js";

const STAYS_MS = 6000;
const ERROR_STAYS_MS = 12_000;

/**
 * @typedef {object} Toast
 * @property {string} [title]
 * @property {boolean} [error]
 * @property {number} [ms] how long it stays
 * @property {{label: string, run: () => void}} [action]
 * @property {() => void} [ended] called when it went without its action
 */

class ToastStack extends HTMLElement {
  #polite = h("div", { role: "status", class: "toasts" });
  #urgent = h("div", { role: "alert", class: "toasts" });

  connectedCallback() {
    fill(this, this.#urgent, this.#polite);
    // Above dialogs, too: those are in the top layer, where z-index does not reach.
    this.setAttribute("popover", "manual");
    this.showPopover();
  }

  /** @param {string} message @param {Toast} options */
  show(message, { title, error = false, ms = error ? ERROR_STAYS_MS : STAYS_MS, action, ended }) {
    const timer = setTimeout(() => leave(true), ms);
    const leave = (/** @type {boolean} */ unused) => {
      clearTimeout(timer);
      toast.remove();
      if (unused) ended?.();
    };
    const act = action && (() => { leave(false); action.run(); });
    const toast = h(
      "div",
      { class: error ? "toast is-error" : "toast" },
      error && icon("warning"),
      h("p", {}, title && h("strong", {}, title, " "), message),
      action && h("button", { class: "quiet", type: "button", onclick: act }, action.label),
      h("button", { class: "plain", type: "button", "aria-label": "Close this message", onclick: () => leave(true) }, icon("close")),
    );
    if (action) toast.style.setProperty("--stays", `${ms}ms`);
    this.#raise();
    (error ? this.#urgent : this.#polite).append(toast);
  }

  /** The last one to enter the top layer lies on top of it. */
  #raise() {
    if (document.querySelector("dialog[open]") === null) return;
    this.hidePopover();
    this.showPopover();
  }
}

customElements.define("toast-stack", ToastStack);

/**
 * @param {string} message
 * @param {Toast} [options]
 */
export function toast(message, options = {}) {
  /** @type {ToastStack} */ (document.querySelector("toast-stack")).show(message, options);
}

/**
 * Shows why something did not work, in the server's own words.
 *
 * @param {unknown} error
 * @param {string} title what did not work
 */
export function complain(error, title) {
  if (!(error instanceof ApiError)) throw error;
  if (error.status !== 401) toast(error.message, { title, error: true });
}
