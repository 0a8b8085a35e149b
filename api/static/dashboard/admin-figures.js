/** `<admin-figures>`: what waits, for how long, and what is under way. */

import { fill, h } from "./dom.js";
import { count, span } from "./format.js";
import { asAdmin } from "./server.js";

const LONG_SECONDS = 60;

class AdminFigures extends HTMLElement {
  async refresh() {
    const queue = await asAdmin("GET", "/api/admin/queue");
    const age = queue.oldest_at === null ? 0 : (Date.now() - Date.parse(queue.oldest_at)) / 1000;
    fill(
      this,
      figure("Queued", count(queue.queued)),
      figure("Oldest waits", queue.oldest_at === null ? "–" : span(Math.max(age, 0)), age > LONG_SECONDS),
      figure("In progress", count(queue.in_progress)),
      figure("Scheduled", count(queue.scheduled)),
      figure("Held", count(queue.held), queue.held > 0),
    );
  }
}

/** @param {string} name @param {string} value @param {boolean} [warns] */
function figure(name, value, warns = false) {
  return h("div", { class: warns ? "tile is-warning" : "tile" }, h("span", { class: "dim" }, name), h("strong", {}, value));
}

customElements.define("admin-figures", AdminFigures);
