/** `<provider-list>`: what the providers do, and the switch that pauses them. */

import { fill, h } from "./dom.js";
import { count, timeAgo } from "./format.js";
import { asAdmin } from "./server.js";
import { complain } from "./toasts.js";

class ProviderList extends HTMLElement {
  async refresh() {
    this.#paint((await asAdmin("GET", "/api/admin/providers")).data);
  }

  /** @param {any[]} providers */
  #paint(providers) {
    const focused = this.querySelector(":focus")?.getAttribute("data-provider");
    fill(this, h("ul", { class: "providers", role: "list" }, providers.map((one) => this.#item(one))));
    if (focused) /** @type {HTMLElement | null} */ (this.querySelector(`[data-provider="${CSS.escape(focused)}"]`))?.focus();
  }

  /** @param {any} one */
  #item(one) {
    const turn = async () => {
      const act = one.paused ? "resume" : "pause";
      try {
        const body = one.paused ? undefined : { reason: "paused on the dashboard" };
        this.#paint((await asAdmin("POST", `/api/admin/providers/${encodeURIComponent(one.name)}/${act}`, body)).data);
      } catch (error) {
        complain(error, "Not done.");
      }
    };
    const load = one.max_in_flight === null ? count(one.in_flight) : `${count(one.in_flight)} of ${count(one.max_in_flight)}`;
    const facts = [`${load} in flight`, `${count(one.admitted)} admitted`, one.rpm && `${count(one.rpm)} a minute`, one.unclaimed > 0 && `${count(one.unclaimed)} unclaimed`, one.duplicates > 0 && `${count(one.duplicates)} duplicates`];
    return h(
      "li",
      {},
      h("div", {}, h("p", { class: "row" }, h("strong", {}, one.name), h("span", { class: "dim" }, one.profile), h("span", { class: "chip", "data-status": one.paused ? "held" : "completed" }, one.paused ? "Paused" : "Working")), h("p", { class: "dim small" }, facts.filter(Boolean).join(" · ")), one.paused && h("p", { class: "small" }, one.pause_reason, one.paused_until && h("span", {}, ", until ", timeAgo(one.paused_until)))),
      h("button", { class: "quiet", type: "button", "data-provider": one.name, "aria-label": `${one.paused ? "Resume" : "Pause"} ${one.name}`, onclick: turn }, one.paused ? "Resume" : "Pause"),
    );
  }
}

customElements.define("provider-list", ProviderList);
