// What happened lately.

import { get, withQuery } from "./api.js";
import { $, attribute, el, list, text } from "./dom.js";
import * as format from "./format.js";

/** Kept and shown at most. */
const MOST = 200;
const SHOWN = 60;

let entries = [];
let served = true;

const grave = (entry) => entry.level === "warning" || entry.level === "error";

function show() {
  const host = $("events-body");
  const only = $("events-grave").checked;
  const shown = entries.filter((entry) => !only || grave(entry)).slice(-SHOWN).reverse();
  if (shown.length === 0) {
    host.replaceChildren(el("p", { class: "empty" }, served ? (only && entries.length ? "No warnings among the last events." : "Nothing has happened yet.") : "This Adit keeps no list of events; its log has them."));
    return;
  }
  let rows = host.querySelector("ol");
  if (!rows) {
    rows = el("ol", { class: "events" });
    host.replaceChildren(el("div", { class: "events-scroll", role: "region", "aria-label": "The last events", tabindex: 0 }, rows));
  }
  list(rows, shown, (entry) => entry.id, (entry) => el("li", { class: "event", "data-level": entry.level },
    el("time", { datetime: new Date(entry.unix_ms).toISOString() }, format.moment(entry.unix_ms)),
    el("span", { class: "level" }, entry.level),
    el("span", { class: "event-text" }, entry.subject ? [el("span", { class: "tag" }, entry.subject), " "] : null, entry.text)));
}

/** Takes a new entry. */
export function took(entry) {
  if (entries.some((known) => known.id === entry.id)) return;
  entries.push(entry);
  entries.sort((a, b) => a.id - b.id);
  entries = entries.slice(-MOST);
  show();
}

/** Asks for those that there are; `again` where nothing tells of new ones. */
export async function load() {
  try {
    const answer = await get(withQuery("/api/v1/events", { limit: MOST }));
    answer.events.sort((a, b) => a.id - b.id);
    const known = new Set(entries.map((entry) => entry.id));
    // After a restart the numbers may begin anew: what is there then is all there is.
    if (answer.events.length && entries.length && answer.events.at(-1).id < entries.at(-1).id) entries = [];
    else answer.events = answer.events.filter((entry) => !known.has(entry.id));
    entries = [...entries, ...answer.events].sort((a, b) => a.id - b.id).slice(-MOST);
    served = true;
  } catch (error) {
    if (error.status === 404) served = false;
  }
  show();
}

export function begin() {
  $("events-grave").addEventListener("change", show);
  text($("events-body"), "");
  attribute($("events-body"), "aria-live", "off");
}
