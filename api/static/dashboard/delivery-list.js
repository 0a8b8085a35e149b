/** `<delivery-list>`: the latest webhook messages of all users, and what their receivers said. */

import { fill, h } from "./dom.js";
import { timeAgo } from "./format.js";
import { asAdmin } from "./server.js";

/** @type {Record<string, string>} */
const LOOKS = { delivered: "completed", failed: "failed", pending: "queued" };

class DeliveryList extends HTMLElement {
  #shown = "";

  async refresh() {
    const { data } = await asAdmin("GET", "/api/admin/deliveries?limit=20");
    const state = JSON.stringify(data);
    if (state === this.#shown) return;
    this.#shown = state;
    fill(this, data.length === 0 ? h("p", { class: "dim" }, "No message was sent yet.") : table(data));
  }
}

/** @param {any[]} deliveries */
function table(deliveries) {
  const names = ["State", "Event", "Receiver", "Tries", "Answer", "Made"].map((name) => h("th", { scope: "col" }, name));
  const rows = deliveries.map((one) =>
    h(
      "tr",
      {},
      h("td", {}, h("span", { class: "chip", "data-status": LOOKS[one.state] }, one.state)),
      h("td", {}, one.type),
      h("td", { class: "receiver" }, one.url ?? one.endpoint_id),
      h("td", {}, one.attempts),
      h("td", {}, one.status_code ?? one.error ?? "–"),
      h("td", { class: "dim" }, timeAgo(one.created_at)),
    ),
  );
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Webhook deliveries" }, h("table", {}, h("thead", {}, h("tr", {}, names)), h("tbody", {}, rows)));
}

customElements.define("delivery-list", DeliveryList);
