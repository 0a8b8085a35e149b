/** The form for the next version of a video, inside its details. */

import { open } from "./actions.js";
import { h } from "./dom.js";
import { money } from "./format.js";
import { call, freshKey, videoPath } from "./server.js";
import { store } from "./store.js";
import { complain } from "./toasts.js";

/**
 * @param {import("./types.js").Video} video
 * @param {() => void} done
 * @returns {HTMLFormElement}
 */
export function remixForm(video, done) {
  const key = freshKey();
  const prompt = h("textarea", { id: "remix-prompt", name: "prompt", rows: 3, required: true }, video.prompt);
  const button = h("button", { class: "primary", type: "submit" }, "Remix");
  const send = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const made = await call("POST", videoPath(video.id, "/remix"), { body: { prompt: prompt.value }, headers: key });
      store.put(made);
      done();
      open(made.id);
    } catch (error) {
      complain(error, "Not accepted.");
    } finally {
      button.disabled = false;
    }
  };
  const form = h(
    "form",
    { class: "panel", onsubmit: send },
    h("label", { for: "remix-prompt" }, "What should be different?"),
    prompt,
    h("div", { class: "row" }, button, h("button", { class: "quiet", type: "button", onclick: done }, "Not now"), h("span", { class: "dim" }, `About ${money(video.cost_estimated)}`)),
  );
  prompt.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.requestSubmit();
  });
  return form;
}
