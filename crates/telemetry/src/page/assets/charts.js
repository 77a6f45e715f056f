// Hashrates and shares over time.

import { get, withQuery } from "./api.js";
import { $, attribute, el, list, text } from "./dom.js";
import * as format from "./format.js";

/** Name, seconds, seconds from one look to the next. */
const RANGES = [
  ["15 min", 900, 10],
  ["1 h", 3600, 10],
  ["24 h", 86400, 60],
  ["7 d", 7 * 86400, 300],
  ["30 d", 30 * 86400, 300],
];
const SPLITS = [["Total", "total"], ["Routes", "route:"], ["Sources", "source:"]];
/** Lines in one chart; the rest is said to be left out. */
const LINES = 8;
/** States of shares from the bottom of the stack to its top. */
const STATES = [
  ["acknowledged", "Acknowledged"],
  ["local", "Counted here only"],
  ["unknown", "Unknown"],
  ["unsent", "Never sent"],
  ["refused", "Refused by pools"],
  ["rejected", "Rejected by Adit"],
];

let range = 1;
let split = 0;
const plots = {};

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const withAlpha = (colour, alpha) => `color-mix(in srgb, ${colour} ${alpha}%, transparent)`;

function radios(host, names, chosen, pick) {
  host.append(...names.map((name, n) => {
    const input = el("input", { type: "radio", name: host.id, value: n, checked: n === chosen, onchange: () => pick(n) });
    return el("label", {}, input, el("span", {}, name));
  }));
}

/** A chart in its figure: `series` are `{ name, colour, values }`, `show` writes a value. */
function chart(id, { from, step, series, show, stacked, unit }) {
  const figure = $(id);
  const host = figure.querySelector(".plot");
  const caption = figure.querySelector("figcaption");
  const points = Math.max(0, ...series.map((one) => one.values.length));
  const times = Array.from({ length: points }, (_, n) => from + n * step);
  const known = series.some((one) => one.values.some(Number.isFinite));

  // From the top of the stack down, so that each covers what is below it.
  let drawn = series;
  if (stacked) {
    const below = new Array(points).fill(0);
    drawn = series.map((one) => ({
      ...one,
      values: one.values.map((value, n) => (Number.isFinite(value) ? (below[n] += value) : null)),
    })).reverse();
  }
  const data = [times, ...drawn.map((one) => one.values)];
  const shape = JSON.stringify([drawn.map((one) => [one.name, one.colour]), style("--line"), host.clientWidth, range]);
  const held = plots[id];
  if (held && held.shape === shape) {
    held.plot.setData(data);
    held.plot.setScale("x", { min: times[0], max: times.at(-1) });
  } else {
    held?.plot.destroy();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: style("--muted"), font, grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    host.replaceChildren();
    const plot = new uPlot({
      width: Math.max(host.clientWidth, 200),
      height: 240,
      padding: [12, 18, 0, 0],
      legend: { show: false },
      scales: { x: { time: true, range: (_, min, max) => [min, max] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
      cursor: { y: false, sync: { key: "adit" }, drag: { x: false, y: false }, points: { show: !stacked } },
      axes: [
        { ...axis, grid: { show: false }, size: 30, space: 70, values: "{HH}:{mm}", ...(RANGES[range][1] > 2 * 86400 ? { values: "{MMM} {D}" } : {}) },
        { ...axis, size: 76, space: 44, values: (_, ticks) => ticks.map(show) },
      ],
      series: [{}, ...drawn.map((one) => ({
        label: one.name,
        stroke: one.colour,
        width: stacked ? 1 : 2,
        fill: stacked ? one.colour : series.length === 1 ? withAlpha(one.colour, 14) : undefined,
        points: { show: false },
        spanGaps: false,
      }))],
      hooks: { setCursor: [(plot) => pointed(id, plot.cursor.idx)] },
    }, data, host);
    plots[id] = { plot, shape };
  }
  plots[id].series = series;
  plots[id].show = show;
  plots[id].times = times;

  let note = host.querySelector(".no-data");
  if (!known) {
    if (!note) host.append(note = el("p", { class: "no-data" }, "Nothing is known of this time yet."));
  } else note?.remove();

  // What the picture shows, in words, and as a table for whoever wants one.
  const summary = series.map((one) => {
    const numbers = one.values.filter(Number.isFinite);
    if (!numbers.length) return `${one.name}: nothing known`;
    const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
    return `${one.name}: now ${show(numbers.at(-1))}, mean ${show(mean)}, least ${show(Math.min(...numbers))}, most ${show(Math.max(...numbers))}`;
  }).join(". ");
  attribute(host, "role", "img");
  attribute(host, "aria-label", `${figure.querySelector("h3").textContent}, last ${RANGES[range][0]}. ${summary}`);

  let keys = caption.querySelector(".keys");
  if (!keys) {
    keys = el("ul", { class: "keys" });
    const details = el("details", { ontoggle: () => fillTable(id) }, el("summary", {}, "As a table"), el("div", { class: "scroll" }));
    caption.replaceChildren(el("p", { class: "keys-time muted" }), keys, details);
  }
  caption.dataset.unit = unit ?? "";
  list(keys, series, (one) => one.name, () => el("li", {}, el("span", { class: "swatch" }), el("span", { class: "key-name" }), el("b", {})), (node, one) => {
    node.firstElementChild.style.setProperty("background", one.colour);
    text(node.children[1], one.name);
  });
  pointed(id, plots[id].plot.cursor.idx);
  if (caption.querySelector("details").open) fillTable(id);
}

/** Writes the values at the pointer, or else the newest, into the legend. */
function pointed(id, at) {
  const held = plots[id];
  if (!held?.times) return;
  const caption = $(id).querySelector("figcaption");
  const there = Number.isInteger(at) && at < held.times.length;
  held.series.forEach((one, n) => {
    const node = caption.querySelectorAll(".keys b")[n];
    if (!node) return;
    const value = there ? one.values[at] : one.values.findLast(Number.isFinite);
    text(node, Number.isFinite(value) ? held.show(value) : "–");
  });
  const time = caption.querySelector(".keys-time");
  if (time) text(time, there ? format.moment(held.times[at] * 1000) : "now");
}

function fillTable(id) {
  const held = plots[id];
  const host = $(id).querySelector("details .scroll");
  if (!held?.times || !$(id).querySelector("details").open) return;
  const rows = 12;
  const size = Math.max(1, Math.ceil(held.times.length / rows));
  const mean = (values, from) => {
    const part = values.slice(from, from + size).filter(Number.isFinite);
    return part.length ? held.show(part.reduce((a, b) => a + b, 0) / part.length) : "–";
  };
  const starts = [];
  for (let from = 0; from < held.times.length; from += size) starts.push(from);
  host.replaceChildren(el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "From"), held.series.map((one) => el("th", { scope: "col" }, one.name)))),
    el("tbody", {}, starts.map((from) => el("tr", {}, el("th", { scope: "row" }, format.moment(held.times[from] * 1000)), held.series.map((one) => el("td", {}, mean(one.values, from))))))));
}

let names = [];
let first = true;
let hour = null;

/** The total's last hour, for the first tile. */
export const lastHour = () => hour;

async function load() {
  const [, seconds] = RANGES[range];
  const to = Math.floor(Date.now() / 1000);
  const query = { from: to - seconds, to, points: seconds <= 3600 ? 360 : 480 };
  const prefix = SPLITS[split][1];
  // Which series there are is known after the first answer.
  const wanted = prefix === "total" ? ["total"] : names.filter((name) => name.startsWith(prefix));
  const shares = STATES.map(([state]) => `shares:${state}`);
  const answer = await get(withQuery("/api/v1/history", { ...query, series: ["total", ...wanted, ...shares].join(",") }));
  names = answer.names;
  if (prefix !== "total" && wanted.length === 0 && names.some((name) => name.startsWith(prefix))) return load();

  // A history of minutes is best seen in minutes, until somebody chooses.
  if (first && RANGES[range][1] === 3600) {
    first = false;
    const since = answer.series.total.findIndex(Number.isFinite);
    if (since >= 0 && to - (answer.from + since * answer.step_seconds) < RANGES[0][1] * 0.8) {
      $("range").querySelector("input").checked = true;
      range = 0;
      return load();
    }
  }

  const last = (name) => answer.series[name]?.findLast(Number.isFinite) ?? 0;
  const most = (name) => answer.series[name]?.reduce((a, b) => Math.max(a, b ?? 0), 0) ?? 0;
  const all = (prefix === "total" ? ["total"] : wanted).filter((name) => prefix === "total" || most(name) > 0 || wanted.length <= LINES);
  all.sort((a, b) => last(b) - last(a) || most(b) - most(a));
  const shown = all.slice(0, LINES);
  // A colour belongs to a name, whatever its place is now.
  const ordered = [...all].sort();
  chart("hashrate-chart", {
    from: answer.from, step: answer.step_seconds, show: format.hashrate,
    series: shown.map((name) => ({
      name: name === "total" ? "Total" : name.slice(prefix.length),
      colour: name === "total" ? style("--accent") : style(`--line-${(ordered.indexOf(name) % LINES) + 1}`),
      values: answer.series[name],
    })),
  });
  chart("shares-chart", {
    from: answer.from, step: answer.step_seconds, show: format.rate, stacked: true,
    series: STATES.map(([state, name]) => ({ name, colour: style(`--state-${state}`), values: answer.series[`shares:${state}`].map((value) => (value === null ? null : value * 60)) })),
  });
  if (!hour || to - hour.at >= 10) {
    const recent = range === 1 ? answer : await get(withQuery("/api/v1/history", { series: "total", from: to - 3600, to, points: 120 }));
    hour = { at: to, values: recent.series.total };
  }
}

let timer;
function again() {
  clearTimeout(timer);
  const next = () => { timer = setTimeout(again, RANGES[range][2] * 1000); };
  if (document.hidden) return next();
  load().then(next, (error) => {
    const gone = error.status === 404;
    for (const id of ["hashrate-chart", "shares-chart"]) {
      if (!plots[id]) $(id).querySelector(".plot").replaceChildren(el("p", { class: "no-data" }, gone ? "This Adit keeps no history." : `The history cannot be shown: ${error.message}`));
    }
    if (!gone) next();
  });
}

export function begin() {
  radios($("range"), RANGES.map(([name]) => name), range, (n) => { first = false; range = n; again(); });
  radios($("split"), SPLITS.map(([name]) => name), split, (n) => { split = n; again(); });
  document.addEventListener("adit-theme", again);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
  let width = 0;
  new ResizeObserver(() => {
    const now = $("hashrate-chart").clientWidth;
    if (Math.abs(now - width) > 1) {
      width = now;
      for (const [id, held] of Object.entries(plots)) {
        held.plot.setSize({ width: Math.max($(id).querySelector(".plot").clientWidth, 200), height: 240 });
      }
    }
  }).observe($("hashrate-chart"));
  again();
}

/** Shares by state and reason since the start. */
export function outcomes(status) {
  const { books } = status;
  text($("outcomes-since"), `${format.count(books.submitted)} since the start, ${format.duration(status.uptime_seconds)} ago`);
  const work = books.work;
  const rows = [
    ["acknowledged", "Acknowledged by pools", books.acknowledged, work.acknowledged],
    ["pending", "Sent, not answered yet", books.pending],
    ["held", "Held: the declared job is not acknowledged yet", books.held],
    ["local", "Counted here only: easier than the pool's target", books.local, work.local],
    ["unknown", "Unknown: the line ended before an answer", books.unknown, work.unknown],
    ["unsent", "Good, but never sent", books.unsent_total, work.unsent, books.unsent],
    ["refused", "Refused by pools", books.refused_total, work.refused, books.refused],
    ["rejected", "Rejected by Adit", books.rejected_total, work.rejected, books.rejected],
  ];
  list($("outcome-bar"), rows.filter(([, , n]) => n > 0), ([state]) => state, ([state]) => el("span", { "data-state": state }), (node, [, , n]) => {
    node.style.setProperty("flex-grow", String(n));
  });
  const table = $("outcome-table");
  if (!table.tHead) {
    table.append(el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "State"), el("th", { scope: "col", class: "number" }, "Shares"), el("th", { scope: "col", class: "number" }, "Part"), el("th", { scope: "col", class: "number" }, "Work"))), el("tbody", {}));
  }
  const lines = rows.flatMap(([state, name, n, done, reasons]) => [
    { key: state, state, name, n, done },
    ...Object.entries(reasons ?? {}).filter(([, many]) => many > 0).sort((a, b) => b[1] - a[1]).map(([reason, many]) => ({ key: `${state} ${reason}`, name: format.phrase(reason), n: many, reason: true })),
  ]);
  list(table.tBodies[0], lines, (line) => line.key, (line) => el("tr", { class: line.reason ? "reason" : null },
    el("th", { scope: "row" }, el("span", { class: "row-name" }, line.state ? el("span", { class: "swatch", "data-state": line.state }) : null, el("span", {}, line.name))),
    el("td", { class: "number" }), el("td", { class: "number" }), el("td", { class: "number" })), (node, line) => {
    text(node.children[1], format.count(line.n));
    text(node.children[2], format.percent(line.n, books.submitted));
    text(node.children[3], line.done === undefined ? "" : format.amount(line.done));
  });
}
