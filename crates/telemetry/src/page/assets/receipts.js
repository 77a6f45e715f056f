// Receipts that were issued, terms that more are issued for, and a place to have any receipt verified.

import { get, getFile, postFile, sleep, withQuery } from "./api.js";
import { $, attribute, el, list, text } from "./dom.js";
import * as format from "./format.js";

const PATH = "/api/v1/receipts";
/** Fewer where each is a card of its own. */
const PAGE = matchMedia("(max-width: 720px)").matches ? 5 : 10;
/** One comes when a period is over: seldom. */
const EVERY_MS = 30000;
/** Somebody else's receipt is verified in less time than all of these together, as a rule. */
const TRIES = 10;
const TRY_EVERY_MS = 700;
/** How terms begin: what a receipt has there is 1 or 2. */
const TERMS = [..."ADITRC"].map((letter) => letter.charCodeAt(0)).concat(1, 3);
const GUIDE = "https://github.com/adit-proxy/adit/blob/main/docs/guide/receipts.md";

const query = { offset: 0, limit: PAGE };
/** The longest that is verified, bytes, once it was told. */
let longest = Infinity;
let timer;
let asked = 0;
let verifying = 0;

const address = (name) => `${PATH}/${encodeURIComponent(name)}`;
const guide = (words) => el("a", { href: GUIDE, rel: "noreferrer" }, words);

/** Something to be said below the place for files; `quiet`: for screen readers alone, as the verdict is seen. */
function say(words, tone, quiet = false) {
  const node = $("verdict-said");
  attribute(node, "class", quiet ? "only-read" : null);
  attribute(node, "data-tone", tone);
  text(node, words);
}

const COLUMNS = ["Receipt", "Period", "Claims", "Shares", "Size", "Issued", "File"];

function frame() {
  return el("table", { class: "receipts", role: "table", "aria-labelledby": "receipts-title" },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, COLUMNS.map((name) => el("th", { role: "columnheader", scope: "col" }, name)))),
    el("tbody", { role: "rowgroup" }));
}

function row({ name }) {
  const cell = (label, ...children) => el("td", { role: "cell", "data-label": label }, children);
  const link = el("a", { href: address(name), download: name, "aria-label": `Download ${name}` }, "Download");
  // A link alone would ask without the token.
  link.addEventListener("click", (event) => { event.preventDefault(); download(name); });
  return el("tr", { role: "row" },
    el("th", { role: "rowheader", scope: "row" }, el("span", {}, name), el("span", { class: "muted" })),
    cell("Period"), cell("Claims", el("b", {}), el("span", { class: "muted" })), cell("Shares"), cell("Size"), cell("Issued"),
    cell("File", link, el("button", { type: "button", "aria-label": `Verify ${name}`, onclick: () => verifyListed(name) }, "Verify")));
}

function write(node, receipt) {
  const [head, when, claims, shares, size, issued] = node.children;
  const seconds = Math.max(1, receipt.to - receipt.from);
  const known = receipt.problem === null;
  attribute(node, "data-problem", known ? null : "");
  text(head.children[1], known ? `${receipt.subject} ${receipt.of}` : `not shown: ${receipt.problem}`);
  text(when, known ? format.period(receipt.from, receipt.to) : "–");
  text(claims.children[0], known ? format.hashrate(receipt.hashrate_hs) : "–");
  text(claims.children[1], known ? format.between(receipt.hashes_low / seconds, receipt.hashes_high / seconds) : "");
  text(shares, known ? format.count(receipt.shares) : "–");
  text(size, format.bytes(receipt.bytes));
  text(issued, known ? format.time(receipt.issued) : "–");
}

function signed({ issuer_signed: issuer, receiver_signed: receiver }) {
  if (receiver === null) return `${issuer ? "Signed by the issuer" : "Not signed"}; no receiver is named.`;
  if (issuer && receiver) return "Signed by issuer and receiver.";
  if (!issuer && !receiver) return "Signed by nobody yet.";
  return receiver ? "Signed by the receiver, not by the issuer." : "Not signed by the receiver: its receipts will say so.";
}

function termsWords(terms) {
  if (terms.problem !== null) return `Nothing is issued for them: ${terms.problem}.`;
  const parts = [`${format.hashrate(terms.hashrate_hs)}, ${format.period(terms.from, terms.to)}, a receipt ${terms.every === 86400 ? "a day" : `for each ${format.duration(terms.every)}`}`];
  parts.push(terms.due === null ? "the first period has not begun" : `the next is due ${format.time(terms.due)}`);
  return `${parts.join("; ")}. ${signed(terms)}`;
}

function writeTerms(all) {
  const host = $("receipts-terms");
  host.hidden = all.length === 0;
  const shown = all.slice(0, PAGE);
  list(host.querySelector("ul"), shown, (terms) => terms.name, () => el("li", {}, el("b", {}), " ", el("span", { class: "tag" }), el("p", { class: "muted" })), (node, terms) => {
    text(node.children[0], terms.name);
    text(node.children[1], terms.problem === null ? `${terms.subject} ${terms.of}` : "cannot be read");
    text(node.children[2], termsWords(terms));
  });
  const more = all.length - shown.length;
  text(host.querySelector("h3"), `Terms that are not over${more ? `, the first ${PAGE} of ${format.count(all.length)}` : ""}`);
}

function pages(total) {
  const last = Math.max(0, Math.ceil(total / PAGE) - 1);
  const now = Math.floor(query.offset / PAGE);
  const nav = $("receipts-pages");
  nav.hidden = last === 0;
  if (!nav.children.length) {
    const go = (by) => () => { query.offset = Math.max(0, query.offset + by * PAGE); load(); };
    nav.append(el("button", { type: "button", onclick: go(-1) }, "Newer"), el("span", {}), el("button", { type: "button", onclick: go(1) }, "Older"));
  }
  const [newer, here, older] = nav.children;
  attribute(newer, "aria-disabled", now <= 0 ? "true" : null);
  attribute(older, "aria-disabled", now >= last ? "true" : null);
  text(here, `Page ${format.count(now + 1)} of ${format.count(last + 1)}`);
}

function show(answer) {
  longest = answer.verified_bytes_max;
  text($("drop-how"), `Drop a file anywhere on this page, or choose one, of up to ${format.bytes(longest)}. Adit looks at it and keeps nothing of it.`);
  text($("receipts-count"), answer.total ? `${format.count(answer.total)} issued` : "");
  const body = $("receipts-body");
  if (answer.total === 0) {
    const why = !answer.issues ? "This Adit issues no receipts of what its miners deliver. "
      : answer.terms.length ? "None has been issued yet: one comes when a period of the terms below is over. "
        : "None has been issued yet: there are no terms in its directory. ";
    if (body.firstElementChild?.dataset.why !== why) body.replaceChildren(el("p", { class: "muted", "data-why": why }, why, guide("How to prove delivered hashrate")));
  } else {
    if (!body.querySelector("table")) body.replaceChildren(el("div", { class: "scroll" }, frame()));
    list(body.querySelector("tbody"), answer.receipts, (receipt) => receipt.name, row, write);
  }
  pages(answer.total);
  writeTerms(answer.terms);
  attribute($("receipts"), "data-loaded", "");
}

async function load() {
  const mine = ++asked;
  clearTimeout(timer);
  try {
    const answer = await get(withQuery(PATH, query));
    if (mine !== asked) return;
    if (query.offset > 0 && query.offset >= answer.total) {
      query.offset = Math.max(0, (Math.ceil(answer.total / PAGE) - 1) * PAGE);
      return void load();
    }
    show(answer);
  } catch {
    if (mine !== asked) return;
    // What was shown last stays; the header says that nothing is heard.
  }
  timer = setTimeout(() => (document.hidden ? document.addEventListener("visibilitychange", load, { once: true }) : load()), EVERY_MS);
}

async function download(name) {
  try {
    const url = URL.createObjectURL(await getFile(address(name)));
    el("a", { href: url, download: name }).click();
    // The browser has begun to save it by then.
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  } catch (error) {
    say(`${name} could not be fetched: ${error.message}.`, "bad");
  }
}

/** Asks again while somebody else's is looked at. */
async function patiently(send) {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await send();
    } catch (error) {
      if (error.error !== "busy" || left <= 1) throw error;
      await sleep(TRY_EVERY_MS);
    }
  }
}

/** What is wrong with a file before it is sent; nothing if it can be. */
async function refusal(file) {
  if (file.size === 0) return "is empty";
  if (file.size > longest) return `is too long: at most ${format.bytes(longest)} are verified here; the command adit receipt verify takes longer ones`;
  const start = new Uint8Array(await file.slice(0, TERMS.length).arrayBuffer());
  if (TERMS.every((byte, at) => start[at] === byte)) return "holds terms, not a receipt: what is to be delivered, not what was. The command adit lease terms show reads it";
  return null;
}

/** Has a file verified, and shows what came of it. `fetched` gives the file. */
async function verify(name, fetched) {
  const mine = ++verifying;
  $("verdict").replaceChildren();
  say(`Verifying ${name} …`);
  try {
    const file = await fetched();
    let why;
    // A folder, or a file that is gone by now, has no bytes.
    try { why = await refusal(file); } catch { why = "cannot be read by this browser"; }
    if (mine !== verifying) return;
    if (why) return void say(`${name} ${why}.`, "bad");
    const [verdict, report] = await Promise.all([import("./verdict.js"), patiently(() => postFile(`${PATH}/verify`, file))]);
    if (mine !== verifying) return;
    const shut = () => {
      $("verdict").replaceChildren();
      say("");
      $("drop-choose").focus({ preventScroll: true });
    };
    const node = verdict.show(name, report, shut);
    $("verdict").replaceChildren(node);
    say(verdict.sentence(name, report), null, true);
    node.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (mine === verifying) say(`${name} was not verified: ${error.message}.`, "bad");
  }
}

const verifyListed = (name) => verify(name, () => getFile(address(name)));

function verifyDropped(files) {
  const [file, ...more] = files;
  if (more.length) say("One file at a time: the command adit receipt merge makes one of several.", "bad");
  else if (file) verify(file.name, async () => file);
}

export function begin() {
  const input = $("drop-file");
  $("drop-choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    verifyDropped([...input.files]);
    // The same file may be chosen again, when it is another one by then.
    input.value = "";
  });
  const over = (is) => attribute($("drop"), "data-over", is ? "" : null);
  const files = (event) => event.dataTransfer?.types.includes("Files");
  // Wherever a file is let go: a browser would leave the page for it.
  document.addEventListener("dragover", (event) => { if (files(event)) { event.preventDefault(); over(true); } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    over(false);
    $("drop").scrollIntoView({ block: "nearest" });
    verifyDropped([...event.dataTransfer.files]);
  });
  load();
}
