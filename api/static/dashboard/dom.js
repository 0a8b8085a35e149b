/** Makes elements. Text only ever enters a page as text: nothing here takes markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Strokes on a grid of 24 by 24. */
const ICONS = {
  play: ["M8 5.5v13l11-6.5z"],
  remix: ["M4 7h4c5 0 5 10 10 10h2", "M17 14l3 3-3 3", "M4 17h4c1.6 0 2.7-.9 3.6-2.2", "M14.5 8.6C15.4 7.6 16.5 7 18 7h2", "M17 4l3 3-3 3"],
  retry: ["M20 12a8 8 0 1 1-2.6-5.9", "M20 3v4.5h-4.5"],
  cancel: ["M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z", "M9 9l6 6", "M15 9l-6 6"],
  archive: ["M4 8h16v11H4z", "M3 4h18v4H3z", "M10 12h4"],
  download: ["M12 4v11", "M7 11l5 5 5-5", "M5 20h14"],
  trash: ["M5 7h14", "M10 7V4h4v3", "M7 7l1 13h8l1-13"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  film: ["M4 5h16v14H4z", "M8 5v14", "M16 5v14", "M4 9.5h4", "M4 14.5h4", "M16 9.5h4", "M16 14.5h4"],
  search: ["M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12z", "M15.5 15.5L20 20"],
  link: ["M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1", "M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1"],
  warning: ["M12 4l9 16H3z", "M12 10v4.5", "M12 17.5h.01"],
};

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * @param {string} tag
 * @param {Record<string, any>} [props] `class`, `data-…`, `aria-…` and other attributes; functions
 *   under `on…` listen; `true` is an attribute without a value; null and false leave one out
 * @param {...(Child | Child[])} children
 * @returns {any} the element: callers know its type from the tag
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/**
 * Puts children in place of those that are there.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

/**
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement} decoration: what it means is said beside it, or by a label
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/**
 * Calls a function once, `ms` after the last time that it was wanted.
 *
 * @param {() => void} action
 * @param {number} ms
 * @returns {() => void}
 */
export function soon(action, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
}

/**
 * @param {string} selector
 * @param {ParentNode} [root]
 * @returns {any} the element; a page without it is broken, so that is an error
 */
export function need(selector, root = document) {
  const found = root.querySelector(selector);
  if (found === null) throw new Error(`There is no ${selector} on this page.`);
  return found;
}

/** @param {(Child | Child[])[]} children */
function present(children) {
  const kept = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  return kept.map((child) => (child instanceof Node ? child : String(child)));
}
