/** `<held-videos>`: videos that wait for an operator, and the three things that can be decided. */

import { fill, h } from "./dom.js";
import { holdText, money, timeAgo } from "./format.js";
import { asAdmin } from "./server.js";
import { complain, toast } from "./toasts.js";

class HeldVideos extends HTMLElement {
  #shown = "";

  async refresh() {
    const { data } = await asAdmin("GET", "/api/admin/held");
    const state = JSON.stringify(data);
    if (state === this.#shown) return; // somebody may be typing an id
    this.#shown = state;
    fill(this, data.length === 0 ? h("p", { class: "dim" }, "Nothing waits for a decision.") : h("ul", { class: "held", role: "list" }, data.map((/** @type {any} */ video) => this.#item(video))));
  }

  /** @param {any} video */
  #item(video) {
    const id = h("input", { "aria-label": "The id that the provider knows it by", placeholder: "Id at the provider", maxlength: 500 });
    const decide = async (/** @type {string} */ decision, /** @type {object} */ more = {}) => {
      try {
        await asAdmin("POST", `/api/admin/held/${video.id}`, { decision, ...more });
        toast(`Decided: ${decision}.`);
        await this.refresh();
      } catch (error) {
        complain(error, "Not decided.");
      }
    };
    const adopt = () => decide("adopt", { provider_video_id: id.value.trim() });
    const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ run) => h("button", { class: "quiet", type: "button", title, onclick: run }, text);
    return h(
      "li",
      {},
      h("div", {}, h("strong", {}, video.prompt.slice(0, 120)), h("p", { class: "dim small" }, `${video.user_id} · ${video.model} · ${money(video.cost_estimated)} · ${video.attempt.provider} · sent `, timeAgo(video.attempt.sent_at)), h("p", { class: "small" }, holdText(video.hold_reason))),
      h("div", { class: "row" }, id, button("Adopt", "The provider has it, under this id: follow it", adopt), button("Retry", "The provider has not got it: submit it again", () => decide("retry")), button("Fail", "Give it up; the quota gets it back", () => decide("fail"))),
    );
  }
}

customElements.define("held-videos", HeldVideos);
