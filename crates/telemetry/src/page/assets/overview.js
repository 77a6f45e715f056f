// The first look: is anything wrong, and what goes through.

import { $, attribute, el, list, say, sparkline, text } from "./dom.js";
import * as format from "./format.js";

/** What each alarm is called, and how grave it is. Unknown ones are shown all the same. */
const ALARMS = {
  books_unbalanced: ["The books do not balance", "bad"],
  route_without_source: ["A route has no work", "bad"],
  blocks_waiting: ["Found blocks wait for a node", "bad"],
  shares_lost: ["Shares are being lost", "bad"],
  source_refuses_shares: ["A pool refuses shares", "warn"],
  source_unauthenticated: ["A pool proves nothing", "warn"],
  miners_send_bad_shares: ["Miners send bad shares", "warn"],
  memory_short: ["Memory runs short", "warn"],
  template_down: ["A node gives no templates", "warn"],
  route_on_fallback: ["A route mines on its fall-back", "warn"],
  dev_pool: ["The development pool is mined for", "info"],
};

let shown = "";

/** Alarms that hold, and what keeps Adit from being ready. Gives how many there are. */
export function alerts(status) {
  const active = status.alarms.filter((alarm) => alarm.active).map((alarm) => {
    const [title, level] = ALARMS[alarm.name] ?? [format.phrase(alarm.name), "warn"];
    return { key: `${alarm.name} ${alarm.subject}`, title, level, subject: alarm.subject, detail: alarm.detail };
  });
  // What an alarm says already is not said twice.
  const said = new Set(status.alarms.filter((a) => a.active && a.name === "route_without_source").map((a) => `route ${a.subject}:`));
  const reasons = status.readiness.reasons.filter((reason) => ![...said].some((start) => reason.startsWith(start)));
  for (const reason of reasons) active.push({ key: reason, title: "Not ready", level: "warn", subject: "", detail: reason });
  const order = ["bad", "warn", "info"];
  active.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  const now = JSON.stringify(active.map((alert) => [alert.key, alert.level]));
  list($("alerts"), active, (alert) => alert.key, (alert) => el("div", { class: `alert ${alert.level}` },
    el("span", { class: "mark", "aria-hidden": "true" }, alert.level === "info" ? "i" : "!"),
    el("div", {},
      el("p", { class: "alert-title" }, alert.title, alert.subject ? [" ", el("span", { class: "tag" }, alert.subject)] : null),
      el("p", { class: "alert-detail" }))), (node, alert) => {
    attribute(node, "class", `alert ${alert.level}`);
    text(node.querySelector(".alert-detail"), alert.detail);
  });
  // Read out when the list is another, not when a figure in it is.
  if (now !== shown) {
    shown = now;
    say(active.length ? active.map((alert) => `${alert.title}${alert.subject ? `: ${alert.subject}` : ""}`).join(". ") : "No alerts.");
  }
  return active.length;
}

/** The tiles. `rates` are shares a minute, `hour` is the total's hashrate over the last hour. */
export function tiles(status, rates, hour) {
  const { books } = status;
  const total = status.routes.reduce((sum, route) => sum + route.hashrate_hs, 0);
  const sum = (of) => status.listeners.reduce((all, listener) => all + of(listener.miners), 0);
  const [connected, authorised] = [sum((m) => m.connected), sum((m) => m.authorised)];
  const [number, unit] = format.hashrateParts(total);
  const answered = books.acknowledged + books.refused_total;
  const open = books.pending + books.held;
  const items = [
    { key: "hashrate", name: "Hashrate", value: number, unit, note: `${status.routes.length} ${status.routes.length === 1 ? "route" : "routes"}`, line: hour, wide: true },
    { key: "miners", name: "Miners", value: format.count(connected), unit: "", note: authorised === connected ? "all of them authorised" : `${format.count(authorised)} authorised` },
    { key: "acknowledged", name: "Acknowledged", value: format.compact(books.acknowledged), unit: "", note: `${format.rate(rates.acknowledged)} a minute · ${format.count(open)} open` },
    { key: "pool", name: "Taken by pools", value: format.percent(books.acknowledged, answered).replace(" %", ""), unit: answered > 0 ? "%" : "", note: answered > 0 ? `${format.count(books.refused_total)} of ${format.compact(answered)} refused` : "no answer yet", tone: books.refused_total > answered * 0.05 ? "warn" : "" },
    { key: "rejected", name: "Rejected by Adit", value: format.percent(books.rejected_total, books.submitted).replace(" %", ""), unit: books.submitted > 0 ? "%" : "", note: `${format.count(books.rejected_total)} of ${format.compact(books.submitted)} shares`, tone: books.rejected_total > books.submitted * 0.05 ? "warn" : "" },
  ];
  if (books.blocks_found > 0 || status.templates.length > 0) {
    items.push({ key: "blocks", name: "Blocks found", value: format.count(books.blocks_found), unit: "", note: status.templates.length ? `${format.count(status.blocks.taken_total)} taken by our nodes` : "by miners here" });
  }
  list($("tiles"), items, (item) => item.key, (item) => el("div", { class: item.wide ? "tile wide" : "tile" },
    el("p", { class: "tile-name" }, item.name),
    el("p", { class: "tile-value" }, el("span", {}, ""), el("span", { class: "unit" }, "")),
    el("p", { class: "tile-note" }, ""),
    item.wide ? el("div", { class: "tile-line" }) : null), (node, item) => {
    const [value, unitNode] = node.querySelector(".tile-value").children;
    text(value, item.value);
    text(unitNode, item.unit ? ` ${item.unit}` : "");
    text(node.querySelector(".tile-note"), item.note);
    attribute(node, "data-tone", item.tone || null);
    attribute(node, "data-tile", item.key);
    const line = node.querySelector(".tile-line");
    if (line && item.line && line.dataset.of !== String(item.line.at)) {
      line.dataset.of = String(item.line.at);
      line.replaceChildren(sparkline(item.line.values, 240, 40));
    }
  });
}
