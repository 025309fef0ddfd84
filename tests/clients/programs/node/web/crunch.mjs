// Letters are pasted, dropped and chosen; every page shows the same, on a desk and on a phone, by day and by night.
import assert from "node:assert/strict";
import { PHONE, broker, crunch, end, fits, open, rows, screenshot, serve, total, until, withBrowser } from "./browser.mjs";

const served = await serve();
await withBrowser(async (browser) => {
  const page = await open(browser, served.url);
  await broker(page, "connected");
  await screenshot(page, "desk-empty");

  // Three addresses, pasted.
  assert.equal(await page.locator("#total").textContent(), "0");
  await crunch(page, "Dear Ann (ann@apple.com), Bob <bob@apple.com> and carl@orchard.org say hello.");
  await total(page, 3);
  await until(page, "addresses", () => document.querySelectorAll("#addresses > li").length, 3);
  assert.deepEqual((await rows(page, "addresses", ".address")).sort(), ["ann@apple.com", "bob@apple.com", "carl@orchard.org"]);
  await until(page, "warnings", () => document.querySelectorAll("#warnings > li.written").length, 2);
  await until(page, "both finds", () => [...document.querySelectorAll("#letters > li:first-child .finds > span")].map((find) => find.className), ["fast", "slow"]);

  // Dropped: two files, one of them a mail in Latin-1, one with a name that would like to be HTML.
  const files = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    const mail = "From: J\u00f6rg <joerg@pears.net>\nContent-Transfer-Encoding: quoted-printable\n\nWrite to dora=40apple.com.\n";
    transfer.items.add(new File([Uint8Array.from(mail, (c) => c.charCodeAt(0))], "old.eml"));
    transfer.items.add(new File(["<img src=x onerror=alert(1)>@pears.net emil@pears.net"], "<img src=x onerror=alert(1)>.txt"));
    return transfer;
  });
  for (const type of ["dragenter", "dragover", "drop"]) await page.dispatchEvent("body", type, { dataTransfer: files });
  await total(page, 6);
  await until(page, "said", () => document.getElementById("said").textContent, "2 letters handed in");
  assert.ok((await rows(page, "letters", ".name")).includes("<img src=x onerror=alert(1)>.txt"));
  assert.equal(await page.locator("#letters img, #addresses img, main script").count(), 0);
  await page.locator("#letters .only-slow", { hasText: "dora@apple.com" }).waitFor();

  // Chosen, as on a phone.
  await page.getByLabel("Choose files").setInputFiles({ name: "chosen.txt", mimeType: "text/plain", buffer: Buffer.from("fritz@apple.com") });
  await total(page, 7);

  // What cannot be taken is said.
  await page.click("#upload");
  await until(page, "said", () => document.getElementById("said").textContent, "There is nothing in the box yet.");
  await page.getByLabel("Choose files").setInputFiles({ name: "large.bin", mimeType: "text/plain", buffer: Buffer.alloc((16 << 20) + 1, 97) });
  await until(page, "said", () => document.getElementById("said").textContent, "large.bin is larger than 16.0 MiB");

  // An example, by the keyboard.
  await page.getByRole("button", { name: "harvest.eml" }).press("Enter");
  await page.getByLabel("Paste a letter").press("Control+Enter");
  await until(page, "the example's name", () => document.querySelector("#letters .name").textContent, "harvest.eml");
  await until(page, "both finds", () => document.querySelectorAll("#letters > li:first-child .finds > span").length, 2);
  // Keys that repeat hand a letter in once, and what is written meanwhile stays.
  await page.evaluate(() => {
    const [form, text] = ["hand-in", "text"].map((id) => document.getElementById(id));
    text.value = "lena@orchard.org";
    for (let press = 0; press < 3; press++) form.requestSubmit();
    text.value = "max@orchard.org";
  });
  await until(page, "it is handed in", () => document.getElementById("upload").disabled, false);
  assert.equal(await page.locator("#text").inputValue(), "max@orchard.org");
  await crunch(page, "max@orchard.org");
  await until(page, "two more letters", () => document.querySelectorAll("#letters > li").length, 7);
  await until(page, "both finds", () => [...document.querySelectorAll("#letters .finds")].map((letter) => letter.children.length), Array(7).fill(2));
  const count = Number(await page.locator("#total").textContent());
  assert.ok(count > 7);
  await fits(page);
  await screenshot(page, "desk");

  // The total survives a reload, and every other page shows the same.
  await page.reload();
  await total(page, count);
  assert.equal(await page.locator("#letters > li").count(), 7);
  const phone = await open(browser, served.url, { viewport: PHONE, dark: true });
  await total(phone, count);
  await fits(phone);
  await crunch(phone, `gwen@orchard.org ${"a-long-local-part-".repeat(8)}@orchard.org`);
  await Promise.all([total(page, count + 2), total(phone, count + 2)]);
  await fits(phone);
  await screenshot(phone, "phone-dark");
  await phone.emulateMedia({ colorScheme: "light" });
  await screenshot(phone, "phone");
  await page.emulateMedia({ colorScheme: "dark" });
  await screenshot(page, "desk-dark");
  await page.setViewportSize({ width: 820, height: 1100 });
  await fits(page);
  await screenshot(page, "tablet-dark");

  // The program goes, and the pages say so. When it comes back, it has nothing yet.
  assert.equal(await end(served.child), 0);
  await broker(page, "gone");
  const again = await serve("--listen", served.url.slice("http://".length));
  for (const each of [page, phone]) {
    await broker(each, "connected");
    await total(each, 0);
    assert.equal(await each.locator("#letters > li").count(), 0);
  }
  assert.equal(await end(again.child), 0);
});
