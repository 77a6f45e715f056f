// The page: hears Adit, and hands what it hears to its parts.

import { follow, onTokenNeeded } from "./api.js";
import * as charts from "./charts.js";
import { $, attribute, say, text } from "./dom.js";
import * as events from "./events.js";
import { flow } from "./flow.js";
import * as format from "./format.js";
import { alerts, tiles } from "./overview.js";
import * as receipts from "./receipts.js";
import * as worker from "./worker.js";
import * as workers from "./workers.js";

/** Rates are those of so many seconds. */
const WINDOW = 60;
/** Nothing for longer than this, and the page says so. */
const FRESH_MS = 4000;

let noted = [];
let heardAt = 0;
let why = null;
let began = null;

/** Notes the counts, and gives what comes a minute. */
function rates(status) {
  const by = (items, of) => Object.fromEntries(items.map((item) => [item.name, of(item.books)]));
  const now = {
    at: status.uptime_seconds,
    submitted: status.books.submitted,
    acknowledged: status.books.acknowledged,
    listeners: by(status.listeners, (books) => books.submitted),
    sources: by(status.sources, (books) => books.acknowledged),
  };
  // Another process: its counts began anew.
  if (noted.length && now.at < noted.at(-1).at) noted = [];
  noted.push(now);
  noted = noted.filter((then) => now.at - then.at <= WINDOW + 1);
  const then = noted[0];
  const minutes = (now.at - then.at) / 60;
  const grown = (a, b) => (minutes > 0.02 ? Math.max(0, (a ?? 0) - (b ?? 0)) / minutes : NaN);
  return {
    submitted: grown(now.submitted, then.submitted),
    acknowledged: grown(now.acknowledged, then.acknowledged),
    listener: (name) => grown(now.listeners[name], then.listeners[name]),
    source: (name) => grown(now.sources[name], then.sources[name]),
  };
}

function heard() {
  const node = $("heard");
  const silent = Date.now() - heardAt;
  let state = "live";
  let said = "Live";
  if (!heardAt) {
    state = why ? "lost" : "connecting";
    said = why ? `${why.message}, trying again` : "Connecting";
  } else if (silent > FRESH_MS) {
    state = "lost";
    said = `Last heard ${format.ago(silent / 1000)}`;
  }
  const before = node.dataset.state;
  if (before === "live" && state === "lost") say("Adit is not heard any more.");
  if (before === "lost" && state === "live") say("Adit is heard again.");
  attribute(node, "data-state", state);
  attribute(document.body, "data-state", state);
  attribute(node, "title", why && state === "lost" ? why.message : null);
  text($("heard-text"), said);
}

function hears(status) {
  heardAt = Date.now();
  why = null;
  if (began !== null && status.uptime_seconds < began) events.load();
  began = status.uptime_seconds;
  const now = rates(status);
  const problems = alerts(status);
  tiles(status, now, charts.lastHour());
  flow(status, now);
  charts.outcomes(status);
  workers.choices(status);
  const total = status.routes.reduce((sum, route) => sum + route.hashrate_hs, 0);
  document.title = `${problems ? `(${problems}) ` : ""}${format.hashrate(total)} · Adit`;
  text($("foot"), `Adit ${status.version}, up ${format.duration(status.uptime_seconds)}${status.dev_mode ? ", development mode: nothing here earns anything" : ""}`);
  heard();
}

function askForToken(wrong) {
  return new Promise((resolve) => {
    const dialog = $("token");
    const input = $("token-input");
    if (wrong) text($("token-why"), "That token was not taken. It is the read_token of [http] in Adit's configuration.");
    input.value = "";
    let given = null;
    $("token-form").onsubmit = (event) => {
      event.preventDefault();
      given = input.value.trim() || null;
      if (given) dialog.close();
    };
    // Without it nothing can be shown: whoever closes it is asked again.
    dialog.onclose = () => (given ? resolve(given) : dialog.showModal());
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}

onTokenNeeded(askForToken);
events.begin();
charts.begin();
workers.begin();
worker.begin();
receipts.begin();
events.load();
setInterval(heard, 1000);
// Where no stream tells of new events they are asked for.
let told = false;
setInterval(() => { if (!told && !document.hidden) events.load(); }, 5000);
follow({
  hears,
  logs: (entry) => { told = true; events.took(entry); },
  lost: (error) => { why = error; told = false; heard(); },
});
