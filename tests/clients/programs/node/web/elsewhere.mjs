// The page alone: crunchers and a spammer with Kombu, and a prompt, over the broker at $AMQP_URL.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { broker, crunch, end, open, rows, screenshot, serve, total, until, withBrowser } from "./browser.mjs";

const { KOMBU, PYTHON } = process.env;
const url = process.env.AMQP_URL;
const kombu = (name) => [join(KOMBU, `${name}.py`), "--url", url];
const services = [["crunch", "--fast"], ["crunch", "--slow"], ["spam", "--name", "ann"]].map(([name, ...options]) =>
  spawn(PYTHON, [...kombu(name), ...options], { stdio: ["ignore", "inherit", "inherit"] }));
const all = services.map((child) => new Promise((ended) => child.on("exit", ended)));
process.on("exit", () => services.forEach((child) => child.kill("SIGKILL")));

const served = await serve("--only-page", "--url", url);
await withBrowser(async (browser) => {
  const page = await open(browser, served.url);
  await broker(page, "connected");
  await until(page, "the queues have readers", () => document.querySelectorAll("#diagram .alone").length, 0);
  await crunch(page, "ann@apple.com, carl [at] orchard [dot] org");
  await total(page, 2);
  await page.locator("#letters .only-slow", { hasText: "carl@orchard.org" }).waitFor();
  await until(page, "the warning", () => [...document.querySelectorAll("#warnings > li")].map((row) => row.className.split(" ")[0]), ["queued"]);

  // A letter that another prompt publishes shows with its file's name.
  const letter = join(process.cwd(), "from-elsewhere.txt");
  await writeFile(letter, "ANN@apple.com dora@orchard.org");
  await promisify(execFile)(PYTHON, [...kombu("prompt"), letter]);
  await total(page, 3);
  await until(page, "both finds", () => document.querySelector("#letters .finds").children.length, 2);
  assert.deepEqual(await rows(page, "letters", ".name"), ["from-elsewhere.txt", "pasted text"]);
  await screenshot(page, "desk-elsewhere");
});
assert.equal(await end(served.child), 0);
services.forEach((child) => child.kill("SIGINT"));
assert.deepEqual(await Promise.all(all), [0, 0, 0]);
