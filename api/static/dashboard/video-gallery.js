/** `<video-gallery>`: the videos that the filters let through, newest first, more as one scrolls. */

import "./video-card.js";
import { fill, h, icon, need } from "./dom.js";
import { areSet, asQuery, matches, readFilters } from "./filters.js";
import { get, looked } from "./server.js";
import { store } from "./store.js";

/** @typedef {import("./types.js").Video} Video */

const PAGE = 24;

class VideoGallery extends HTMLElement {
  #list = h("ul", { class: "grid", role: "list" });
  #state = h("div", { class: "gallery-state", role: "status" });
  #end = h("div", { class: "gallery-end" });
  #filters = readFilters();
  /** @type {string | null} */
  #cursor = null;
  #asked = new AbortController();
  #busy = false;
  /** Whether the last page could not be read: news of single videos does not hide that. */
  #broken = false;
  /** @type {Map<string, HTMLLIElement>} */
  #items = new Map();

  connectedCallback() {
    fill(this, this.#list, this.#state, this.#end);
    store.addEventListener("video", (event) => this.#put(/** @type {CustomEvent} */ (event).detail));
    store.addEventListener("gone", (event) => this.#drop(/** @type {CustomEvent} */ (event).detail));
    const seen = (/** @type {IntersectionObserverEntry[]} */ [entry]) => {
      if (entry.isIntersecting && this.#cursor !== null) this.#more();
    };
    new IntersectionObserver(seen, { rootMargin: "800px" }).observe(this.#end);
  }

  /** Begins anew. @param {import("./filters.js").Filters} filters */
  async show(filters) {
    this.#filters = filters;
    this.#asked.abort();
    this.#asked = new AbortController();
    this.#busy = false;
    this.#cursor = null;
    if (this.#items.size === 0) this.#skeleton();
    this.classList.add("is-loading");
    await this.#more(true);
  }

  /** @param {boolean} [anew] in place of what is shown */
  async #more(anew = false) {
    if (this.#busy) return;
    this.#busy = true;
    this.#broken = false;
    const { signal } = this.#asked;
    const query = asQuery(this.#filters);
    query.set("limit", String(PAGE));
    if (this.#cursor !== null) query.set("cursor", this.#cursor);
    try {
      const page = await get(`/api/videos?${query}`, { signal });
      if (anew) this.#clear();
      this.#cursor = page.next_cursor;
      for (const video of page.data) this.#put(store.put(video), true);
      this.#settle();
      // What was heard of while the page was on its way may not be in it.
      if (anew) for (const video of store.all()) this.#put(video);
    } catch (error) {
      if (signal.aborted) return;
      this.#failed(/** @type {Error} */ (error), anew);
    }
    this.#busy = false;
    // A page may be shorter than the window.
    if (this.#cursor !== null && this.#end.getBoundingClientRect().top < innerHeight + 400) this.#more();
  }

  #clear() {
    this.#items.clear();
    this.#list.replaceChildren();
  }

  #settle() {
    this.classList.remove("is-loading");
    if (this.#broken) return;
    if (this.#items.size > 0) {
      fill(this.#state);
    } else if (areSet(this.#filters)) {
      fill(this.#state, icon("search"), h("p", {}, "No video matches these filters."));
    } else {
      fill(this.#state, icon("film"), h("p", {}, h("strong", {}, "No videos yet.")), looked === null && this.#beginning());
    }
    if (this.#cursor !== null) fill(this.#state, h("p", { class: "dim" }, "Loading more…"));
  }

  /** How one gets a first video. */
  #beginning() {
    const prompts = [
      "A paper boat sails down a rainy street, past reflections of neon signs",
      "A red kite over a grassy park, seen from the tip of a pine",
      "Steam rises from a bowl of ramen at a night market, slow push in",
    ];
    const choose = (/** @type {string} */ prompt) => {
      const field = need("#prompt");
      field.value = prompt;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.focus();
    };
    const buttons = prompts.map((prompt) => h("button", { class: "quiet", type: "button", onclick: () => choose(prompt) }, prompt));
    const how = "Write a prompt, or begin with one of these. The video appears here while it is made.";
    return h("div", { class: "examples" }, h("p", { class: "dim" }, how), buttons);
  }

  #skeleton() {
    fill(this.#state);
    this.#list.replaceChildren(...Array.from({ length: 6 }, () => h("li", { class: "ghost", "aria-hidden": "true" })));
  }

  /** @param {Error} error @param {boolean} anew */
  #failed(error, anew) {
    this.classList.remove("is-loading");
    this.#broken = true;
    if (anew && this.#items.size === 0) this.#list.replaceChildren();
    const again = () => (anew ? this.show(this.#filters) : this.#more());
    fill(this.#state, icon("warning"), h("p", {}, error.message), h("button", { class: "quiet", type: "button", onclick: again }, "Try again"));
  }

  /**
   * @param {Video} video
   * @param {boolean} [paged] came with a page; else it is news
   */
  #put(video, paged = false) {
    const item = this.#items.get(video.id);
    if (!matches(this.#filters, video) || store.isHidden(video.id)) {
      if (item) this.#drop(video.id);
    } else if (item) {
      need("video-card", item).video = video;
    } else if (paged || !this.classList.contains("is-loading")) {
      this.#insert(video, !paged);
    }
  }

  /** @param {Video} video @param {boolean} fresh */
  #insert(video, fresh) {
    const after = [...this.#items.entries()].find(([id]) => isOlder(/** @type {Video} */ (store.get(id)), video));
    if (after === undefined && fresh && this.#cursor !== null) return; // comes with a later page
    const card = h("video-card");
    const item = h("li", { class: fresh ? "is-new" : null }, card);
    card.video = video;
    this.#list.insertBefore(item, after?.[1] ?? null);
    this.#items.set(video.id, item);
    if (after !== undefined) this.#sort();
    if (fresh) this.#settle();
  }

  /** Keeps the map in the order of the list. */
  #sort() {
    const newest = [...this.#items.keys()].sort((a, b) => (isOlder(/** @type {any} */ (store.get(a)), /** @type {any} */ (store.get(b))) ? 1 : -1));
    this.#items = new Map(newest.map((id) => [id, /** @type {HTMLLIElement} */ (this.#items.get(id))]));
  }

  /** @param {string} id */
  #drop(id) {
    const item = this.#items.get(id);
    if (item === undefined) return;
    this.#items.delete(id);
    item.remove();
    this.#settle();
  }
}

/** @param {Video} a @param {Video} b */
const isOlder = (a, b) => a.created_at < b.created_at || (a.created_at === b.created_at && a.id < b.id);

customElements.define("video-gallery", VideoGallery);
