/**
 * Keeps the store up to date: by the stream of events, and by asking every few seconds while that
 * is cut. Event `state`: whether it is `live`, `polling` or `offline`; event `heard`: something has
 * happened (detail: the event).
 */

import { ApiError, get, looked, withUser } from "./server.js";
import { store } from "./store.js";

const POLL_MS = 3000;
const REOPEN_MS = 5000;
const TYPES = [
  "created", "remixed", "retried", "status_changed", "progress", "completed", "thumbnail_ready",
  "failed", "cancelled", "deleted", "archived", "unarchived", "held", "released", "charged", "purged",
];

class Live extends EventTarget {
  /** @type {"starting" | "live" | "polling" | "offline"} */
  state = "starting";
  /** @type {EventSource | null} */
  #source = null;
  #timer = 0;
  #reopen = 0;

  constructor() {
    super();
    // A connection that nothing comes over looks like one over which nothing happens.
    addEventListener("offline", () => this.become("offline"));
    addEventListener("online", () => this.#again());
  }

  start() {
    this.stop();
    if (looked !== null) {
      this.#ask(); // a stream tells of one's own videos
      return;
    }
    const source = new EventSource("/api/events/stream");
    this.#source = source;
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("error", () => this.#cut(source));
    source.addEventListener("snapshot", (event) => this.#snapshot(JSON.parse(event.data).videos));
    for (const type of TYPES) {
      source.addEventListener(type, (event) => this.#heard(JSON.parse(event.data)));
    }
  }

  stop() {
    this.#source?.close();
    this.#source = null;
    clearInterval(this.#timer);
    clearTimeout(this.#reopen);
    this.#timer = 0;
  }

  #opened() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.become("live");
  }

  /** @param {EventSource} source */
  #cut(source) {
    this.#ask();
    // The browser connects again by itself, except after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(this.#reopen);
      this.#reopen = setTimeout(() => this.#again(), REOPEN_MS);
    }
  }

  /** Asks until the stream is open. */
  #ask() {
    if (this.#timer !== 0) return;
    this.#timer = setInterval(() => this.#poll(), POLL_MS);
    this.#poll();
  }

  #again() {
    if (this.#source !== null) this.start();
  }

  async #poll() {
    try {
      const query = withUser(new URLSearchParams({ limit: "50", archived: "any" }));
      const page = await get(`/api/videos?${query}`);
      page.data.forEach(store.put, store);
      const seen = new Set(page.data.map((/** @type {any} */ video) => video.id));
      for (const video of store.live()) if (!seen.has(video.id)) store.ask(video.id);
      if (this.#timer !== 0) this.become("polling");
      this.dispatchEvent(new CustomEvent("heard", { detail: null }));
    } catch (error) {
      const reached = error instanceof ApiError && error.status !== 0;
      if (this.#timer !== 0) this.become(reached ? "polling" : "offline");
    }
  }

  /** Where the stream begins anew: what was live and is not named here has ended meanwhile. */
  #snapshot(/** @type {import("./types.js").Video[]} */ videos) {
    videos.forEach(store.put, store);
    const named = new Set(videos.map((video) => video.id));
    for (const video of store.live()) if (!named.has(video.id)) store.ask(video.id);
  }

  /** @param {import("./types.js").VideoEvent} event */
  #heard(event) {
    store.heard(event);
    this.dispatchEvent(new CustomEvent("heard", { detail: event }));
  }

  /** Says how it stands. @param {"live" | "polling" | "offline"} state */
  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}

export const live = new Live();
