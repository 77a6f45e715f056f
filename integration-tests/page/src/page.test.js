// What the page promises, in front of 50 workers, two pools and a fail-over that goes on and on.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { PATIENCE, demo, miner, run } from "./adit.js";
import { DESKTOP, PHONE, fresh, launch, show } from "./browser.js";
import { axe, clean, until } from "./checks.js";

const FIRST_PAINT_MAX = 300_000;
const WORKERS = 50;
/** What a miner may call itself. */
const HOSTILE = '<img src=x onerror="window.hurt=1">';

let adit;
let hostile;
let browser;

before(async () => {
  adit = await demo("--miners", String(WORKERS), "--pools", "2", "--fail-over", "20");
  hostile = miner(adit.miners, HOSTILE);
  browser = await launch();
}, { timeout: 3 * PATIENCE });

after(async () => {
  await browser?.close();
  await hostile?.end();
  await adit?.end();
});

const number = (text) => Number(text.replaceAll(",", "").replace(/k$/, "e3"));
const names = (page) => page.locator(".workers tbody .name").allTextContents();
const matches = async (page, count) => (await page.locator("#workers-count").textContent()).startsWith(`${count} worker`);

test("the first paint needs few bytes, and nothing from elsewhere", async () => {
  const { context, page, seen } = await fresh(browser);
  const answer = await page.goto(adit.page);
  assert.match(answer.headers()["content-security-policy"], /default-src 'none'; script-src 'self'/);
  await page.locator('[data-tile="hashrate"]').waitFor();
  await page.locator("#workers[data-loaded]").waitFor();
  await page.waitForLoadState("load");
  const bytes = [...seen.bytes.values()].reduce((a, b) => a + b, 0);
  console.log(`figure: first paint ${bytes} bytes: ${[...seen.bytes].map(([path, n]) => `${path} ${n}`).join(", ")}`);
  assert.ok(bytes <= FIRST_PAINT_MAX, `${bytes} bytes`);
  clean(seen);
  await context.close();
});

test("a counter grows while one looks on", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page, adit.page);
  const value = async () => number(await page.locator('[data-tile="acknowledged"] .tile-value').textContent());
  await until("the first is acknowledged", async () => (await value()) > 0);
  const first = await value();
  await until("more are acknowledged", async () => (await value()) > first);
  clean(seen);
  await context.close();
});

test("workers are searched, filtered, sorted, paged and opened", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page, adit.page);
  await until("all are listed", () => matches(page, WORKERS + 1));
  await until("one page of them", async () => (await names(page)).length === 25);

  await page.locator("#pages button", { hasText: "Next" }).click();
  await until("the second page", async () => /Page 2 of 3/.test(await page.locator("#pages").textContent()));

  await page.getByLabel("Search").fill("worker4");
  await until("worker4 and worker40 to 49", () => matches(page, 11));
  await page.getByRole("button", { name: "Worker", exact: true }).click();
  await until("by name", async () => {
    const shown = await names(page);
    return shown.length === 11 && shown.join() === [...shown].sort().join();
  });
  await until("told so", async () => (await page.locator('th[data-sort="name"]').getAttribute("aria-sort")) === "ascending");
  await page.getByRole("button", { name: "Worker", exact: true }).click();
  await until("the other way round", async () => (await names(page))[0] === "demo.worker49");

  await page.getByRole("combobox", { name: "Source" }).selectOption("dev");
  await page.getByLabel("Search").fill("nobody is called so");
  await until("none", async () => (await page.locator("#workers-body").textContent()).includes("No worker matches"));
  await page.getByRole("combobox", { name: "Source" }).selectOption("");
  await page.getByLabel("Search").fill("worker7");
  await until("one", () => matches(page, 1));

  await page.getByRole("button", { name: "demo.worker7", exact: true }).click();
  const sheet = page.getByRole("dialog", { name: "demo.worker7" });
  await sheet.waitFor();
  await until("its firmware", async () => (await sheet.textContent()).includes("adit-miner/"));
  await until("what it speaks", async () => /Stratum V1/.test(await sheet.textContent()));
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  clean(seen);
  await context.close();
});

test("a fail-over is seen in the diagram and among the alerts, and so is its end", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page, adit.page);
  const box = (name) => page.locator(`.box[data-key="source ${name}"]`);
  await page.locator('.box[data-key="source dev"][data-state="bad"]').waitFor({ timeout: PATIENCE });
  await until("the second pool is mined for", async () => (await box("dev-2").textContent()).includes("mined for"));
  await page.locator(".alert", { hasText: "fall-back" }).waitFor();
  await until("its line carries shares", async () => (await page.locator('.links [data-key="route main>source dev-2"]').getAttribute("class")) === "link active");
  await until("the first is back", async () => (await box("dev").textContent()).includes("mined for"));
  await page.locator(".alert", { hasText: "fall-back" }).waitFor({ state: "detached" });
  await until("it stands among the events", async () => (await page.locator("#events-body").textContent()).includes("dev"));
  clean(seen);
  await context.close();
});

test("what a miner calls itself is text", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page, adit.page);
  await page.getByLabel("Search").fill("onerror");
  await until("it is found", () => matches(page, 1));
  await until("as it calls itself", async () => (await names(page)).join("\n") === HOSTILE);
  await page.locator(".workers .name").first().click();
  await until("its sheet", async () => (await page.locator("#worker-title").textContent()) === HOSTILE);
  await until("its figures", async () => (await page.locator("#worker").textContent()).includes("adit-miner/"));
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.evaluate(() => window.hurt), undefined);
  // The address names it: it is opened again.
  await page.reload();
  await until("its sheet again", async () => (await page.locator("#worker-title").textContent()) === HOSTILE);
  assert.equal(await page.evaluate(() => window.hurt), undefined);
  clean(seen);
  await context.close();
});

test("a keyboard is enough", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page, adit.page);
  const focused = () => page.evaluate(() => {
    const node = document.activeElement;
    return node.id || node.getAttribute("aria-label") || node.textContent.trim();
  });
  await page.keyboard.press("Tab");
  await until("the way past the head", async () => (await focused()) === "Skip to the figures");
  await page.keyboard.press("Enter");
  await until("the figures", async () => (await focused()) === "main");
  /** Tabs on until something has the focus; everything on the way must be visible. */
  const tabTo = async (is) => {
    for (let n = 0; n < 60; n += 1) {
      await page.keyboard.press("Tab");
      const now = await focused();
      if (is(now)) return;
    }
    assert.fail("never reached");
  };
  // Ranges are one stop, and arrows choose among them.
  await page.locator("#range input").first().waitFor({ state: "attached" });
  await tabTo((now) => now === "search");
  await page.keyboard.type("worker12");
  await until("one", () => matches(page, 1));
  await tabTo((now) => now === "demo.worker12");
  await page.keyboard.press("Enter");
  const sheet = page.getByRole("dialog", { name: "demo.worker12" });
  await sheet.waitFor();
  await until("the focus is in the sheet", () => page.evaluate(() => document.getElementById("worker").contains(document.activeElement)));
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  await until("the focus is where it was", async () => (await focused()) === "demo.worker12");
  clean(seen);
  await context.close();
});

test("axe finds nothing to complain of, on any screen and in any light", async () => {
  for (const viewport of [DESKTOP, PHONE]) {
    for (const colorScheme of ["light", "dark"]) {
      const { context, page, seen } = await fresh(browser, { viewport, colorScheme, reducedMotion: "reduce" });
      await show(page, adit.page);
      const where = `${viewport.width} px, ${colorScheme}`;
      await axe(page, `the page, ${where}`);
      await page.locator(".workers .name").first().click();
      await until("the sheet", async () => (await page.locator("#worker").textContent()).includes("Stratum V"));
      await axe(page, `a worker's sheet, ${where}`);
      await page.keyboard.press("Escape");
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${over} px too wide, ${where}`);
      clean(seen);
      await context.close();
    }
  }
});

test("the chosen light outlives a reload", async () => {
  const { context, page, seen } = await fresh(browser, { colorScheme: "light" });
  await show(page, adit.page);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  const button = page.getByRole("button", { name: /Theme/ });
  await button.click();
  await button.click();
  await until("dark is chosen", async () => (await button.getAttribute("aria-label")) === "Theme: dark. Change it");
  await until("it is dark", async () => (await ground()) !== light);
  await page.reload();
  await until("it is dark again", async () => (await ground()) !== light);
  clean(seen);
  await context.close();
});

test("charts are drawn from the history, and told in words", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page, adit.page);
  await page.getByRole("radio", { name: "15 min" }).check();
  const plot = page.locator("#hashrate-chart .plot");
  await until("a sample is known", async () => /Total: now [\d.]+ .H\/s/.test((await plot.getAttribute("aria-label")) ?? ""));
  await until("one drawing", async () => (await plot.locator("canvas").count()) === 1);
  await page.getByRole("radio", { name: "Sources" }).check();
  await until("both pools", async () => {
    const label = (await plot.getAttribute("aria-label")) ?? "";
    return label.includes("dev:") && label.includes("dev-2:");
  });
  await page.locator("#hashrate-chart summary").click();
  await page.locator("#hashrate-chart details th", { hasText: "dev-2" }).waitFor();
  clean(seen);
  await context.close();
});

test("an Adit that is silent is said to be, and so is its return", async () => {
  const { context, page } = await fresh(browser);
  await show(page, adit.page);
  adit.freeze();
  try {
    await until("it is missed", async () => /^Last heard \d+ s ago$/.test(await page.locator("#heard-text").textContent()));
    assert.ok(await page.locator('[data-tile="hashrate"]').isVisible(), "what was known stays");
  } finally {
    adit.thaw();
  }
  await page.locator('#heard[data-state="live"]').waitFor();
  await context.close();
});

test("where a token is needed the page asks for it, and keeps it as long as its tab", async () => {
  const token = "page-test-0123456789abcdef";
  const guarded = await run(`read_token = "${token}"`);
  try {
    const { context, page, seen } = await fresh(browser);
    await page.goto(guarded.page);
    const dialog = page.getByRole("dialog", { name: "This Adit asks for a token" });
    await dialog.waitFor();
    await page.getByRole("textbox", { name: "Token" }).fill("a-wrong-token-0123456789");
    await page.keyboard.press("Enter");
    await until("it is refused", async () => (await dialog.textContent()).includes("was not taken"));
    await page.getByRole("textbox", { name: "Token" }).fill(token);
    await page.keyboard.press("Enter");
    await page.locator('#heard[data-state="live"]').waitFor();
    await page.locator(".alert", { hasText: "A route has no work" }).waitFor();
    await page.reload();
    await page.locator('#heard[data-state="live"]').waitFor();
    assert.ok(!(await dialog.isVisible()), "it is not asked for again");
    assert.deepEqual(seen.elsewhere, []);
    await context.close();
  } finally {
    await guarded.end();
  }
});

test("pictures", { skip: !process.env.ADIT_SHOTS }, async () => {
  // While the first pool is away, and with some history.
  await new Promise((resolve) => setTimeout(resolve, Number(process.env.ADIT_SHOTS_AFTER ?? 60) * 1000));
  for (const [name, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    for (const colorScheme of ["light", "dark"]) {
      const { context, page } = await fresh(browser, { viewport, colorScheme, reducedMotion: "reduce" });
      await show(page, adit.page);
      await page.getByRole("radio", { name: "15 min" }).check();
      await page.locator(".alert", { hasText: "fall-back" }).waitFor({ timeout: 60_000 });
      await page.waitForTimeout(1500);
      await page.screenshot({ path: join(process.env.ADIT_SHOTS, `${name}-${colorScheme}.png`), fullPage: true });
      await page.locator(".workers .name").nth(2).click();
      await until("the sheet", async () => (await page.locator("#worker").textContent()).includes("Stratum V"));
      await page.screenshot({ path: join(process.env.ADIT_SHOTS, `${name}-${colorScheme}-worker.png`) });
      await context.close();
    }
  }
});
