// Chromium, closed to everything but this machine.

import { chromium } from "playwright-core";

import { PATIENCE } from "./adit.js";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/**
 * A fresh page that stands still between two actions, and what happened on it: requests that left the origin, errors, bytes by path.
 */
export async function fresh(browser, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const seen = { elsewhere: [], errors: [], bytes: new Map() };
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol !== "data:" && hostname !== "127.0.0.1") seen.elsewhere.push(request.url());
  });
  page.on("response", (response) => {
    const url = new URL(response.url());
    // A stream never ends: its bytes are not waited for.
    if (url.pathname === "/api/v1/stream") return;
    response.body().then((body) => seen.bytes.set(url.pathname, (seen.bytes.get(url.pathname) ?? 0) + body.length), () => {});
  });
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) seen.errors.push(message.text()); });
  page.on("pageerror", (error) => seen.errors.push(error.stack));
  return { context, page, seen };
}

/** The page, once it shows figures and has heard of workers. */
export async function show(page, url) {
  await page.goto(url);
  await page.locator('#heard[data-state="live"]').waitFor();
  await page.locator("#workers[data-loaded]").waitFor();
}
