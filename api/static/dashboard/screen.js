/** What is seen where a video will be, or would have been. */

import { h, icon } from "./dom.js";
import { isLive, isScheduled, moment, statusName } from "./format.js";

/** @typedef {import("./types.js").Video} Video */

/** @type {Record<string, "warning" | "cancel">} */
const BLANKS = { failed: "warning", cancelled: "cancel" };

/**
 * How far a video without a file is.
 *
 * @param {Video} video
 * @returns {HTMLElement} with a progress bar if something is under way
 */
export function screenOf(video) {
  if (!isLive(video)) return h("span", { class: "blank" }, icon(BLANKS[video.status] ?? "film"));
  const waits = video.hold_reason !== null || isScheduled(video);
  const bar = h("progress", { max: 100, value: video.status === "queued" ? null : video.progress, "aria-label": `Progress of: ${video.prompt.slice(0, 80)}` });
  return h(
    "div",
    { class: waits ? "making is-waiting" : "making" },
    h("span", { class: "percent" }, video.status === "queued" ? statusName(video) : `${video.progress} %`),
    isScheduled(video) && h("span", {}, moment(/** @type {string} */ (video.run_at))),
    !waits && bar,
  );
}

/**
 * Moves what `screenOf` has made, if that is all that has to change.
 *
 * @param {Element} screen what it is in
 * @param {Video} video
 * @returns {boolean} whether it was
 */
export function moved(screen, video) {
  const bar = screen.querySelector("progress");
  if (bar === null || !bar.hasAttribute("value") || video.status !== "in_progress") return false;
  bar.value = video.progress;
  screen.querySelector(".percent")?.replaceChildren(`${video.progress} %`);
  return true;
}
