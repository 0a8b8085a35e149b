/** `<admin-figures>`: what waits, for how long, and what is under way. */

import { fill, h } from "./dom.js";
import { count, span } from "./format.js";
import { asAdmin } from "./server.js";

const LONG_SECONDS = 60;
const NAMES = ["Queued", "Oldest waits", "In progress", "Scheduled", "Held"];

class AdminFigures extends HTMLElement {
  connectedCallback() {
    fill(this, NAMES.map((name) => figure(name, "–")));
  }

  async refresh() {
    const queue = await asAdmin("GET", "/api/admin/queue");
    const age = queue.oldest_at === null ? 0 : (Date.now() - Date.parse(queue.oldest_at)) / 1000;
    const [queued, oldest, running, scheduled, held] = NAMES;
    fill(
      this,
      figure(queued, count(queue.queued)),
      figure(oldest, queue.oldest_at === null ? "–" : span(Math.max(age, 0)), age > LONG_SECONDS),
      figure(running, count(queue.in_progress)),
      figure(scheduled, count(queue.scheduled)),
      figure(held, count(queue.held), queue.held > 0),
    );
  }
}

/** @param {string} name @param {string} value @param {boolean} [warns] */
function figure(name, value, warns = false) {
  return h("div", { class: warns ? "tile is-warning" : "tile" }, h("span", { class: "dim" }, name), h("strong", {}, value));
}

customElements.define("admin-figures", AdminFigures);
