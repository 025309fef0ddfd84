// What the programs share: the page's program, a browser that must have nothing to complain of, and waiting with a bound.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const TIMEOUT = 60_000;
const SCREENSHOTS = process.env.SCREENSHOTS ?? "screenshots";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
export const DESK = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** Starts a program and gives it with the first line that it prints. */
export async function start(command, ...options) {
  const child = spawn(command, options, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, AMQP_URL: undefined } });
  running.add(child);
  child.ended = new Promise((ended) => child.on("exit", (code, signal) => ended(signal ?? code)));
  const lines = createInterface(child.stdout);
  const line = await Promise.race([new Promise((first) => lines.once("line", first)), child.ended]);
  assert.equal(typeof line, "string", `${command} ended with ${line}`);
  lines.on("line", (more) => console.log(more));
  return { child, line };
}

/** Ends a program with a signal, and gives the code or signal that it ended with. */
export async function end(child, signal = "SIGTERM") {
  child.kill(signal);
  const ended = await child.ended;
  running.delete(child);
  return ended;
}

/** Serves the page, on a free port unless another place is named, with its warnings in our folder; gives its address. */
export async function serve(...options) {
  const listen = options.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  const out = options.includes("--only-page") ? [] : ["--out", join(process.cwd(), "warnings")];
  const { child, line } = await start(process.env.CRUNCHER_DEMO, "web", ...listen, ...out, ...options);
  assert.match(line, /^open http:\/\/127\.0\.0\.1:\d+$/);
  return { child, url: line.slice("open ".length) };
}

/** Runs `look` with a browser, and checks afterwards that no page of it had an error or broke its own policy. */
export async function withBrowser(look) {
  const folder = await mkdtemp(join(tmpdir(), "web-page-"));
  const browser = await chromium.launchPersistentContext(folder, { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS, viewport: DESK, timeout: TIMEOUT });
  browser.setDefaultTimeout(TIMEOUT);
  const errors = [];
  browser.on("weberror", (error) => errors.push(error.error()));
  browser.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  try {
    await look(browser);
  } finally {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  }
  // That the server is away for a while is what some programs want.
  assert.deepEqual(errors.filter((error) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED/.test(error)), []);
}

/** A page that shows its server's state. */
export async function open(browser, url, options = {}) {
  const page = await browser.newPage();
  if (options.viewport) await page.setViewportSize(options.viewport);
  if (options.dark) await page.emulateMedia({ colorScheme: "dark" });
  await page.goto(url);
  return page;
}

/** Waits until a question, asked within the page, is answered with what is expected. */
export async function until(page, what, ask, expected = true, argument = undefined) {
  let seen;
  for (const begin = Date.now(); Date.now() - begin < TIMEOUT; await page.waitForTimeout(50)) {
    seen = await page.evaluate(ask, argument);
    if (JSON.stringify(seen) === JSON.stringify(expected)) return;
  }
  assert.fail(`${what}: ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}`);
}

/** Waits for the number of addresses on a page. */
export const total = (page, count) => until(page, "total", () => document.getElementById("total").textContent, String(count));

/** Waits for a state of the broker's lamp. */
export const broker = (page, state) => page.locator(`#broker[data-state=${state}]`).waitFor();

/** Hands the text of the box in. */
export async function crunch(page, text) {
  await page.fill("#text", text);
  await page.click("#upload");
  await until(page, "the box is empty again", () => document.getElementById("text").value, "");
}

/** The texts of a list, newest first. */
export const rows = (page, list, part) => page.locator(`#${list} > li ${part}`).allTextContents();

/** Nothing stands beyond the right edge. */
export async function fits(page) {
  const { scroll, window } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, window: innerWidth }));
  assert.ok(scroll <= window, `the page is ${scroll} wide in a window of ${window}`);
}

export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.waitForTimeout(1500); // what moves comes to rest; nothing is judged by it
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}
