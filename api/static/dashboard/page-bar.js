/** `<page-bar>`: who is signed in, the way to the admin's page, and whether the server is heard. */

import { fill, h, need } from "./dom.js";
import { live } from "./live.js";
import { call, keyless, session } from "./server.js";

/** Whoever comes without a key, where that is allowed. */
const ANONYMOUS = "anonymous";
const STATES = {
  starting: "Connecting…",
  live: "Live",
  polling: "Checking every few seconds",
  offline: "Offline – trying again",
};

class PageBar extends HTMLElement {
  connectedCallback() {
    live.addEventListener("state", () => this.#heard());
    this.#heard();
  }

  /** @param {import("./types.js").Session} who */
  set session(who) {
    need("[data-admin]", this).hidden = who.role !== "admin" && !keyless;
    const leave = async () => {
      await call("DELETE", "/session");
      location.reload();
    };
    const out = h("button", { class: "quiet", type: "button", onclick: leave }, "Sign out");
    const ask = () => session.dispatchEvent(new Event("signed-out"));
    const enter = h("button", { class: "quiet", type: "button", onclick: ask }, "Sign in");
    fill(
      need("[data-user]", this),
      h("span", { class: "who", title: who.role }, who.user_id),
      !keyless && (who.user_id === ANONYMOUS ? enter : out),
    );
  }

  #heard() {
    const light = need("[data-light]", this);
    light.dataset.light = live.state;
    light.textContent = STATES[live.state];
  }
}

customElements.define("page-bar", PageBar);
