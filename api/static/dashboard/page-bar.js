/** `<page-bar>`: who is signed in, the way to the admin's page, and whether the server is heard. */

import { fill, h, need } from "./dom.js";
import { live } from "./live.js";
import { call, keyless } from "./server.js";

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
    fill(
      need("[data-user]", this),
      h("span", { class: "who", title: who.role }, who.user_id),
      !keyless && h("button", { class: "quiet", type: "button", onclick: leave }, "Sign out"),
    );
  }

  #heard() {
    const light = need("[data-light]", this);
    light.dataset.light = live.state;
    light.textContent = STATES[live.state];
  }
}

customElements.define("page-bar", PageBar);
