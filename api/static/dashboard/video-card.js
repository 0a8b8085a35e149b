/** `<video-card>`: one video in the gallery. Set `video`; it shows what has changed since. */

import { actionButton, actionsOf, open } from "./actions.js";
import { fill, h, icon } from "./dom.js";
import { dimensions, holdText, isLive, money, statusChip, statusName, timeAgo } from "./format.js";
import { player } from "./player.js";

/** @typedef {import("./types.js").Video} Video */

class VideoCard extends HTMLElement {
  /** @type {Video | null} */
  #video = null;
  #bar = h("progress", { max: 100 });
  #screen = h("div", { class: "screen" });
  #body = h("div", { class: "card-body" });

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#screen, this.#body);
  }

  /** @param {Video} video */
  set video(video) {
    const before = this.#video;
    this.#video = video;
    this.dataset.status = video.hold_reason === null ? video.status : "held";
    this.#bar.value = video.progress;
    if (before !== null && onlyProgress(before, video)) {
      this.querySelector(".percent")?.replaceChildren(`${video.progress} %`);
      return;
    }
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
      fill(this.#screen, this.#placeholder(video));
      return;
    }
    const name = `Play: ${video.prompt.slice(0, 80)}`;
    fill(
      this.#screen,
      picture(video),
      h("button", { class: "play", type: "button", "aria-label": name, onclick: () => this.#play() }, icon("play")),
    );
  }

  /** @param {Video} video */
  #placeholder(video) {
    if (!isLive(video)) return h("span", { class: "blank" }, icon("film"));
    this.#bar.setAttribute("aria-label", `Progress of: ${video.prompt.slice(0, 80)}`);
    if (video.status === "queued") this.#bar.removeAttribute("value");
    return h("div", { class: "making" }, h("span", { class: "percent" }, percent(video)), this.#bar);
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
    const shape = `${video.model} · ${video.seconds} s · ${dimensions(video.size)}`;
    fill(
      this.#body,
      h(
        "div",
        { class: "row" },
        statusChip(video),
        h("div", { class: "tools" }, actionsOf(video).map((action) => actionButton(video, action, true))),
      ),
      h("h3", {}, h("a", { href: `?video=${video.id}`, onclick: follow }, video.prompt)),
      reason(video),
      h("p", { class: "dim facts" }, timeAgo(video.created_at), ` · ${shape} · ${money(video.cost_actual || video.cost_estimated)}`),
    );
  }
}

/** @param {Video} video */
function percent(video) {
  return video.status === "queued" ? statusName(video) : `${video.progress} %`;
}

/** @param {Video} video */
export function picture(video) {
  if (video.thumbnail_url === null) return h("span", { class: "blank" }, icon("film"));
  return h("img", { src: video.thumbnail_url, alt: "", loading: "lazy", decoding: "async" });
}

/** @param {Video} video */
function reason(video) {
  if (video.hold_reason !== null) return h("p", { class: "why" }, holdText(video.hold_reason));
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
