/**
 * What can be done with a video, by what it is. Each action says its name, its icon, and does it.
 *
 * @typedef {import("./types.js").Video} Video
 * @typedef {{name: string, label: string, run?: (video: Video) => void, href?: string}} Action
 */

import { h, icon } from "./dom.js";
import { isLive } from "./format.js";
import { call, freshKey, keyless, looked, videoPath } from "./server.js";
import { store } from "./store.js";
import { complain, toast } from "./toasts.js";

const UNDO_MS = 5000;
/** @type {Map<string, () => void>} deletions that can still be undone, by video */
const deletions = new Map();

/**
 * @param {Video} video
 * @returns {Action[]} the most likely one first
 */
export function actionsOf(video) {
  /** @type {Action[]} */
  const found = [];
  if (looked !== null) return keyless || video.file_url === null ? [] : [download(video.file_url)];
  if (video.status === "completed") {
    found.push({ name: "remix", label: "Remix", run: askForRemix });
    if (video.file_url !== null) found.push(download(video.file_url));
  }
  if (isLive(video)) found.push({ name: "cancel", label: "Cancel", run: cancel });
  if (video.status === "failed" || video.status === "cancelled") {
    found.push({ name: "retry", label: "Retry", run: retry });
  }
  if (!isLive(video)) {
    const label = video.archived_at === null ? "Archive" : "Unarchive";
    found.push({ name: "archive", label, run: (one) => archive(one, one.archived_at === null) });
  }
  found.push({ name: "trash", label: "Delete", run: remove });
  return found;
}

/** @param {string} href @returns {Action} */
const download = (href) => ({ name: "download", label: "Download", href });

/**
 * @param {Video} video
 * @param {Action} action
 * @param {boolean} wordless only the icon is seen; the name is read out
 */
export function actionButton(video, action, wordless) {
  const label = wordless ? `${action.label}: ${video.prompt.slice(0, 80)}` : null;
  const props = { class: wordless ? "plain" : "quiet", "data-action": action.label.toLowerCase(), "aria-label": label, title: wordless ? action.label : null };
  const content = [icon(/** @type {any} */ (action.name)), wordless ? null : h("span", {}, action.label)];
  if (action.href !== undefined) {
    return h("a", { ...props, href: action.href, download: true }, ...content);
  }
  return h("button", { ...props, type: "button", onclick: () => action.run?.(video) }, ...content);
}

/** Opens the details of a video (`remix`: with the form for its next version). */
export function open(/** @type {string} */ id, { remix = false } = {}) {
  document.dispatchEvent(new CustomEvent("open-video", { detail: { id, remix } }));
}

/** @param {Video} video */
function askForRemix(video) {
  open(video.id, { remix: true });
}

/** @param {Video} video */
async function cancel(video) {
  await posted(video, "/cancel", "This video could not be cancelled.");
}

/** @param {Video} video */
async function retry(video) {
  const made = await posted(video, "/retry", "This video could not be retried.", freshKey());
  if (made) toast("It was asked for again, as a new video.");
}

/** @param {Video} video @param {boolean} away */
async function archive(video, away) {
  const done = await posted(video, away ? "/archive" : "/unarchive", "That did not work.");
  if (done && away) {
    toast("Archived. The filter “Archived” shows it.", {
      action: { label: "Undo", run: () => archive(video, false) },
    });
  }
}

/**
 * Hides a video at once and deletes it when nobody has undone that in five seconds.
 *
 * @param {Video} video
 */
function remove(video) {
  store.hide(video.id);
  const send = (keepalive = false) => {
    deletions.delete(video.id);
    return call("DELETE", videoPath(video.id), { keepalive });
  };
  const bring = () => { deletions.delete(video.id); store.unhide(video.id); };
  deletions.set(video.id, () => void send(true));
  toast("Deleted.", {
    ms: UNDO_MS,
    action: { label: "Undo", run: bring },
    ended: () => send().catch((error) => { bring(); complain(error, "It could not be deleted."); }),
  });
}

// Whoever leaves within the five seconds meant it.
addEventListener("pagehide", () => deletions.forEach((send) => send()));

/**
 * @param {Video} video
 * @param {string} act
 * @param {string} failure
 * @param {Record<string, string>} [headers]
 * @returns {Promise<boolean>} whether it was done
 */
async function posted(video, act, failure, headers) {
  try {
    store.put(await call("POST", videoPath(video.id, act), { headers }));
    return true;
  } catch (error) {
    complain(error, failure);
    return false;
  }
}
