// The way of a share, from the miners to whoever takes it, drawn with what is true now.

import { $, attribute, el, list, svg, text } from "./dom.js";
import * as format from "./format.js";

/** More boxes than this in one column are summed up in a last one. */
const BOXES = 8;

const STATES = {
  off: ["idle", "not needed"],
  waiting: ["bad", "waits to dial again"],
  connecting: ["work", "connecting"],
  setting_up: ["work", "setting up"],
  negotiating: ["work", "negotiating"],
  awaiting_declarator: ["work", "waits for the declarator"],
  awaiting_template: ["work", "waits for a template"],
  ready: ["good", "ready"],
  leaving: ["idle", "leaving"],
  removed: ["idle", "removed"],
};
const DECLARING = {
  off: ["idle", "not wanted"],
  resting: ["bad", "failed, rests"],
  no_pool: ["bad", "the pool is away"],
  no_declarator: ["bad", "the declarator is away"],
  no_template: ["bad", "no template that fits"],
  ready: ["work", "nothing to declare for"],
  declaring: ["work", "declaring"],
  acknowledged: ["good", "job acknowledged"],
};
const KINDS = { pool: "pool's own jobs", declared: "own templates, declared", solo: "own templates, solo" };

/** Boxes by column, and the lines between them. */
function graph(status, rates) {
  const columns = [
    { title: "Miners", boxes: [] },
    { title: "Listeners", boxes: [] },
    { title: "Validator", boxes: [] },
    { title: "Routes", boxes: [] },
    { title: "Sources", boxes: [] },
    { title: "Pools and nodes", boxes: [] },
  ];
  const links = [];
  const link = (from, to, state) => links.push({ from, to, state });
  const plural = (n, one, many) => `${format.count(n)} ${n === 1 ? one : many}`;

  const connected = status.listeners.reduce((sum, l) => sum + l.miners.connected, 0);
  const authorised = status.listeners.reduce((sum, l) => sum + l.miners.authorised, 0);
  columns[0].boxes.push({
    key: "miners", name: "Miners", figure: format.count(connected), unit: "connected",
    state: connected > 0 ? "good" : "idle", word: connected > 0 ? `${format.count(authorised)} can hand in shares` : "nobody is here",
  });

  for (const listener of status.listeners) {
    const key = `listener ${listener.name}`;
    const { miners } = listener;
    columns[1].boxes.push({
      key, name: listener.name, figure: format.rate(rates.listener(listener.name)), unit: "shares a minute",
      state: miners.connected > 0 ? "good" : "idle", word: plural(miners.connected, "miner", "miners"),
      lines: [listener.address],
    });
    link("miners", key, miners.connected > 0 ? "active" : "standby");
    link(key, "validator", miners.connected > 0 ? "active" : "standby");
  }

  const { books } = status;
  const worst = Object.entries(books.rejected).sort((a, b) => b[1] - a[1])[0];
  columns[2].boxes.push({
    key: "validator", name: "Every share is verified", figure: format.compact(books.submitted - books.rejected_total), unit: "good shares",
    state: "good", word: `${format.rate(rates.submitted)} checked a minute`,
    lines: [
      books.rejected_total > 0 ? `${format.count(books.rejected_total)} rejected` + (worst?.[1] > 0 ? `, most: ${format.phrase(worst[0]).toLowerCase()}` : "") : "none rejected",
      books.held > 0 ? `${format.count(books.held)} held for an acknowledgement` : null,
    ],
  });

  const mined = new Set();
  for (const route of status.routes) {
    const key = `route ${route.name}`;
    const active = new Set([route.active, ...route.goals.map((goal) => goal.active)].filter(Boolean));
    active.forEach((name) => mined.add(name));
    const several = route.goals.length > 1;
    columns[3].boxes.push({
      key, name: route.name, figure: format.hashrateParts(route.hashrate_hs)[0], unit: format.hashrateParts(route.hashrate_hs)[1],
      state: active.size === 0 ? "bad" : route.has_work ? "good" : "work",
      word: active.size === 0 ? "no source" : several ? `${active.size} sources at once` : `mines for ${route.active}`,
      lines: [
        plural(route.miners, "miner", "miners") + (route.switches_total ? ` · ${plural(route.switches_total, "switch", "switches")}` : ""),
        ...(several ? route.goals.slice(0, 6).map((goal) => `${goal.name}: ${format.percent(goal.share_delivered, 1)} of ${format.percent(goal.share_wanted, 1)} wanted`) : []),
      ],
    });
    link("validator", key, route.miners > 0 ? "active" : "standby");
    for (const source of route.sources) {
      link(key, `source ${source.name}`, active.has(source.name) ? "active" : source.usable ? "standby" : "broken");
    }
  }

  const far = new Map();
  const place = (key, box) => { if (!far.has(key)) far.set(key, { key, ...box }); return far.get(key); };
  for (const template of status.templates) {
    place(`node ${template.name}`, {
      name: template.name, kind: "node", figure: template.height ? format.count(template.height) : "–", unit: "height",
      state: template.up ? "good" : "bad", word: template.up ? "gives templates" : "gives none",
      lines: [template.up ? template.what : template.last_down, Number.isFinite(template.age_seconds) ? `newest ${format.ago(template.age_seconds)}` : null],
    });
  }
  for (const source of status.sources.filter((s) => s.state !== "removed")) {
    const key = `source ${source.name}`;
    const isMined = mined.has(source.name);
    const [state, word] = STATES[source.state] ?? ["idle", format.phrase(source.state).toLowerCase()];
    const why = source.state !== "ready" && source.last_down ? source.last_down : null;
    const declared = source.declaration;
    const [declaring, declaringWord] = declared ? DECLARING[declared.state] ?? ["idle", format.phrase(declared.state)] : [];
    columns[4].boxes.push({
      key, name: source.name, kind: KINDS[source.kind] ?? source.kind,
      figure: isMined ? format.rate(rates.source(source.name)) : null, unit: "acknowledged a minute",
      state: isMined && state === "good" ? "good" : state === "good" ? "standby" : state,
      word: `${isMined && state === "good" ? "mined for, up" : state === "good" ? "stands by, up" : `${word},`} ${format.duration(source.state_since_seconds)}`,
      lines: [
        why,
        declared ? { state: declaring, text: `declaring: ${declaringWord}` } : null,
        declared ? `${format.count(declared.acknowledged_total)} jobs acknowledged, ${format.count(declared.refused_total)} refused` : null,
        declared?.held_shares > 0 ? `${format.count(declared.held_shares)} shares held` : null,
        Number.isFinite(source.job_age_seconds) && source.state === "ready" ? `job ${format.ago(source.job_age_seconds)}` : null,
        [
          source.open_shares > 0 ? `${format.count(source.open_shares)} open` : null,
          source.queue_depth > 0 ? `${format.count(source.queue_depth)} queued` : null,
          source.reconnects_total > 0 ? plural(source.reconnects_total, "reconnect", "reconnects") : null,
        ].filter(Boolean).join(", "),
      ],
    });
    const up = state === "good";
    const taken = source.books;
    const answered = taken.acknowledged + taken.refused_total;
    if (source.address) {
      const box = place(`pool ${source.address}`, {
        name: source.address, kind: "pool", acknowledged: 0, refused: 0, unit: "acknowledged", state: "idle", word: "", lines: [],
      });
      box.acknowledged += taken.acknowledged;
      box.refused += taken.refused_total;
      if (up) box.state = "good";
      else if (box.state !== "good" && state === "bad") box.state = "bad";
      box.figure = format.compact(box.acknowledged);
      box.word = box.state === "good" ? (answered || box.refused ? `${format.count(box.refused)} refused` : "connected") : box.state === "bad" ? "not reached" : "not asked";
      link(key, box.key, isMined && up ? "active" : up ? "standby" : state === "bad" ? "broken" : "standby");
    }
    if (declared) {
      const box = place(`jds ${declared.jds_address}`, {
        name: declared.jds_address, kind: "job declarator", figure: null,
        state: declared.jds_up ? "good" : "bad", word: declared.jds_up ? "connected" : "away",
        lines: [declared.jds_up ? null : declared.jds_last_down],
      });
      link(key, box.key, declared.jds_up ? (isMined ? "active" : "standby") : "broken");
    }
    if (source.kind !== "pool") {
      for (const template of status.templates) {
        link(key, `node ${template.name}`, template.up ? (isMined ? "active" : "standby") : "broken");
      }
    }
  }
  columns[5].boxes = [...far.values()];

  // Long columns end in one box for the rest.
  for (const column of columns) {
    if (column.boxes.length > BOXES) {
      const rest = column.boxes.splice(BOXES - 1);
      const key = `${column.title} rest`;
      const keys = new Set(rest.map((box) => box.key));
      column.boxes.push({
        key, name: `${rest.length} more`, figure: null, state: rest.some((box) => box.state === "bad") ? "bad" : "standby",
        word: `${rest.filter((box) => box.state === "good").length} of them at work`, lines: [],
      });
      for (const one of links) {
        if (keys.has(one.from)) one.from = key;
        if (keys.has(one.to)) one.to = key;
      }
    }
  }
  return { columns, links };
}

let links = [];
let drawn = "";
let stages;
let canvas;
let watcher;

function box(item) {
  return el("li", { class: "box" },
    el("p", { class: "box-name" }),
    el("p", { class: "box-kind" }),
    el("p", { class: "box-state" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {})),
    el("p", { class: "box-figure" }, el("b", {}), " ", el("span", {})),
    el("ul", { class: "box-lines" }));
}

function write(node, item) {
  attribute(node, "data-state", item.state);
  const [name, kind, state, figure, lines] = node.children;
  text(name, item.name);
  attribute(name, "title", item.name);
  attribute(name, "class", /:\d+$/.test(item.name) ? "box-name long" : "box-name");
  text(kind, item.kind ?? "");
  kind.hidden = !item.kind;
  text(state.lastElementChild, item.word);
  figure.hidden = item.figure === null || item.figure === undefined;
  text(figure.firstElementChild, item.figure ?? "");
  text(figure.lastElementChild, item.unit ?? "");
  const shown = (item.lines ?? []).filter(Boolean).map((line, n) => ({ n, ...(typeof line === "string" ? { text: line } : line) }));
  list(lines, shown, (line) => line.n, () => el("li", {}), (child, line) => {
    text(child, line.text);
    attribute(child, "data-state", line.state);
  });
  lines.hidden = shown.length === 0;
}

/** Draws it anew with a status. */
export function flow(status, rates) {
  const host = $("flow-diagram");
  const picture = graph(status, rates);
  if (!stages) {
    canvas = svg("svg", { class: "links", "aria-hidden": "true" });
    stages = el("ol", { class: "stages" });
    host.replaceChildren(canvas, stages);
    watcher = new ResizeObserver(() => draw(true));
    watcher.observe(stages);
  }
  list(stages, picture.columns, (column) => column.title,
    (column) => el("li", { class: "stage" }, el("h3", {}, column.title), el("ul", { class: "boxes" })),
    (node, column) => {
      node.hidden = column.boxes.length === 0;
      list(node.querySelector(".boxes"), column.boxes, (item) => item.key, box, write);
    });
  links = picture.links;
  draw(false);
}

/** The lines, from edge to edge; only when a box moved or a line is another. */
function draw(moved) {
  if (!stages) return;
  const host = stages.getBoundingClientRect();
  const boxes = new Map([...stages.querySelectorAll(".box")].map((node) => [node.dataset.key, node.getBoundingClientRect()]));
  const down = getComputedStyle(stages).getPropertyValue("--down").trim() === "1";
  const signature = JSON.stringify([down, host.width, host.height, links, [...boxes.values()].map((r) => [r.x - host.x, r.y - host.y, r.width, r.height])]);
  if (!moved && signature === drawn) return;
  drawn = signature;
  attribute(canvas, "viewBox", `0 0 ${host.width} ${host.height}`);
  attribute(canvas, "width", host.width);
  attribute(canvas, "height", host.height);
  const order = ["broken", "standby", "active"];
  const paths = [...links].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state)).map((one) => {
    const [from, to] = [boxes.get(one.from), boxes.get(one.to)];
    if (!from || !to) return null;
    const at = (rect, x, y) => [rect.x - host.x + rect.width * x, rect.y - host.y + rect.height * y];
    const [x1, y1] = down ? at(from, 0.5, 1) : [from.right - host.x, from.y - host.y + 24];
    const [x2, y2] = down ? at(to, 0.5, 0) : [to.x - host.x, to.y - host.y + 24];
    const bend = down ? (y2 - y1) / 2 : (x2 - x1) / 2;
    const d = down
      ? `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`
      : `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
    return { key: `${one.from}>${one.to}`, state: one.state, d };
  }).filter(Boolean);
  list(canvas, paths, (path) => path.key, () => svg("path", {}), (node, path) => {
    attribute(node, "d", path.d);
    attribute(node, "class", `link ${path.state}`);
  });
}
