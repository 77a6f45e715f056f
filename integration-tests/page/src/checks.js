// What tests of the page look at.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { PATIENCE } from "./adit.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Waits until something is so. */
export async function until(what, isSo) {
  const end = Date.now() + PATIENCE;
  let last;
  while (Date.now() < end) {
    last = await isSo();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`never so: ${what}; at last: ${last}`);
}

/** Nothing went elsewhere, nothing failed. */
export function clean(seen) {
  assert.deepEqual(seen.elsewhere, [], "requests that leave the origin");
  assert.deepEqual(seen.errors, [], "errors in the console");
}

/** Axe has nothing to complain of. */
export async function axe(page, what) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
  });
  assert.deepEqual(found, [], what);
}
