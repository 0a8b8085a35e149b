/** `<throughput-plot>`: what was asked for and what ended, minute by minute, for an hour. */

import { fill, h } from "./dom.js";
import { count } from "./format.js";
import { asAdmin } from "./server.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
/** Room for the label of a time. */
const LABEL = 90;
const LEFT = 40;
const BOTTOM = 24;
const TOP = 8;
/** From the bottom of a bar upwards. */
const ENDS = ["completed", "failed", "cancelled"];
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** An hour of events is more to read than the rest of the page. */
const EVERY_MS = 12_000;

class ThroughputPlot extends HTMLElement {
  #read = 0;
  /** @type {Record<string, any>[]} */
  #minutes = [];

  connectedCallback() {
    new ResizeObserver(() => this.#draw()).observe(this);
  }

  async refresh() {
    if (Date.now() - this.#read < EVERY_MS) return;
    this.#read = Date.now();
    this.#minutes = (await asAdmin("GET", "/api/admin/throughput?minutes=60")).data;
    this.#draw();
  }

  #draw() {
    if (this.#minutes.length > 0) fill(this, plot(this.#minutes, this.clientWidth), legend(this.#minutes));
  }
}

/** @param {Record<string, any>[]} minutes @param {number} width in pixels */
function plot(minutes, width) {
  const ended = (/** @type {any} */ one) => ENDS.reduce((sum, name) => sum + one[name], 0);
  const highest = nice(Math.max(...minutes.map((one) => Math.max(one.created, ended(one)))));
  const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / highest) * (HEIGHT - BOTTOM - TOP);
  const step = (width - LEFT) / minutes.length;
  const every = Math.ceil(LABEL / step / 5) * 5;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": spoken(minutes) });
  for (const value of [0, highest / 2, highest]) {
    svg.append(shape("line", { class: "rule", x1: LEFT, x2: width, y1: y(value), y2: y(value) }));
    svg.append(label(LEFT - 8, y(value) + 4, count(value), "end"));
  }
  minutes.forEach((one, n) => {
    const x = LEFT + n * step;
    let below = 0;
    for (const name of ENDS) {
      const height = y(below) - y(below + one[name]);
      if (height > 0) svg.append(shape("rect", { class: name, x: x + 1, y: y(below + one[name]), width: Math.max(step - 2, 1), height, rx: 1.5 }));
      below += one[name];
    }
    if ((minutes.length - 1 - n) % every === 0) svg.append(label(x + step, HEIGHT - 6, CLOCK.format(new Date(one.at)), "end"));
  });
  const line = minutes.map((one, n) => `${n === 0 ? "M" : "L"}${LEFT + (n + 0.5) * step} ${y(one.created)}`).join("");
  svg.append(shape("path", { class: "created", d: line }));
  return svg;
}

/** @param {Record<string, any>[]} minutes */
function legend(minutes) {
  const names = ["created", ...ENDS].map((name) => h("li", { class: name }, `${count(total(minutes, name))} ${name}`));
  return h("ul", { class: "legend", role: "list" }, names);
}

/** @param {Record<string, any>[]} minutes @param {string} name */
const total = (minutes, name) => minutes.reduce((sum, one) => sum + one[name], 0);

/** @param {Record<string, any>[]} minutes */
const spoken = (minutes) => `In the last hour: ${["created", ...ENDS].map((name) => `${total(minutes, name)} ${name}`).join(", ")}.`;

/** The next number with a middle that is easy to read. @param {number} value */
function nice(value) {
  const least = Math.max(value, 2);
  const unit = 10 ** Math.floor(Math.log10(least));
  return unit * ([1, 2, 4, 6, 8].find((n) => n * unit >= least) ?? 10);
}

/** @param {number} x @param {number} y @param {string} text @param {string} anchor */
function label(x, y, text, anchor) {
  const element = shape("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

/** @param {string} tag @param {Record<string, string | number>} props */
function shape(tag, props) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, String(value));
  return element;
}

customElements.define("throughput-plot", ThroughputPlot);
