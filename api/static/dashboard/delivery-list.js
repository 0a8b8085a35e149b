/** `<delivery-list>`: the latest webhook messages of all users, and what their receivers said. */

import { fill, h, need } from "./dom.js";
import { timeAgo } from "./format.js";
import { asAdmin } from "./server.js";
import { complain, toast } from "./toasts.js";

/** How states look, and what they are called. @type {Record<string, [string, string]>} */
const STATES = { delivered: ["completed", "Delivered"], failed: ["failed", "Failed"], pending: ["queued", "Pending"] };
const COLUMNS = ["State", "Event", "Receiver", "Tries", "Answer", "Made", ""];

class DeliveryList extends HTMLElement {
  #shown = "";
  #state = h("select", { "aria-label": "State", onchange: () => this.refresh() });
  #rows = h("div");

  connectedCallback() {
    this.#state.append(new Option("All states", ""), ...Object.entries(STATES).map(([value, [, name]]) => new Option(name, value)));
    need(".choice", /** @type {Element} */ (this.closest("section"))).append(this.#state);
    fill(this, this.#rows);
  }

  async refresh() {
    const asked = this.#state.value;
    const { data } = await asAdmin("GET", `/api/admin/deliveries?limit=20${asked && `&state=${asked}`}`);
    const state = JSON.stringify(data);
    if (state === this.#shown) return;
    this.#shown = state;
    const focused = this.querySelector(":focus")?.getAttribute("data-delivery");
    fill(this.#rows, data.length === 0 ? h("p", { class: "dim" }, asked ? "There is none." : "No message was sent yet.") : this.#table(data));
    if (focused) /** @type {HTMLElement | null} */ (this.querySelector(`[data-delivery="${focused}"]`))?.focus();
  }

  /** @param {any[]} deliveries */
  #table(deliveries) {
    const names = COLUMNS.map((name) => h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Send again")));
    const rows = deliveries.map((one) => this.#row(one));
    return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Webhook deliveries" }, h("table", {}, h("thead", {}, h("tr", {}, names)), h("tbody", {}, rows)));
  }

  /** @param {any} one */
  #row(one) {
    const [look, name] = STATES[one.state];
    const receiver = one.url ?? one.endpoint_id;
    return h(
      "tr",
      {},
      h("td", {}, h("span", { class: "chip", "data-status": look }, name)),
      h("td", {}, one.type),
      h("td", { class: "receiver", title: receiver }, receiver),
      h("td", {}, one.attempts),
      h("td", { class: "receiver", title: one.error }, one.status_code ?? one.error ?? "–"),
      h("td", { class: "dim nowrap" }, timeAgo(one.created_at)),
      h("td", { class: "number" }, h("button", { class: "quiet", type: "button", "data-delivery": one.id, onclick: () => this.#resend(one), "aria-label": `Send again: ${one.type} to ${receiver}` }, "Send again")),
    );
  }

  /** @param {any} one */
  async #resend(one) {
    try {
      await asAdmin("POST", `/api/webhooks/deliveries/${one.id}/resend`);
      toast("It is sent again, from the beginning of its schedule.");
      await this.refresh();
    } catch (error) {
      complain(error, "Not sent.");
    }
  }
}

customElements.define("delivery-list", DeliveryList);
