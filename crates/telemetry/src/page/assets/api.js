// What is asked of Adit, and how the answers come.

const KEEP = "adit-token";
let token = null;
try { token = sessionStorage.getItem(KEEP); } catch { /* asked for again in the next tab */ }

/** Adit refused, or could not be reached. */
export class Failure extends Error {
  constructor(status, error, message) {
    super(message);
    this.status = status;
    this.error = error;
  }
}

let askForToken = async () => { throw new Failure(401, "token_missing", "a token is needed"); };
let asking = null;

/** Who asks the user for a token: gets whether one was wrong, gives the new one. */
export const onTokenNeeded = (ask) => { askForToken = ask; };

async function newToken(wrong) {
  // All requests wait for one answer.
  asking ??= askForToken(wrong).finally(() => { asking = null; });
  token = await asking;
  try { sessionStorage.setItem(KEEP, token); } catch { /* it holds until the page is left */ }
}

async function ask(path, options = {}) {
  for (;;) {
    const used = token;
    const headers = { ...options.headers, ...(used && { authorization: `Bearer ${used}` }) };
    let response;
    try {
      response = await fetch(path, { cache: "no-store", credentials: "omit", ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure(0, "unreachable", "Adit cannot be reached");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      // Somebody else may have asked for it meanwhile.
      if (used === token) await newToken(used !== null);
      continue;
    }
    let said = {};
    try { said = await response.json(); } catch { /* no JSON: the status says it */ }
    throw new Failure(response.status, said.error ?? "http", said.message ?? `Adit answers ${response.status}`);
  }
}

/** An answer in JSON. */
export const get = async (path, options) => (await ask(path, options)).json();

/** An answer as it comes. */
export const getFile = async (path) => (await ask(path)).blob();

/** Sends bytes, and gives the answer in JSON. */
export const postFile = async (path, body) =>
  (await ask(path, { method: "POST", body, headers: { "content-type": "application/octet-stream" } })).json();

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A path with a query; what is empty is left out. */
export function withQuery(path, query) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") search.set(name, value);
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** Nothing for so long: the line is taken for dead. */
const SILENCE_MS = 8000;
const POLL_MS = 1000;

/**
 * Follows Adit for ever: the stream of events where it is served, else by asking each second. `hears` gets each status,
 * `logs` each new event, `lost` why nothing is heard.
 */
export async function follow({ hears, logs, lost }) {
  let pause = 500;
  let streams = true;
  let last = 0;
  const alive = () => { pause = 500; };
  for (;;) {
    try {
      if (streams) await stream(last, (kind, data, id) => {
        alive();
        if (id) last = id;
        if (kind === "status") hears(data);
        else if (kind === "log") logs(data);
      });
      else {
        hears(await get("/api/v1/status"));
        alive();
        await sleep(POLL_MS);
        continue;
      }
      lost(new Failure(0, "ended", "Adit closed the line"));
    } catch (error) {
      // Not there, or too many listen already: asking does as well.
      if (error.status === 404 || error.status === 503) {
        streams = false;
        if (error.status === 503) setTimeout(() => { streams = true; }, 60000);
        continue;
      }
      lost(error);
    }
    await sleep(pause);
    pause = Math.min(pause * 2, 5000);
  }
}

async function stream(after, take) {
  const abort = new AbortController();
  let timer;
  const rearm = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Failure(0, "silent", "Adit is silent")), SILENCE_MS);
  };
  rearm();
  try {
    const response = await ask(withQuery("/api/v1/stream", { after: after || undefined }), { signal: abort.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rearm();
      rest += value;
      const frames = rest.split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const part = (name) => frame.split("\n").filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart()).join("\n");
        const data = part("data");
        if (data) take(part("event") || "message", JSON.parse(data), part("id"));
      }
    }
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : error;
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}
