// What verifying a receipt came to, in words. Loaded when the first is verified.

import { el } from "./dom.js";
import * as format from "./format.js";

/** Of merged receipts so many are shown one by one. */
const PARTS = 20;

/** A mark, what it is called, and what it means. */
const OUTCOMES = {
  holds: ["✓", "it holds", "It proves what it claims."],
  partly: ["◐", "it holds in part", "Some of its work is not counted, which its issuer could not know. The figures are those of the rest."],
  refused: ["✕", "refused", "Nothing of it is to be believed: it is not what its issuer signed, or its issuer signed what is not so."],
  unreadable: ["?", "unreadable", "Nothing follows from it."],
};
const WEIGHTS = { refused: "Refused", not_counted: "Not counted", note: "Note" };
const SUBJECTS = { lease: "the lease", route: "the route", worker: "the worker" };
const HASHES = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

const outcomeOf = (report) => OUTCOMES[report.outcome] ?? OUTCOMES.unreadable;

function hashes(value) {
  const at = Math.min(HASHES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${Number((value / 1000 ** at).toPrecision(3))} ${HASHES[at]}H`;
}

const seconds = ({ from, to }) => Math.max(1, to - from);

/** The figures that are proven: of one receipt, or of several together. */
function proven(report) {
  const figures = report.counted ?? report.sum;
  if (!figures) return null;
  const period = report.header ?? report.sum;
  return { ...figures, period, rates: format.between(figures.low / seconds(period), figures.high / seconds(period)) };
}

/** All of it in a sentence. */
export function sentence(name, report) {
  const [, word, meaning] = outcomeOf(report);
  const figures = proven(report);
  const why = report.findings.find((finding) => finding.severity === "refused");
  return `${name}: ${word}. ${figures ? `${format.hashrate(figures.hashrate)}, with 95 % confidence ${figures.rates}.` : why ? `${why.text}.` : meaning}`;
}

function findings(report) {
  if (report.findings.length === 0) return null;
  return el("div", {}, el("h4", {}, "Found"), el("ul", { class: "statements" }, report.findings.map((finding) => el("li", { "data-weight": finding.severity },
    el("b", {}, `${finding.kind === "unreadable" ? "Unreadable" : WEIGHTS[finding.severity] ?? "Note"}: `), finding.text,
    finding.shares > 0 ? el("span", { class: "muted" }, ` (${format.count(finding.shares)} ${finding.shares === 1 ? "share" : "shares"})`) : null))));
}

const statements = (title, mark, all) => (all?.length ? [
  el("h4", {}, title),
  el("ul", { class: "statements" }, all.map(({ text }) => el("li", {}, el("span", { class: "mark", "aria-hidden": "true" }, mark), el("span", {}, text)))),
] : null);

function figuresOf(report) {
  const figures = proven(report);
  if (!figures) return null;
  const of = report.shares ?? figures.shares;
  const items = [
    ["Proven hashrate", format.hashrate(figures.hashrate)],
    ["With 95 % confidence", figures.rates],
    ["Work", hashes(figures.hashes)],
    ["Shares that count", figures.shares === of ? format.count(of) : `${format.count(figures.shares)} of ${format.count(of)}`],
  ];
  return el("div", { class: "sheet-figures" }, items.map(([name, value]) => el("div", {}, el("p", { class: "tile-name" }, name), el("p", { class: "sheet-figure" }, value))));
}

function facts(report) {
  const { terms, header, claimed, counted } = report;
  if (!terms) return null;
  const items = [
    ["For", `${SUBJECTS[terms.subject.kind] ?? ""} ${terms.subject.name}, on ${terms.network}`],
    header && ["Period", `${format.period(header.from, header.to)} (${format.duration(seconds(header))})`],
    claimed && !counted && ["Claims, unproven", format.hashrate(claimed.hashrate)],
    claimed && ["Issued", format.time(claimed.at)],
    ["Issuer's key", el("code", {}, terms.issuer)],
    terms.receiver && ["Receiver's key", el("code", {}, terms.receiver)],
    terms.note && ["Note", terms.note],
  ].filter(Boolean);
  return el("dl", { class: "facts" }, items.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** All but the head. */
const body = (report) => [
  figuresOf(report),
  findings(report),
  facts(report),
  el("div", { class: "verdict-columns" },
    report.proven?.length ? el("div", {}, statements("Proven", "✓", report.proven)) : null,
    report.not_proven?.length ? el("div", {}, statements("Not proven", "–", report.not_proven)) : null),
];

function parts(reports) {
  const more = reports.length - PARTS;
  return [
    reports.slice(0, PARTS).map((report, at) => el("details", { class: "part", "data-outcome": report.outcome },
      el("summary", {}, `Receipt ${at + 1}: ${outcomeOf(report)[1]}${report.terms ? `, ${report.terms.subject.kind} ${report.terms.subject.name}` : ""}`), body(report))),
    more > 0 ? el("p", { class: "muted" }, `And ${format.count(more)} more: the command adit receipt verify shows all.`) : null,
  ];
}

/** The verdict as an element; `shut` is called when it is to go. */
export function show(name, report, shut) {
  const [mark, word, meaning] = outcomeOf(report);
  const several = Array.isArray(report.receipts);
  const title = several ? `${name}, ${format.count(report.receipts.length)} receipts: ${word}` : `${name}: ${word}`;
  return el("article", { class: "verdict", "data-outcome": report.outcome, "aria-labelledby": "verdict-title" },
    el("header", { class: "verdict-head" },
      el("span", { class: "mark", "aria-hidden": "true" }, mark),
      el("div", {}, el("h3", { id: "verdict-title" }, title), el("p", {}, meaning)),
      el("button", { type: "button", class: "quiet close", "aria-label": "Close the verdict", onclick: shut }, "✕")),
    several ? [figuresOf(report), findings(report), parts(report.receipts)] : body(report),
    el("p", { class: "muted" }, "Looked at without block headers. Nothing of the file was kept."));
}
