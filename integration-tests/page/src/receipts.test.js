// Receipts on the page: listed, given out, and verified, in front of an Adit that wants a token and has some.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { PATIENCE, command, run } from "./adit.js";
import { DESKTOP, PHONE, fresh, launch } from "./browser.js";
import { axe, clean, until } from "./checks.js";

const TOKEN = "page-test-0123456789abcdef";
const FIXTURES = fileURLToPath(new URL("../../../protocol-fixtures/receipts/", import.meta.url));
const fixture = (name) => readFileSync(join(FIXTURES, `${name}.receipt`));
/** More than a page of them. */
const ISSUED = 12;

let adit;
let browser;

/** Receipts as if one had come each hour, and terms that run. */
function prepare(folder) {
  const shelf = join(folder, "receipts");
  mkdirSync(shelf);
  for (let n = 1; n <= ISSUED; n += 1) {
    const file = join(shelf, `friend-${n}.receipt`);
    copyFileSync(join(FIXTURES, n === 3 ? "a-byte-damaged.receipt" : "honest.receipt"), file);
    utimesSync(file, 1_700_000_000 + n * 3600, 1_700_000_000 + n * 3600);
  }
  const key = /"([^"]+)"/.exec(command(folder, "keys", "--receipt", "farm.key"))[1];
  const at = (days) => `${new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)}`;
  const words = ["--from", at(-1), "--to", at(6), "--every", "24h", "--hashrate", "1 PH/s", "--issuer", key];
  command(folder, "lease", "terms", "make", "receipts/friend.terms", "--lease", "friend", ...words);
  command(folder, "lease", "terms", "sign", "receipts/friend.terms", "--key", "farm.key");
}

before(async () => {
  adit = await run(`read_token = "${TOKEN}"`, '[receipts]\nkey_file = "farm.key"\ndirectory = "receipts"', prepare);
  browser = await launch();
}, { timeout: 3 * PATIENCE });

after(async () => {
  await browser?.close();
  await adit?.end();
});

/** The page, with the token as if it had been asked for, once it has heard of receipts. */
async function show(page, url = adit.page) {
  await page.addInitScript((token) => sessionStorage.setItem("adit-token", token), TOKEN);
  await page.goto(url);
  await page.locator("#receipts[data-loaded]").waitFor();
}

const rows = (page) => page.locator(".receipts tbody th span:first-child").allTextContents();
const said = (page) => page.locator("#verdict-said").textContent();

/** Chooses a file, and waits for what is said of it. */
async function choose(page, name, bytes, pattern) {
  await page.locator("#drop-file").setInputFiles({ name, mimeType: "", buffer: Buffer.from(bytes) });
  return until(`${name}: ${pattern}`, async () => pattern.exec(await said(page)));
}

/** Every file of a folder, with its length and when it was changed. */
function everything(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const { size, mtimeMs } = statSync(path);
    return `${path} ${size} ${mtimeMs}`;
  }).sort();
}

test("receipts are listed, the newest first, a page at a time, with the terms that run", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page);
  assert.deepEqual(await rows(page), Array.from({ length: 10 }, (_, n) => `friend-${ISSUED - n}.receipt`));
  assert.equal(await page.locator("#receipts-count").textContent(), `${ISSUED} issued`);
  const first = await page.locator(".receipts tbody tr").first().textContent();
  assert.match(first, /^friend-12\.receiptlease lease-1.*2\.13 H\/s1\.63 to 2\.75 H\/s601\.51 kB/, first);
  await page.locator("#receipts-pages button", { hasText: "Older" }).click();
  await until("the second page", async () => (await rows(page)).join() === "friend-2.receipt,friend-1.receipt");
  await page.locator("#receipts-pages button", { hasText: "Newer" }).click();
  await until("the first again", async () => (await rows(page)).length === 10);
  const damaged = page.locator(".receipts tbody tr", { hasText: "friend-3.receipt" });
  assert.match(await damaged.textContent(), /not shown: the receipt is damaged/);
  const terms = await page.locator(".terms").textContent();
  assert.match(terms, /friend\.terms lease friend1\.00 PH\/s, .*a receipt a day; the next is due .*\. Signed by the issuer; no receiver is named/, terms);
  clean(seen);
  await context.close();
});

test("what is downloaded is the file, byte by byte", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download friend-12.receipt" }).click()]);
  assert.equal(download.suggestedFilename(), "friend-12.receipt");
  assert.ok(readFileSync(await download.path()).equals(fixture("honest")));
  clean(seen);
  await context.close();
});

test("a file that is dropped is verified in words, and nothing of it is kept", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page);
  const shelf = join(adit.folder, "receipts");
  const kept = everything(shelf);
  const folder = readdirSync(adit.folder).sort();
  const files = await page.evaluateHandle((bytes) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], "given.receipt"));
    return transfer;
  }, [...fixture("honest")]);
  await page.dispatchEvent("#overview", "dragover", { dataTransfer: files });
  await page.locator("#drop[data-over]").waitFor();
  await page.dispatchEvent("#overview", "drop", { dataTransfer: files });
  const verdict = page.getByRole("article", { name: "given.receipt: it holds" });
  await verdict.waitFor();
  assert.match(await said(page), /given\.receipt: it holds\. [\d.]+ H\/s, with 95 % confidence [\d.]+ to [\d.]+ H\/s\./);
  const words = await verdict.textContent();
  for (const part of [/Shares that count60/, /Proven✓60 shares of difficulty/, /Not proven/, /Nothing of the file was kept/]) assert.match(words, part);

  await choose(page, "altered.receipt", fixture("a-nonce-altered"), /refused\. share \d+ hashes to .*above the receipt difficulty's target/);
  assert.match(await page.locator("#verdict").textContent(), /Nothing of it is to be believed/);
  assert.equal(await page.locator("#verdict .sheet-figures").count(), 0, "no figure of it is shown as proven");
  await choose(page, "damaged.receipt", fixture("a-byte-damaged"), /unreadable\. the receipt is damaged/);
  await choose(page, "text.receipt", "so much hashrate was delivered", /unreadable\. this is no receipt/);
  await choose(page, "several.receipt", fixture("merged"), /several\.receipt: it holds/);
  assert.match(await page.locator("#verdict-title").textContent(), /several\.receipt, \d receipts: it holds/);

  assert.deepEqual(everything(shelf), kept);
  assert.deepEqual(readdirSync(adit.folder).sort(), folder);
  await page.getByRole("button", { name: "Close the verdict" }).click();
  await until("it is gone", async () => (await page.locator("#verdict").textContent()) === "");
  clean(seen);
  await context.close();
});

test("what cannot be verified is told in a sentence, and not sent", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page);
  const posts = [];
  page.on("request", (request) => { if (request.method() === "POST") posts.push(request.url()); });
  await choose(page, "friend.terms", readFileSync(join(adit.folder, "receipts/friend.terms")), /friend\.terms holds terms, not a receipt/);
  await choose(page, "empty.receipt", "", /empty\.receipt is empty\./);
  assert.match(await page.locator("#drop-how").textContent(), /up to 4\.19 MB/);
  await choose(page, "long.receipt", Buffer.alloc(4 * 1024 * 1024 + 1), /long\.receipt is too long: at most 4\.19 MB are verified here/);
  assert.deepEqual(posts, []);
  // As if two others had theirs verified meanwhile.
  let busy = 2;
  await page.route("**/api/v1/receipts/verify", (route) => {
    busy -= 1;
    if (busy < 0) return route.continue();
    return route.fulfill({ status: 503, json: { error: "busy", message: "a receipt is verified for somebody else at this moment: ask again" } });
  });
  await choose(page, "later.receipt", fixture("honest"), /later\.receipt: it holds/);
  assert.equal(busy, -1);
  assert.deepEqual(seen.elsewhere, []);
  await context.close();
});

test("a keyboard is enough to have a listed one verified", async () => {
  const { context, page, seen } = await fresh(browser);
  await show(page);
  // Early, so that the browser asks the test and not a person when the time has come.
  const chosen = page.waitForEvent("filechooser", { timeout: PATIENCE });
  await page.getByRole("link", { name: "Download friend-12.receipt" }).focus();
  await page.keyboard.press("Tab");
  await until("the next is to verify it", () => page.evaluate(() => document.activeElement.getAttribute("aria-label") === "Verify friend-12.receipt"));
  await page.keyboard.press("Enter");
  await page.getByRole("article", { name: "friend-12.receipt: it holds" }).waitFor();
  await page.getByRole("button", { name: "Close the verdict" }).press("Enter");
  await until("the focus is not lost", () => page.evaluate(() => document.activeElement.id === "drop-choose"));
  await page.keyboard.press("Enter");
  await (await chosen).setFiles(join(FIXTURES, "no-shares.receipt"));
  await page.getByRole("article", { name: "no-shares.receipt: it holds" }).waitFor();
  clean(seen);
  await context.close();
});

test("where none are issued a line says so, and any receipt is verified all the same", async () => {
  const other = await run("");
  try {
    const { context, page, seen } = await fresh(browser);
    await show(page, other.page);
    assert.match(await page.locator("#receipts-body").textContent(), /issues no receipts/);
    assert.equal(await page.locator(".receipts").count(), 0);
    await choose(page, "a.receipt", fixture("honest"), /a\.receipt: it holds/);
    clean(seen);
    await context.close();
  } finally {
    await other.end();
  }
});

test("axe finds nothing to complain of, and nothing is too wide", async () => {
  for (const [name, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    for (const colorScheme of ["light", "dark"]) {
      const { context, page, seen } = await fresh(browser, { viewport, colorScheme });
      await show(page);
      for (const [outcome, file] of [["holds", "honest"], ["refused", "a-nonce-altered"], ["unreadable", "a-byte-damaged"], ["several", "merged"]]) {
        await choose(page, `${file}.receipt`, fixture(file), new RegExp(`^${file}\\.receipt: `));
        await axe(page, `${outcome}, ${viewport.width} px, ${colorScheme}`);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${over} px too wide: ${outcome}, ${viewport.width} px, ${colorScheme}`);
        if (process.env.ADIT_SHOTS) await page.locator("#receipts").screenshot({ path: join(process.env.ADIT_SHOTS, `receipts-${outcome}-${name}-${colorScheme}.png`) });
      }
      clean(seen);
      await context.close();
    }
  }
});
