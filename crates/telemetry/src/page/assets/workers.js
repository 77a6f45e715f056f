// The table of workers: searched, filtered, sorted and paged by Adit.

import { get, withQuery } from "./api.js";
import { $, attribute, el, list, sparkline, text } from "./dom.js";
import * as format from "./format.js";
import { open } from "./worker.js";

/** Fewer where each is a card of its own. */
const PAGE = matchMedia("(max-width: 720px)").matches ? 10 : 25;
const EVERY_MS = 2000;
/** Heading, and what it sorts by with the direction that is asked for first. */
const COLUMNS = [
  ["Worker", "name", ""],
  ["Hashrate", "hashrate", "-"],
  ["Last hour"],
  ["Last share", "last_share", ""],
  ["Acknowledged", "acknowledged", "-"],
  ["Rejected", "rejected", "-"],
  ["Difficulty"],
  ["Mines on"],
];

const query = { search: "", listener: "", route: "", source: "", sort: "-hashrate", offset: 0, limit: PAGE };
let timer;
let asked = 0;
let table;

function sortBy(key, first) {
  query.sort = query.sort === key ? `-${key}` : query.sort === `-${key}` ? key : first + key;
  query.offset = 0;
  load();
}

function frame() {
  table = el("table", { class: "workers", role: "table", "aria-labelledby": "workers-title" },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, COLUMNS.map(([name, key, first]) =>
      el("th", { role: "columnheader", scope: "col", class: key && key !== "name" ? "number" : null, "data-sort": key },
        key ? el("button", { type: "button", class: "sort", onclick: () => sortBy(key, first) }, name, el("span", { class: "arrow", "aria-hidden": "true" })) : name)))),
    el("tbody", { role: "rowgroup" }));
  $("workers-body").replaceChildren(el("div", { class: "scroll" }, table));
}

function row() {
  const cell = (label, ...children) => el("td", { role: "cell", "data-label": label }, children);
  const name = el("button", { type: "button", class: "name" });
  const node = el("tr", { role: "row" },
    el("th", { role: "rowheader", scope: "row" }, el("span", { class: "dot", "aria-hidden": "true" }), name, el("span", { class: "only-read" })),
    cell("Hashrate", el("b", {})), cell("Last hour"), cell("Last share"), cell("Acknowledged"), cell("Rejected"), cell("Difficulty"), cell("Mines on", el("span", {}), el("span", { class: "muted" })));
  name.addEventListener("click", () => open(node.dataset.key));
  return node;
}

/** How a worker is: a word and a colour. */
export function health(worker) {
  if (worker.connections === 0) return ["bad", "away"];
  if (worker.last_share_seconds === null) return ["work", "no share yet"];
  return worker.last_share_seconds > 600 ? ["warn", "silent"] : ["good", "mining"];
}

function write(node, worker) {
  const [head, rate, line, last, acknowledged, rejected, difficulty, on] = node.children;
  const [state, word] = health(worker);
  attribute(node, "data-state", state);
  text(head.children[1], worker.name || "(no name)");
  text(head.children[2], `, ${word}`);
  text(rate.firstElementChild, format.hashrate(worker.hashrate_hs));
  const drawn = worker.minutes.join();
  if (line.dataset.of !== drawn) {
    line.dataset.of = drawn;
    line.replaceChildren(worker.minutes.length > 1 ? sparkline(worker.minutes) : el("span", { class: "muted" }, "–"));
  }
  text(last, worker.connections === 0 && worker.last_share_seconds === null ? "never" : format.ago(worker.last_share_seconds ?? NaN));
  text(acknowledged, format.count(worker.books.acknowledged));
  text(rejected, worker.books.rejected_total ? `${format.count(worker.books.rejected_total)} (${format.percent(worker.books.rejected_total, worker.books.submitted)})` : "0");
  text(difficulty, format.difficulty(worker.difficulty));
  text(on.children[0], worker.source ?? "nothing");
  text(on.children[1], ` ${worker.route} · ${worker.listener}`);
}

function pages(total) {
  const last = Math.max(0, Math.ceil(total / PAGE) - 1);
  const now = Math.floor(query.offset / PAGE);
  const nav = $("pages");
  nav.hidden = last === 0;
  if (!nav.children.length) {
    const go = (by) => () => { query.offset = Math.max(0, query.offset + by * PAGE); load(); };
    nav.append(el("button", { type: "button", onclick: go(-1) }, "Previous"), el("span", {}), el("button", { type: "button", onclick: go(1) }, "Next"));
  }
  const [back, here, on] = nav.children;
  // A disabled button would lose the focus.
  attribute(back, "aria-disabled", now <= 0 ? "true" : null);
  attribute(on, "aria-disabled", now >= last ? "true" : null);
  text(here, `Page ${format.count(now + 1)} of ${format.count(last + 1)}`);
}

async function load() {
  const mine = ++asked;
  clearTimeout(timer);
  try {
    const answer = await get(withQuery("/api/v1/workers", query));
    if (mine !== asked) return;
    if (query.offset > 0 && query.offset >= answer.total) {
      query.offset = Math.max(0, (Math.ceil(answer.total / PAGE) - 1) * PAGE);
      return void load();
    }
    const filtered = query.search || query.listener || query.route || query.source;
    text($("workers-count"), `${format.count(answer.total)} ${answer.total === 1 ? "worker" : "workers"}${filtered ? " match" : ""}`);
    if (answer.total === 0) {
      table = null;
      $("workers-body").replaceChildren(el("p", { class: "empty" }, filtered ? "No worker matches. Clear a filter to see more." : "No worker has come yet. Point a miner at a listener's address above."));
    } else {
      if (!table) frame();
      list(table.tBodies[0], answer.workers, (worker) => worker.name, row, write);
      for (const th of table.tHead.rows[0].cells) {
        const key = th.dataset.sort;
        if (key) attribute(th, "aria-sort", query.sort === key ? "ascending" : query.sort === `-${key}` ? "descending" : "none");
      }
    }
    pages(answer.total);
    attribute($("workers"), "data-loaded", String(Date.now()));
  } catch (error) {
    if (mine !== asked) return;
    if (error.status === 404) {
      text($("workers-count"), "");
      $("workers-body").replaceChildren(el("p", { class: "empty" }, "This Adit lists no workers."));
      return;
    }
    // What was shown last stays; the header says that nothing is heard.
  }
  timer = setTimeout(() => (document.hidden ? later() : load()), EVERY_MS);
}

function later() {
  document.addEventListener("visibilitychange", () => load(), { once: true });
}

/** The choices, from what there is. */
export function choices(status) {
  const form = $("filters");
  const fill = (name, values) => {
    const select = form.elements[name];
    const wanted = ["", ...values];
    if (wanted.join("\n") === [...select.options].map((option) => option.value).join("\n")) return;
    const chosen = select.value;
    select.replaceChildren(...wanted.map((value) => el("option", { value }, value || "all")));
    select.value = wanted.includes(chosen) ? chosen : "";
  };
  fill("listener", status.listeners.map((listener) => listener.name));
  fill("route", status.routes.map((route) => route.name));
  fill("source", status.sources.map((source) => source.name));
}

export function begin() {
  const form = $("filters");
  form.elements.sort.append(...COLUMNS.filter(([, key]) => key).map(([name, key, first]) => el("option", { value: first + key }, name)));
  form.elements.sort.value = query.sort;
  let typing;
  const changed = () => {
    for (const name of ["search", "listener", "route", "source"]) query[name] = form.elements[name].value.trim();
    query.offset = 0;
    load();
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  form.elements.search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(changed, 200); });
  form.addEventListener("change", (event) => {
    if (event.target.name === "sort") {
      query.sort = event.target.value;
      query.offset = 0;
      load();
    } else changed();
  });
  load();
}
