/** `<video-filters>`: the controls above the gallery. Event `filtered` (detail: the filters). */

import { need, soon } from "./dom.js";
import { areSet, readFilters, writeFilters } from "./filters.js";
import { count } from "./format.js";
import { live } from "./live.js";
import { get, withUser } from "./server.js";

const TYPING_MS = 250;
const COUNTS_MS = 800;

class VideoFilters extends HTMLElement {
  #form = /** @type {HTMLFormElement} */ (need("form", this));
  #countSoon = soon(() => this.count(), COUNTS_MS);

  connectedCallback() {
    const typed = soon(() => this.#changed(), TYPING_MS);
    this.#form.addEventListener("input", typed);
    this.#form.addEventListener("change", () => this.#changed());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("reset", () => setTimeout(() => this.#changed()));
    addEventListener("popstate", () => this.#restore());
    live.addEventListener("heard", (event) => {
      if (/** @type {CustomEvent} */ (event).detail?.event_type !== "progress") this.#countSoon();
    });
    this.#restore();
  }

  /** @param {import("./types.js").Model[]} models */
  set models(models) {
    const select = need("[name=model]", this);
    select.replaceChildren(new Option("Any model", ""), ...models.map(({ id }) => new Option(id, id)));
    select.value = readFilters().model;
  }

  /** Shows how many videos there are of each status. */
  async count() {
    try {
      const stats = await get(`/api/stats?${withUser(new URLSearchParams())}`);
      const counts = { ...stats, all: stats.total - stats.archived };
      for (const badge of this.querySelectorAll("[data-count]")) {
        badge.textContent = count(counts[/** @type {HTMLElement} */ (badge).dataset.count ?? ""]);
      }
    } catch {
      // The counts are decoration: they come with the next change.
    }
  }

  #restore() {
    const filters = readFilters();
    for (const [name, value] of Object.entries(filters)) {
      const field = /** @type {HTMLInputElement | RadioNodeList} */ (this.#form.elements.namedItem(name));
      field.value = value;
    }
    this.#announce(filters);
  }

  #changed() {
    const given = /** @type {any} */ (Object.fromEntries(new FormData(this.#form)));
    writeFilters(given);
    this.#announce(given);
  }

  /** @param {import("./filters.js").Filters} filters */
  #announce(filters) {
    need("[type=reset]", this).hidden = !areSet(filters);
    this.dispatchEvent(new CustomEvent("filtered", { detail: filters }));
  }
}

customElements.define("video-filters", VideoFilters);
