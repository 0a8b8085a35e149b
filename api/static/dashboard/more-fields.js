/** `<more-fields>`: what few people ask for, folded away; folded, it says what is set. */

import { need } from "./dom.js";
import { moment } from "./format.js";

const ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone;
const UTC = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

class MoreFields extends HTMLElement {
  #fold = /** @type {HTMLDetailsElement} */ (need("details", this));
  #quality = /** @type {HTMLInputElement} */ (need("#quality", this));
  #start = /** @type {HTMLInputElement} */ (need("#run_at", this));
  #priority = /** @type {HTMLInputElement} */ (need("#priority", this));
  #webhook = /** @type {HTMLInputElement} */ (need("#webhook_url", this));

  connectedCallback() {
    this.addEventListener("input", () => this.#tell());
    this.#tell();
  }

  /** Whether the chosen model has qualities. @param {boolean} offered */
  set quality(offered) {
    this.#quality.disabled = !offered;
    need("#quality-field", this).hidden = !offered;
    this.#tell();
  }

  /** @returns {Record<string, string | number>} what was set, in the words of the API */
  get wish() {
    const run_at = this.#start.value && new Date(this.#start.value).toISOString();
    const quality = this.#quality.disabled ? "" : this.#quality.value.trim();
    const all = { quality, run_at, priority: Number(this.#priority.value), webhook_url: this.#webhook.value.trim() };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== "" && value !== 0));
  }

  /** Forgets the time to start: the next video is not meant to wait for it, too. */
  clear() {
    this.#start.value = "";
    this.#tell();
  }

  /** Shows a field that is folded away. */
  unfold() {
    this.#fold.open = true;
  }

  #tell() {
    const { quality, run_at, priority, webhook_url } = this.wish;
    const start = run_at === undefined ? null : new Date(run_at);
    need("#run_at-hint", this).textContent = start === null ? `Your time: ${ZONE}` : `${UTC.format(start)} UTC`;
    const set = [quality, run_at && `from ${moment(String(run_at))}`, priority && `priority ${priority}`, webhook_url && "webhook"];
    need("summary .dim", this).textContent = set.filter(Boolean).join(", ");
  }
}

customElements.define("more-fields", MoreFields);
