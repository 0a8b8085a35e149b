/** `<video-card>`: one video in the gallery. Set `video`; it shows what has changed since. */

import { actionButton, actionsOf, open } from "./actions.js";
import { fill, h, icon } from "./dom.js";
import { dimensions, holdText, isLive, money, stateOf, statusChip, timeAgo } from "./format.js";
import { player } from "./player.js";
import { moved, screenOf } from "./screen.js";
import { showFile } from "./server.js";

/** @typedef {import("./types.js").Video} Video */

class VideoCard extends HTMLElement {
  /** @type {Video | null} */
  #video = null;
  #screen = h("div", { class: "screen" });
  #body = h("div", { class: "card-body" });

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#screen, this.#body);
  }

  /** @param {Video} video */
  set video(video) {
    const before = this.#video;
    this.#video = video;
    this.dataset.status = stateOf(video);
    if (before !== null && onlyProgress(before, video) && moved(this.#screen, video)) return;
    if (before === null || looks(before) !== looks(video)) this.#show(video);
    this.#describe(video);
  }

  get video() {
    return /** @type {Video} */ (this.#video);
  }

  /** @param {Video} video */
  #show(video) {
    if (this.#screen.querySelector("video") !== null) return; // somebody is watching
    if (video.file_url === null) {
      fill(this.#screen, screenOf(video));
      return;
    }
    const name = `Play: ${video.prompt.slice(0, 80)}`;
    fill(
      this.#screen,
      picture(video),
      h("button", { class: "play", type: "button", "aria-label": name, onclick: () => this.#play() }, icon("play")),
    );
  }

  #play() {
    const element = player(this.video, { autoplay: true });
    fill(this.#screen, element);
    element.focus();
  }

  /** @param {Video} video */
  #describe(video) {
    const follow = (/** @type {MouseEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(video.id);
    };
    const shape = [video.model, `${video.seconds} s`, dimensions(video.size)].map((fact) => [" · ", h("span", { class: "nowrap" }, fact)]);
    fill(
      this.#body,
      h(
        "div",
        { class: "row" },
        statusChip(video),
        h("div", { class: "tools" }, actionsOf(video).map((action) => actionButton(video, action, true))),
      ),
      h("h3", { dir: "auto" }, h("a", { href: `?video=${video.id}`, onclick: follow }, video.prompt)),
      reason(video),
      h("p", { class: "dim facts" }, h("span", {}, timeAgo(video.created_at), shape.flat()), h("span", {}, money(isLive(video) ? video.cost_estimated : video.cost_actual))),
    );
  }
}

/** @param {Video} video */
function picture(video) {
  if (video.thumbnail_url === null) return h("span", { class: "blank" }, icon("film"));
  const image = h("img", { alt: "", loading: "lazy", decoding: "async" });
  showFile(image, video.thumbnail_url);
  return image;
}

/** @param {Video} video */
function reason(video) {
  if (video.hold_reason !== null) return h("p", { class: "why", "data-status": "held" }, holdText(video.hold_reason));
  if (video.error !== null) return h("p", { class: "why" }, video.error.message);
  return null;
}

/** What the screen depends on; a player that runs is not disturbed by anything else. */
const looks = (/** @type {Video} */ v) => [v.status, v.file_url, v.thumbnail_url, v.hold_reason].join();

/** @param {Video} before @param {Video} after */
function onlyProgress(before, after) {
  const stored = (/** @type {Video} */ video) => video.progress >= 99;
  return before.status === "in_progress" && looks(before) === looks(after) && stored(before) === stored(after);
}

customElements.define("video-card", VideoCard);
