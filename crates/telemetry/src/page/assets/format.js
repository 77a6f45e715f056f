// Numbers as people read them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const NONE = "–";

function scaled(value, units, step = 1000) {
  let at = 0;
  let number = Math.abs(value);
  while (number >= step * 0.9995 && at < units.length - 1) {
    number /= step;
    at += 1;
  }
  const digits = number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
  return [(Math.sign(value) * number).toFixed(value === 0 ? 0 : digits), units[at]];
}

/** `[number, unit]` of hashes per second. */
export const hashrateParts = (hashes) =>
  Number.isFinite(hashes) ? scaled(hashes, ["H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s", "EH/s", "ZH/s"]) : [NONE, ""];
export const hashrate = (hashes) => hashrateParts(hashes).join(" ").trim();

export const count = (value) => (Number.isFinite(value) ? whole.format(value) : NONE);

/** Short: 12.3k. */
export function compact(value) {
  if (!Number.isFinite(value)) return NONE;
  if (Math.abs(value) < 10000) return count(value);
  const [number, unit] = scaled(value, ["", "k", "M", "G", "T"]);
  return number + unit;
}

/** A sum that may be small or large. */
export const amount = (value) => (Number.isFinite(value) && value > 0 && value < 10 ? value.toPrecision(2) : compact(value));

/** A rate that may be small. */
export function rate(value) {
  if (!Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  return value >= 100 ? count(value) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function percent(part, of) {
  if (!(of > 0)) return NONE;
  const value = (part / of) * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  // Never 100 while one is missing.
  const digits = value >= 99.995 || value < 1 ? 2 : value >= 10 && value < 99.95 ? 1 : 2;
  const shown = value.toFixed(digits);
  return `${part < of && Number(shown) >= 100 ? "99.99" : Number(shown)} %`;
}

export function difficulty(value) {
  if (!Number.isFinite(value) || value <= 0) return NONE;
  if (value < 0.001) return value.toExponential(1);
  if (value < 1) return value.toPrecision(2);
  const [number, unit] = scaled(value, ["", "k", "M", "G", "T"]);
  return `${Number(number)}${unit && ` ${unit}`}`;
}

/** A length of time. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s < 600 && s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 60)} min`;
  if (s < 86400) return s % 3600 < 60 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  const hours = Math.floor((s % 86400) / 3600);
  return `${Math.floor(s / 86400)} d${hours ? ` ${hours} h` : ""}`;
}

export const ago = (seconds) => (Number.isFinite(seconds) ? (seconds < 1.5 ? "now" : `${duration(seconds)} ago`) : "never");

/** A word of Adit's code as a phrase: `route_on_fallback` is "Route on fallback". */
export function phrase(word) {
  const spaced = String(word).replaceAll("_", " ").replaceAll("-", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** A moment: the time of day if it is today's. */
export function moment(unixMs) {
  const then = new Date(unixMs);
  return then.toDateString() === new Date().toDateString() ? clock.format(then) : date.format(then);
}

/** A file's length. */
export function bytes(value) {
  if (!Number.isFinite(value)) return NONE;
  const [number, unit] = scaled(value, ["bytes", "kB", "MB", "GB"]);
  return unit === "bytes" ? `${count(value)} ${value === 1 ? "byte" : "bytes"}` : `${Number(number)} ${unit}`;
}

const short = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const [ofThisYear, ofAny] = [new Intl.DateTimeFormat(undefined, short), new Intl.DateTimeFormat(undefined, { ...short, year: "numeric" })];
const years = (...dates) => (dates.every((one) => one.getFullYear() === new Date().getFullYear()) ? ofThisYear : ofAny);

/** A moment of any year, from Unix seconds: with its year if that is another one. */
export function time(seconds) {
  const then = new Date(seconds * 1000);
  return Number.isNaN(then.getTime()) ? NONE : years(then).format(then);
}

/** From one moment to another, Unix seconds. */
export function period(from, to) {
  const [begin, end] = [new Date(from * 1000), new Date(to * 1000)];
  if (Number.isNaN(begin.getTime()) || Number.isNaN(end.getTime())) return NONE;
  return years(begin, end).formatRange(begin, end);
}

/** An interval of hashrates, in one unit. */
export function between(low, high) {
  const [number, unit] = hashrateParts(high);
  const scale = high / Number(number);
  return Number.isFinite(scale) && Number(number) > 0 ? `${(low / scale).toFixed((number.split(".")[1] ?? "").length)} to ${number} ${unit}` : `${hashrate(low)} to ${hashrate(high)}`;
}
