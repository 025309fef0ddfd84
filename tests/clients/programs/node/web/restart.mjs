// The broker is killed and started again: the page shows it, keeps what is handed in meanwhile, and counts nothing twice.
import assert from "node:assert/strict";
import { join } from "node:path";
import { broker, crunch, end, open, rows, screenshot, serve, start, total, until, withBrowser } from "./browser.mjs";

const LETTERS = 150;

async function leveret(address) {
  const options = ["--data-dir", join(process.cwd(), "restart.data"), "--listen", address, "--http", "off", "--metrics", "off"];
  const { child, line } = await start(process.env.LEVERET, ...options);
  return { child, address: /amqp=(\S+)/.exec(line)[1] };
}

let { child, address } = await leveret("127.0.0.1:0");
const served = await serve("--url", `amqp://guest:guest@${address}`);
await withBrowser(async (browser) => {
  const [page, other] = [await open(browser, served.url), await open(browser, served.url)];
  await crunch(page, "ann@apple.com bob@orchard.org");
  await total(page, 2);
  await until(page, "a warning", () => document.querySelectorAll("#warnings > li.written").length, 1);

  for (const [round, text, count] of [[1, "ann@apple.com carl@apple.com", 3], [2, "carl@apple.com dora@apple.com", 4]]) {
    assert.equal(await end(child, "SIGKILL"), "SIGKILL");
    for (const each of [page, other]) await broker(each, "lost");
    await page.getByText(`The broker at amqp://${address} is away.`).waitFor();
    await crunch(page, text);
    await until(other, "a letter that waits", () => document.querySelector("#letters .finds").textContent, "waits for the broker");
    if (round === 1) await screenshot(page, "desk-lost");

    ({ child } = await leveret(address));
    for (const each of [page, other]) await broker(each, "connected");
    await page.getByText("The broker is back.").waitFor();
    await Promise.all([total(page, count), total(other, count)]);
    await until(page, "warnings", () => document.querySelectorAll("#warnings > li.written").length, count - 1);
    await until(page, "finds", () => [...document.querySelectorAll("#letters .finds")].map((letter) => letter.children.length), Array(round + 1).fill(2));
    await page.getByText(`came back ${round === 1 ? "1 time" : "2 times"}`).waitFor();
  }
  for (const [id, count] of [["fast", "4"], ["slow", "4"], ["in-domain", "3"], ["warned", "3"]]) {
    assert.equal(await page.locator(`#${id}`).textContent(), count, id);
  }
  assert.deepEqual((await rows(page, "warnings", ".address")).sort(), ["ann@apple.com", "carl@apple.com", "dora@apple.com"]);
  await screenshot(page, "desk-healed");

  // Killed twice in the midst of many letters.
  for (let letter = 0; letter < LETTERS; letter++) {
    if (letter === LETTERS / 3 || letter === (2 * LETTERS) / 3) {
      await end(child, "SIGKILL");
      ({ child } = await leveret(address));
    }
    const response = await fetch(`${served.url}/letters/${letter}.txt`, { method: "POST", body: `friend${letter}@apple.com friend${letter}@pears.net` });
    assert.equal(response.status, 202);
  }
  for (const each of [page, other]) {
    await total(each, 4 + 2 * LETTERS);
    for (const [id, count] of [["fast", 4 + 2 * LETTERS], ["slow", 4 + 2 * LETTERS], ["in-domain", 3 + LETTERS], ["warned", 3 + LETTERS]]) {
      await until(each, id, (id) => document.getElementById(id).textContent, String(count), id);
    }
  }
});
assert.equal(await end(served.child), 0);
assert.equal(await end(child), 0);
