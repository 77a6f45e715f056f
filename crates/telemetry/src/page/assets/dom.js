// Elements made of data. Text is always text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** An element with attributes and children; strings become text. */
export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** The same, of SVG. */
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Changes the text only where it differs, so that nothing is read out or selected anew for nothing. */
export function text(node, value) {
  const next = String(value);
  if (node.textContent !== next) node.textContent = next;
}

/** Sets or removes an attribute, where it differs. */
export function attribute(node, name, value) {
  if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/**
 * Makes the children of `parent` those of `items`, by key: what is there stays (with its focus), what is new is made, the
 * rest goes.
 */
export function list(parent, items, key, make, update) {
  const held = document.activeElement;
  const wanted = new Set(items.map((item) => String(key(item))));
  const before = new Map();
  // What goes goes first, so that what stays need not move.
  for (const child of [...parent.children]) {
    if (wanted.has(child.dataset.key)) before.set(child.dataset.key, child);
    else child.remove();
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = before.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    update?.(child, item);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  // A browser takes the focus from what is moved.
  if (held !== document.activeElement && parent.contains(held)) held.focus({ preventScroll: true });
}

/** Has it read out, once. */
export const say = (words) => text($("said"), words);

/** A line without axes; gaps where there is no number. */
export function sparkline(values, width = 120, height = 28) {
  const known = values.filter((value) => Number.isFinite(value));
  const figure = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  if (known.length < 2) return figure;
  const top = Math.max(...known) || 1;
  const x = (n) => (values.length < 2 ? 0 : (n / (values.length - 1)) * width);
  const y = (value) => height - 2 - (value / top) * (height - 4);
  let path = "";
  let pen = false;
  values.forEach((value, n) => {
    if (!Number.isFinite(value)) pen = false;
    else {
      path += `${pen ? "L" : "M"}${x(n).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = true;
    }
  });
  const first = values.findIndex(Number.isFinite);
  const last = values.length - 1 - [...values].reverse().findIndex(Number.isFinite);
  figure.append(
    svg("path", { class: "area", d: `${path.replace(/(.)M/g, "$1L")}L${x(last).toFixed(1)} ${height}L${x(first).toFixed(1)} ${height}Z` }),
    svg("path", { class: "line", d: path }),
  );
  return figure;
}
