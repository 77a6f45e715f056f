// Adit as a process, for tests.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = process.env.ADIT_BIN ?? "adit";
/** A busy machine gets so long. */
export const PATIENCE = 90_000;

const all = new Set();
process.on("exit", () => { for (const child of all) child.kill("SIGKILL"); });

/** A process, and what it has said. */
class Child {
  constructor(words, options) {
    this.said = "";
    this.process = spawn(PROGRAM, words, { stdio: ["ignore", "pipe", "pipe"], ...options });
    all.add(this.process);
    this.ended = new Promise((resolve) => this.process.on("close", (code) => { all.delete(this.process); resolve(code); }));
    for (const pipe of [this.process.stdout, this.process.stderr]) {
      pipe.setEncoding("utf8");
      pipe.on("data", (text) => { this.said += text; });
    }
  }

  /** Waits until it says something, and gives what the first group matched. */
  async says(pattern) {
    const until = Date.now() + PATIENCE;
    for (;;) {
      const found = pattern.exec(this.said);
      if (found) return found[1];
      if (Date.now() > until || this.process.exitCode !== null) throw new Error(`not said: ${pattern}\n${this.said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Stands still, as a machine that hangs, and goes on. */
  freeze() { this.process.kill("SIGSTOP"); }
  thaw() { this.process.kill("SIGCONT"); }

  async end() {
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 15_000);
    const code = await this.ended;
    clearTimeout(timer);
    return code;
  }
}

/** `adit demo`, with what it prints about where it is. */
export async function demo(...words) {
  const child = new Child(["demo", "--seconds", "3600", ...words]);
  child.page = await child.says(/page +(http:\S+)/);
  child.miners = await child.says(/adit +(stratum\S+)/);
  return child;
}

/** A miner with this name. */
export const miner = (url, user) => new Child(["miner", url, "--user", user, "--hashes-per-second", "40000", "--password", "d=1e-6"]);

/** A command that ends, and what it says. */
export const command = (folder, ...words) => execFileSync(PROGRAM, words, { cwd: folder, encoding: "utf8", timeout: PATIENCE });

/** `adit run` with a configuration of its own, in front of no pool at all; `more` tables besides, and what `prepare` puts into its folder. */
export async function run(http, more = "", prepare = () => {}) {
  const folder = mkdtempSync(join(tmpdir(), "adit-page-"));
  prepare(folder);
  writeFileSync(join(folder, "adit.toml"), `version = 1
[listener.main]
listen = "127.0.0.1:0"
[source.nobody]
url = "stratum+tcp://127.0.0.1:1"
user_identity = "farm"
[route.main]
listeners = ["main"]
sources = ["nobody"]
[http]
listen = "127.0.0.1:0"
${http}
[state]
directory = "${folder}/state"
${more}
`);
  const child = new Child(["run", "--config", join(folder, "adit.toml")], { cwd: folder, env: { ...process.env, NO_COLOR: "1" } });
  child.ended.then(() => rmSync(folder, { recursive: true, force: true }));
  child.folder = folder;
  child.page = `${await child.says(/(http:\/\/127\.0\.0\.1:\d+)\/metrics/)}/`;
  return child;
}
