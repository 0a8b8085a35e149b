/** What a model allows, as options of the form. What was chosen stays chosen where it can. */

import { dimensions } from "./format.js";

/** @typedef {import("./types.js").Model} Model */

/** Offered where a provider takes any length or size between two limits. */
const USUAL_SECONDS = [2, 4, 6, 8, 12, 16, 20, 30, 60];
const USUAL_SIZES = ["720x1280", "1280x720", "720x720", "1080x1920", "1920x1080", "480x832", "832x480"];

/** @param {HTMLSelectElement} select @param {Model} model */
export function fillSeconds(select, model) {
  const { allowed, minimum = 1, maximum = 60 } = model.seconds;
  const values = allowed ?? USUAL_SECONDS.filter((n) => n >= minimum && n <= maximum).map(String);
  const all = values.includes(model.default_seconds) ? values : [model.default_seconds, ...values];
  offer(select, all.map((value) => [value, `${value} s`]), model.default_seconds);
}

/** @param {HTMLSelectElement} select @param {Model} model */
export function fillSizes(select, model) {
  const { allowed, minimum = 16, maximum = 4096 } = model.sizes;
  const fits = (/** @type {string} */ size) => size.split("x").every((n) => Number(n) >= minimum && Number(n) <= maximum);
  const values = allowed ?? USUAL_SIZES.filter(fits);
  const all = values.includes(model.default_size) ? values : [model.default_size, ...values];
  const options = all.map((size) => /** @type {[string, string]} */ ([size, `${dimensions(size)} ${shape(size)}`]));
  offer(select, allowed ? options : [...options, ["custom", "Another size…"]], model.default_size);
}

/** @param {HTMLSelectElement} select @param {[string, string][]} options @param {string} usual */
function offer(select, options, usual) {
  const chosen = select.value;
  const kept = options.some(([value]) => value === chosen) ? chosen : usual;
  select.replaceChildren(...options.map(([value, label]) => new Option(label, value, false, value === kept)));
}

/** @param {string} size */
function shape(size) {
  const [width, height] = size.split("x").map(Number);
  if (width === height) return "square";
  return width > height ? "landscape" : "portrait";
}
