/**
 * What the page knows of the videos. Older news never overwrites newer: `seq` decides.
 *
 * Events: `video` (detail: the video), `gone` (detail: its id).
 *
 * @typedef {import("./types.js").Video} Video
 */

import { soon } from "./dom.js";
import { isLive } from "./format.js";
import { ApiError, get, videoPath } from "./server.js";

export class VideoStore extends EventTarget {
  /** @type {Map<string, Video>} */
  #known = new Map();
  /** @type {Set<string>} */
  #hidden = new Set();
  /** @type {Set<string>} */
  #stale = new Set();
  #refreshSoon = soon(() => this.#refresh(), 60);

  /** @param {string} id */
  get = (id) => this.#known.get(id);

  /** @returns {Video[]} those that are not finished */
  live() {
    return [...this.#known.values()].filter(isLive);
  }

  /** @returns {Video[]} */
  all() {
    return [...this.#known.values()];
  }

  /** @param {Video} video @returns {Video} the newest that is known of it */
  put(video) {
    const known = this.#known.get(video.id);
    if (known !== undefined && known.seq > video.seq) return known;
    this.#known.set(video.id, video);
    if (known?.seq !== video.seq && !this.#hidden.has(video.id)) this.#tell("video", video);
    return video;
  }

  /** Hides a video that will be deleted unless that is undone. @param {string} id */
  hide(id) {
    this.#hidden.add(id);
    this.#tell("gone", id);
  }

  /** @param {string} id */
  unhide(id) {
    this.#hidden.delete(id);
    const video = this.#known.get(id);
    if (video !== undefined) this.#tell("video", video);
  }

  /** @param {string} id */
  remove(id) {
    this.#known.delete(id);
    this.#tell("gone", id);
  }

  /** @param {string} id */
  isHidden = (id) => this.#hidden.has(id);

  /**
   * @param {import("./types.js").VideoEvent} event of the stream
   */
  heard(event) {
    const known = this.#known.get(event.video_id);
    if (event.event_type === "deleted") {
      this.remove(event.video_id);
    } else if (event.event_type === "progress" && known !== undefined && event.seq !== null) {
      this.put({ ...known, progress: event.event_data.progress, seq: event.seq });
    } else {
      this.ask(event.video_id);
    }
  }

  /** Has a video fetched soon, several events together. @param {string} id */
  ask(id) {
    this.#stale.add(id);
    this.#refreshSoon();
  }

  async #refresh() {
    const ids = [...this.#stale];
    this.#stale.clear();
    await Promise.all(ids.map((id) => this.#fetch(id)));
  }

  /** @param {string} id */
  async #fetch(id) {
    try {
      this.put(await get(videoPath(id)));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.remove(id);
    }
  }

  /** @param {string} name @param {any} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

export const store = new VideoStore();
