/** `<quota-meter>`: videos and dollars of this month, with a warning near the limit. */

import { fill, h, icon, soon } from "./dom.js";
import { count, day, money } from "./format.js";
import { live } from "./live.js";
import { get, looked } from "./server.js";

const NEAR = 0.8;
const MATTERS = new Set(["created", "remixed", "retried", "completed", "failed", "cancelled", "charged"]);

class QuotaMeter extends HTMLElement {
  #again = soon(() => this.refresh(), 400);

  connectedCallback() {
    live.addEventListener("heard", (event) => {
      const news = /** @type {CustomEvent} */ (event).detail;
      if (news === null || MATTERS.has(news.event_type)) this.#again();
    });
  }

  /** Looks again. */
  async refresh() {
    try {
      this.#paint(await get(looked === null ? "/api/quota" : `/api/users/${encodeURIComponent(looked)}/quota`));
    } catch {
      // The old figures are better than none; whether the server is there, others say.
    }
  }

  /** @param {import("./types.js").Quota} quota */
  #paint(quota) {
    const videos = share(quota.used, quota.limit);
    const spend = quota.cost_limit === null ? 0 : share(quota.cost_used, quota.cost_limit);
    const most = Math.max(videos, spend);
    this.dataset.level = most >= 1 ? "over" : most >= NEAR ? "near" : "fine";
    const until = `Starts anew on ${day(quota.reset_at)}.`;
    fill(
      this,
      most >= NEAR && icon("warning"),
      figure("Videos this month", `${count(quota.used)} of ${count(quota.limit)} videos`, videos, until),
      figure("Spend this month", quota.cost_limit === null ? `${money(quota.cost_used)} spent` : `${money(quota.cost_used)} of ${money(quota.cost_limit)}`, quota.cost_limit === null ? null : spend, until),
      most >= NEAR && h("span", { class: "hint" }, most >= 1 ? `Limit reached. ${until}` : "Near the limit."),
    );
  }
}

/** @param {number} used @param {number} limit */
const share = (used, limit) => (limit === 0 ? 1 : used / limit);

/** @param {string} name @param {string} text @param {number | null} part @param {string} title */
function figure(name, text, part, title) {
  return h("span", { class: "figure", title }, h("span", {}, text), part !== null && h("meter", { min: 0, max: 1, high: NEAR, value: Math.min(part, 1), "aria-label": name }));
}

customElements.define("quota-meter", QuotaMeter);
