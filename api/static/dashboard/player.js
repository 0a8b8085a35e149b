/** A player for a finished video. */

import { h } from "./dom.js";
import { keyless, looked, showFile } from "./server.js";
import { toast } from "./toasts.js";

/**
 * @param {import("./types.js").Video} video with a file
 * @param {{autoplay?: boolean}} [options]
 * @returns {HTMLElement} also where the browser cannot show this kind of file: then a way to fetch it
 */
export function player(video, { autoplay = false } = {}) {
  const type = video.content_type ?? "video/mp4";
  if (document.createElement("video").canPlayType(type) === "") {
    return h("p", { class: "blank" }, "Your browser cannot play this kind of file. ", h("a", { href: video.file_url, download: true }, "Download it"), " to watch it.");
  }
  const failed = () => toast("The video could not be played.", { error: true });
  const element = h("video", {
    poster: keyless && looked !== null ? null : video.thumbnail_url,
    controls: true,
    loop: true,
    playsinline: true,
    autoplay,
    preload: "metadata",
    tabindex: 0,
    "aria-label": video.prompt.slice(0, 200),
    onerror: failed,
  });
  showFile(element, /** @type {string} */ (video.file_url));
  return element;
}
