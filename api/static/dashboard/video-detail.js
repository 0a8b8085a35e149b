/**
 * `<video-detail>`: everything about one video, in a dialog with an address of its own
 * (`?video=…`). It follows the video while it is open.
 */

import { actionButton, actionsOf } from "./actions.js";
import { fill, h, icon, need, soon } from "./dom.js";
import { between, bytes, dimensions, holdText, isLive, isScheduled, moment, money, statusChip } from "./format.js";
import { attemptTable, familyTree, timeline } from "./history.js";
import { live } from "./live.js";
import { player } from "./player.js";
import { remixForm } from "./remix-form.js";
import { moved, screenOf } from "./screen.js";
import { get, looked, videoPath } from "./server.js";
import { store } from "./store.js";

/** @typedef {import("./types.js").Video} Video */

class VideoDetail extends HTMLElement {
  #dialog = /** @type {HTMLDialogElement} */ (need("dialog", this));
  #title = need("h2", this);
  #screen = need(".detail-screen", this);
  #facts = need(".detail-facts", this);
  #tools = need(".detail-tools", this);
  #remix = need(".detail-remix", this);
  #past = need(".detail-past", this);
  #id = "";
  #pastSoon = soon(() => this.#loadPast(), 150);

  connectedCallback() {
    document.addEventListener("open-video", (event) => {
      const { id, remix } = /** @type {CustomEvent} */ (event).detail;
      this.#go(id);
      this.#show(id, remix);
    });
    addEventListener("popstate", () => this.restore());
    this.#dialog.addEventListener("close", () => this.#closed());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    need("[data-close]", this).addEventListener("click", () => this.#dialog.close());
    store.addEventListener("video", (event) => this.#changed(/** @type {CustomEvent} */ (event).detail));
    store.addEventListener("gone", (event) => {
      if (/** @type {CustomEvent} */ (event).detail === this.#id) this.#dialog.close();
    });
    live.addEventListener("heard", (event) => {
      const news = /** @type {CustomEvent} */ (event).detail;
      if (this.#id !== "" && (news === null || news.video_id === this.#id)) this.#pastSoon();
    });
  }

  /** Shows what the address names. */
  restore() {
    const id = new URLSearchParams(location.search).get("video");
    if (id === null) this.#dialog.close();
    else if (id !== this.#id) this.#show(id, false);
  }

  /** @param {string} id */
  #go(id) {
    const url = new URL(location.href);
    url.searchParams.set("video", id);
    if (url.href !== location.href) history.pushState({ inside: true }, "", url);
  }

  #closed() {
    this.#id = "";
    fill(this.#screen);
    const url = new URL(location.href);
    if (!url.searchParams.has("video")) return;
    url.searchParams.delete("video");
    history.pushState(null, "", url);
  }

  /** @param {string} id @param {boolean} remix */
  async #show(id, remix) {
    const another = id !== this.#id;
    this.#id = id;
    if (!this.#dialog.open) this.#dialog.showModal();
    if (another) {
      fill(this.#remix);
      fill(this.#past);
      fill(this.#screen);
      this.#dialog.scrollTop = 0;
    }
    try {
      const video = store.get(id) ?? store.put(await get(videoPath(id)));
      if (id !== this.#id) return;
      this.#paint(video);
      if (remix) this.#askForRemix(video);
      await this.#loadPast();
    } catch (error) {
      fill(this.#title, "Not here");
      fill(this.#facts, h("p", { class: "why" }, /** @type {Error} */ (error).message));
      fill(this.#tools);
    }
  }

  /** @param {Video} video */
  #changed(video) {
    if (video.id !== this.#id) return;
    if (!moved(this.#screen, video)) this.#paint(video);
  }

  /** @param {Video} video */
  #paint(video) {
    fill(this.#title, video.prompt);
    if (this.#screen.querySelector("video") === null) fill(this.#screen, video.file_url === null ? screenOf(video) : player(video));
    fill(this.#facts, facts(video));
    const actions = actionsOf(video).map((action) =>
      action.name === "remix" ? { ...action, run: () => this.#askForRemix(video) } : action,
    );
    fill(this.#tools, actions.map((action) => actionButton(video, action, false)), copyLink());
  }

  /** @param {Video} video */
  #askForRemix(video) {
    const done = () => fill(this.#remix);
    fill(this.#remix, remixForm(video, done));
    need("textarea", this.#remix).focus();
  }

  async #loadPast() {
    const id = this.#id;
    if (id === "") return;
    try {
      const asked = ["/events", "/attempts", "/family"].map((rest) => get(videoPath(id, rest)));
      const [events, attempts, family] = await Promise.all(asked);
      if (id !== this.#id) return;
      family.data.forEach(store.put, store);
      fill(this.#past, timeline(events.data), attemptTable(attempts.data), familyTree(family.data, id));
    } catch (error) {
      fill(this.#past, h("p", { class: "dim" }, /** @type {Error} */ (error).message));
    }
  }
}

/** @param {Video} video */
function facts(video) {
  const rows = [
    ["Model", video.quality === null ? video.model : `${video.model}, ${video.quality}`],
    ["Length", `${video.seconds} s`],
    ["Size", dimensions(video.size)],
    ["User", looked],
    ["Asked for", moment(video.created_at)],
    ["Starts", isScheduled(video) && moment(/** @type {string} */ (video.run_at))],
    ["Priority", video.priority !== 0 && String(video.priority)],
    ["Webhook", video.webhook_url],
    ["Finished", video.finished_at && moment(video.finished_at)],
    ["Took", video.finished_at && between(video.created_at, video.finished_at)],
    ["Kept until", video.expires_at && moment(video.expires_at)],
    ["File", video.content_bytes && bytes(video.content_bytes)],
    ["Cost", cost(video)],
    ["Id", h("code", {}, video.id)],
  ].filter(([, value]) => value);
  return [
    h("p", { class: "row" }, statusChip(video), video.archived_at && h("span", { class: "chip" }, "Archived")),
    video.hold_reason && h("p", { class: "why", "data-status": "held" }, holdText(video.hold_reason)),
    video.error && h("p", { class: "why" }, video.error.message, " ", h("code", {}, video.error.code)),
    h("dl", {}, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
  ];
}

/** @param {Video} video */
function cost(video) {
  if (isLive(video)) return `${money(video.cost_estimated)}, reserved`;
  return money(video.cost_actual);
}

function copyLink() {
  const copy = async (/** @type {MouseEvent} */ event) => {
    const label = need("span", /** @type {Element} */ (event.currentTarget));
    await navigator.clipboard?.writeText(location.href);
    label.textContent = "Copied";
  };
  if (navigator.clipboard === undefined) return null; // only where the page came over TLS
  return h("button", { class: "quiet", type: "button", onclick: copy }, icon("link"), h("span", {}, "Copy link"));
}

customElements.define("video-detail", VideoDetail);
