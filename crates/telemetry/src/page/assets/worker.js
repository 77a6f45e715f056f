// One worker, opened.

import { get } from "./api.js";
import { $, attribute, el, list, sparkline, text } from "./dom.js";
import * as format from "./format.js";
import { health } from "./workers.js";

const EVERY_MS = 2000;
const ADDRESS = "#worker=";

let shown = null;
let timer;

function frame(name) {
  const dialog = $("worker");
  const fact = (label) => [el("dt", {}, label), el("dd", {}, "–")];
  dialog.replaceChildren(el("div", { class: "sheet" },
    el("header", { class: "sheet-head" },
      el("div", {}, el("h2", { id: "worker-title" }, name), el("p", { class: "box-state", id: "worker-state" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, "asking"))),
      el("button", { type: "button", class: "quiet close", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    el("p", { class: "notice", hidden: true }),
    el("div", { class: "sheet-figures" }),
    el("section", { "aria-label": "Hashrate over the last hour" }, el("h3", {}, "Hashrate, minute by minute"), el("div", { class: "sheet-line" }), el("p", { class: "muted sheet-line-note" })),
    el("section", { "aria-label": "Connection" }, el("h3", {}, "Connection"), el("dl", { class: "facts" },
      ["Mines on", "Route", "Listener", "Speaks", "Firmware says", "Address", "Connections", "Since", "Difficulty"].map(fact))),
    el("section", { "aria-label": "Shares" }, el("h3", {}, "Its shares"), el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "State"), el("th", { scope: "col", class: "number" }, "Shares"), el("th", { scope: "col", class: "number" }, "Part"))), el("tbody", {})))));
}

function write(worker) {
  const dialog = $("worker");
  const [state, word] = health(worker);
  attribute($("worker-state"), "data-state", state);
  text($("worker-state").lastElementChild, word);
  const { books } = worker;
  const figures = [
    ["Hashrate", format.hashrate(worker.hashrate_hs)],
    ["Last share", format.ago(worker.last_share_seconds ?? NaN)],
    ["Acknowledged", format.count(books.acknowledged)],
    ["Rejected", format.percent(books.rejected_total, books.submitted)],
  ];
  list(dialog.querySelector(".sheet-figures"), figures, ([name]) => name, ([name]) => el("div", {}, el("p", { class: "tile-name" }, name), el("p", { class: "sheet-figure" })), (node, [, value]) => text(node.lastElementChild, value));
  const line = dialog.querySelector(".sheet-line");
  if (line.dataset.of !== worker.minutes.join()) {
    line.dataset.of = worker.minutes.join();
    const known = worker.minutes.length > 1;
    line.replaceChildren(known ? sparkline(worker.minutes, 480, 90) : el("p", { class: "empty" }, "Drawn once two whole minutes are over."));
    const mean = worker.minutes.reduce((a, b) => a + b, 0) / (worker.minutes.length || 1);
    text(dialog.querySelector(".sheet-line-note"), known ? `${worker.minutes.length} minutes, mean ${format.hashrate(mean)}, least ${format.hashrate(Math.min(...worker.minutes))}, most ${format.hashrate(Math.max(...worker.minutes))}` : "");
  }
  const facts = [worker.source ?? "nothing now", worker.route, worker.listener, { sv1: "Stratum V1", sv2: "Stratum V2" }[worker.protocol] ?? worker.protocol, worker.user_agent ?? "nothing", worker.address ?? "not known", format.count(worker.connections), worker.connections ? `${format.duration(worker.since_seconds)} ago` : "away now", format.difficulty(worker.difficulty)];
  dialog.querySelectorAll(".facts dd").forEach((node, n) => text(node, facts[n]));
  const rows = [["Acknowledged", books.acknowledged], ["Open", books.pending + books.held], ["Counted here only", books.local], ["Unknown", books.unknown], ["Never sent", books.unsent_total, books.unsent], ["Refused by pools", books.refused_total, books.refused], ["Rejected by Adit", books.rejected_total, books.rejected]].flatMap(([name, n, reasons]) => [
    { key: name, name, n },
    ...Object.entries(reasons ?? {}).filter(([, many]) => many > 0).map(([reason, many]) => ({ key: `${name} ${reason}`, name: format.phrase(reason), n: many, reason: true })),
  ]);
  list(dialog.querySelector("tbody"), rows, (item) => item.key, (item) => el("tr", { class: item.reason ? "reason" : null }, el("th", { scope: "row" }, item.name), el("td", { class: "number" }), el("td", { class: "number" })), (node, item) => {
    text(node.children[1], format.count(item.n));
    text(node.children[2], format.percent(item.n, books.submitted));
  });
}

async function load() {
  clearTimeout(timer);
  const name = shown;
  if (name === null) return;
  const notice = $("worker").querySelector(".notice");
  try {
    const worker = await get(`/api/v1/workers/${encodeURIComponent(name)}`);
    if (shown !== name) return;
    notice.hidden = true;
    write(worker);
  } catch (error) {
    if (shown !== name) return;
    notice.hidden = false;
    text(notice, error.status === 404 ? "Adit does not know this worker any more." : `What is shown may be old: ${error.message}.`);
  }
  timer = setTimeout(load, EVERY_MS);
}

/** Opens a worker's sheet. */
export function open(name) {
  const dialog = $("worker");
  shown = name;
  frame(name);
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", ADDRESS + encodeURIComponent(name));
  load();
}

export function begin() {
  const dialog = $("worker");
  dialog.addEventListener("close", () => {
    shown = null;
    clearTimeout(timer);
    history.replaceState(null, "", "#workers");
  });
  // A click beside the sheet closes it.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  const named = () => {
    if (location.hash.startsWith(ADDRESS)) {
      try { open(decodeURIComponent(location.hash.slice(ADDRESS.length))); } catch { /* no name: nothing is opened */ }
    }
  };
  addEventListener("hashchange", named);
  named();
}
