/** `<held-videos>`: videos that wait for an operator, and the three things that can be decided. */

import { fill, h } from "./dom.js";
import { holdText, money, timeAgo } from "./format.js";
import { asAdmin } from "./server.js";
import { complain, toast } from "./toasts.js";

/** @type {Record<string, string>} */
const DECIDED = { adopt: "It is being looked up at the provider.", retry: "It is submitted again.", fail: "It has failed; the quota has its place back." };

class HeldVideos extends HTMLElement {
  /** Items that have not changed stay: somebody may be typing an id. @type {Map<string, HTMLElement>} */
  #items = new Map();

  async refresh() {
    const { data } = await asAdmin("GET", "/api/admin/held");
    this.#items = new Map(data.map((/** @type {any} */ video) => {
      const state = JSON.stringify(video);
      return [state, this.#items.get(state) ?? this.#item(video)];
    }));
    if (data.length === 0) fill(this, h("p", { class: "dim" }, "Nothing waits for a decision."));
    else this.#show([...this.#items.values()]);
  }

  /** Without moving what is there already: that would take the focus from it. @param {HTMLElement[]} items */
  #show(items) {
    const list = this.querySelector("ul") ?? h("ul", { class: "held", role: "list" });
    for (const old of [...list.children]) if (!items.includes(old)) old.remove();
    items.forEach((item, n) => list.children[n] === item || list.insertBefore(item, list.children[n] ?? null));
    if (list.parentElement !== this) fill(this, list);
  }

  /** @param {any} video */
  #item(video) {
    const decide = async (/** @type {string} */ decision, /** @type {object} */ more = {}) => {
      try {
        await asAdmin("POST", `/api/admin/held/${video.id}`, { decision, ...more });
        toast(DECIDED[decision]);
        await this.refresh();
      } catch (error) {
        complain(error, "Not decided.");
      }
    };
    const { attempt } = video;
    const user = `/?user=${encodeURIComponent(video.user_id)}`;
    return h(
      "li",
      {},
      h("h3", { dir: "auto" }, h("a", { href: `${user}&video=${video.id}` }, video.prompt)),
      h("p", { class: "dim small" }, h("a", { href: user }, video.user_id), ` · ${video.model} · ${money(video.cost_estimated)} · sent to ${attempt.provider} `, timeAgo(attempt.sent_at)),
      h("p", {}, holdText(video.hold_reason), attempt.error && h("span", { class: "dim" }, " ", attempt.error)),
      h("details", {}, h("summary", {}, "Decide"), decisions(video, decide)),
    );
  }
}

/** @param {any} video @param {(decision: string, more?: object) => void} decide */
function decisions(video, decide) {
  const id = h("input", { name: "provider_video_id", "aria-label": "Its id there", placeholder: "Its id there", maxlength: 500, required: true, autocomplete: "off", spellcheck: "false" });
  const adopt = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    decide("adopt", { provider_video_id: id.value.trim() });
  };
  const { provider } = video.attempt;
  return h(
    "div",
    { class: "decisions" },
    // What was sent to an account that is gone cannot be fetched from it.
    video.hold_reason !== "account_gone" &&
      choice(`${provider} has it`, "It goes on from there and is paid once. Look in its log or on its bill for the id.", h("form", { class: "row", onsubmit: adopt }, id, h("button", { class: "quiet", type: "submit" }, "Adopt"))),
    choice(`${provider} has not got it`, "It is submitted again. Should the provider have it after all, it is paid twice.", h("button", { class: "quiet", type: "button", onclick: () => decide("retry") }, "Retry")),
    choice("Nobody can tell", "It fails and is not paid again; its user may ask for another one.", h("button", { class: "quiet", type: "button", onclick: () => decide("fail") }, "Fail")),
  );
}

/** @param {string} title @param {string} means @param {HTMLElement} way */
function choice(title, means, way) {
  return h("div", {}, h("strong", {}, title), h("p", { class: "dim small" }, means), way);
}

customElements.define("held-videos", HeldVideos);
