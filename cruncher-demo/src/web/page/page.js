// Shows what the server tells, and hands letters in. All that comes from letters is put in as text, never as HTML.
import { Flow } from "/flow.js";

const ROWS_MAX = 200, CHIPS_MAX = 14, REFUSED_MAX = 3, TRIES_MAX = 60, BUSY = 503;
const part = (id) => document.getElementById(id);
const flow = new Flow(part("diagram"));

/** A new element with a class and children, which may be texts. */
function make(name, classes, ...children) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
const size = (bytes) => (bytes === null ? "from elsewhere" : bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`);
const took = (millis) => (millis === null ? "" : millis < 1 ? " · under 1 ms" : millis < 10000 ? ` · ${millis} ms` : ` · ${(millis / 1000).toFixed(1)} s`);
const cruncherClass = (name) => (name === "fast" || name === "slow" ? name : "other");

/** An address, which breaks before its domain if it has to break. */
function addressOf(address) {
  const at = address.lastIndexOf("@");
  return make("span", "address", address.slice(0, at), document.createElement("wbr"), address.slice(at));
}

/** A list of rows by number, newest first. */
class Rows {
  constructor(id, render) {
    this.list = part(id);
    this.empty = part(`${id}-empty`);
    this.render = render;
    this.clear();
  }

  clear() {
    this.shown = new Map();
    this.list.replaceChildren();
    this.empty.hidden = false;
  }

  /** Puts a row in its place, and gives the one that was there. */
  put(row, isNews) {
    const before = this.shown.get(row.row);
    const item = this.render(row);
    if (before) {
      before.item.replaceWith(item);
    } else {
      if (isNews) item.classList.add("fresh");
      this.list.prepend(item);
      this.empty.hidden = true;
    }
    this.shown.set(row.row, { row, item });
    if (this.shown.size > ROWS_MAX) {
      const [oldest, { item: last }] = this.shown.entries().next().value;
      last.remove();
      this.shown.delete(oldest);
    }
    return before?.row;
  }
}

const letters = new Rows("letters", (letter) => {
  const finds = Object.entries(letter.finds);
  const lines = finds.map(([name, find]) => make("span", cruncherClass(name), make("b", "", name), ` ${find.count} found${took(find.millis)}`));
  if (finds.length === 0) lines.push(letter.sent ? "in the queues of the crunchers" : "waits for the broker");
  const item = make("li", "letter", make("div", "head", make("span", "name", letter.name), make("span", "size", size(letter.bytes))), make("div", "finds", ...lines));
  const chips = chipsOf(letter.finds);
  if (chips.length > 0) item.append(make("ul", "chips", ...chips));
  return item;
});

/** The addresses of a letter; once both crunchers are done, those that only one of them found are marked. */
function chipsOf(finds) {
  const found = new Map();
  let more = 0;
  for (const [name, find] of Object.entries(finds)) {
    more = Math.max(more, find.count - find.addresses.length);
    for (const address of find.addresses) {
      const key = address.toLowerCase();
      found.set(key, { address, by: [...(found.get(key)?.by ?? []), name] });
    }
  }
  const isDone = "fast" in finds && "slow" in finds && more === 0;
  const chips = [...found.values()].slice(0, CHIPS_MAX).map(({ address, by }) => {
    const only = isDone && by.length === 1 && by[0] in finds ? by[0] : undefined;
    return only ? make("li", `only-${only}`, address, make("small", "", `${only} only`)) : make("li", "", address);
  });
  more += Math.max(found.size - CHIPS_MAX, 0);
  if (more > 0) chips.push(make("li", "", `${more} more`));
  return chips;
}

const addresses = new Rows("addresses", ({ address, found_by }) =>
  make("li", "pair", addressOf(address), make("span", "tags", ...[...found_by].sort().map((name) => make("span", cruncherClass(name), name)))));

const PROGRESS = {
  queued: "the queue holds the warning",
  written: "warned, the mail is written",
  failed: "given up by the spammer",
  unheard: "nobody listens for it",
  impossible: "cannot be warned",
};
const warnings = new Rows("warnings", ({ address, progress }) =>
  make("li", progress, addressOf(address), make("span", "progress", PROGRESS[progress] ?? progress)));

let fixed = {}, broker = {}, wasLost = false, bannerTimer;

/** Takes in what has changed; with its fixed part, all there is. */
function apply(change) {
  const isSnapshot = change.fixed !== undefined;
  if (isSnapshot) begin(change.fixed);
  if (change.broker) showBroker((broker = change.broker));
  if (change.totals) showTotals(change.totals);
  if (change.queues) showQueues(change.queues);
  for (const letter of change.letters ?? []) showMoves(letters.put(letter, !isSnapshot), letter, isSnapshot);
  for (const address of change.addresses ?? []) addresses.put(address, !isSnapshot);
  for (const warning of change.warnings ?? []) showWarning(warnings.put(warning, !isSnapshot), warning, isSnapshot);
}

function begin(now) {
  fixed = now;
  for (const rows of [letters, addresses, warnings]) rows.clear();
  for (const element of [part("domain"), ...document.querySelectorAll(".domain")]) element.textContent = fixed.domain;
  part("out").textContent = fixed.out ?? "";
  part("writes").hidden = !fixed.own_services;
  part("warned-label").textContent = fixed.own_services ? "warned" : "warnings handed on";
}

function showTotals(totals) {
  const total = part("total");
  if (total.textContent !== String(totals.addresses)) {
    total.textContent = totals.addresses;
    total.classList.remove("grown");
    void total.offsetWidth; // starts the animation anew
    total.classList.add("grown");
  }
  const [fast, slow] = [totals.by_cruncher.fast ?? 0, totals.by_cruncher.slow ?? 0];
  for (const [id, count] of [["fast", fast], ["slow", slow], ["in-domain", totals.in_domain], ["warned", fixed.own_services ? totals.warned : totals.asked]]) part(id).textContent = count;
  flow.say("fast", `${fast} found`);
  flow.say("slow", `${slow} found`);
  flow.say("status", plural(totals.addresses, "address", "addresses"));
  flow.say("spam", fixed.own_services ? `${totals.warned} warned` : "elsewhere");
}

function showQueues(queues) {
  const nodes = { "regex-cruncher": "fastQueue", "slow-cruncher": "slowQueue", status: "statusQueue" };
  for (const [name, node] of Object.entries(nodes)) {
    const queue = queues.find((queue) => queue.name === name);
    flow.say(node, queue ? `${queue.messages} waiting${queue.consumers === 0 ? ", no reader" : ""}` : "", queue?.consumers === 0);
    flow.fill(node, queue?.messages ?? 0);
  }
  const others = queues.find(({ name }) => name === "status")?.consumers > 1;
  part("others").hidden = !others;
  part("others").textContent = others ? "Another status service reads the same queue. This page has the higher priority, so the results come here first." : "";
}

/** Lets dots travel where a letter has got on. */
function showMoves(before, letter, isSnapshot) {
  if (isSnapshot) return;
  if (letter.sent && !before?.sent && letter.bytes !== null) {
    flow.travel(["page", "emails", "fastQueue"], "", "", "queued");
    flow.travel(["page", "emails", "slowQueue"], "", "", "queued");
  }
  for (const [name, find] of Object.entries(letter.finds)) {
    if (before?.finds[name]) continue;
    announce(`${letter.name}: ${name} found ${find.count}`);
    if (name === "fast" || name === "slow") flow.travel([`${name}Queue`, name, "statusQueue", "status"], name, "queued", "counted");
  }
}

function showWarning(before, { address, progress }, isSnapshot) {
  if (isSnapshot || before?.progress === progress) return;
  if (!before && progress !== "impossible") flow.travel(["status", "spammer", "nameQueue", "spam"], "warning", "counted", "asked");
  if (progress === "written") announce(`${address} is warned`);
}

function showBroker({ state, product, why, blocked, address, embedded, healed }) {
  const back = healed > 0 ? `, came back ${plural(healed, "time")}` : "";
  if (state === "connected" && blocked) pill("blocked", `${product} takes no messages for now: ${blocked}`);
  else if (state === "connected") pill("connected", `connected to ${product || "the broker"}${back}`);
  else if (state === "lost") pill("lost", "broker lost, connecting again");
  else pill("connecting", "connecting to the broker");
  flow.away(state !== "connected");
  part("address").textContent = part("join").textContent = address;
  part("embedded").hidden = !embedded;
  if (state === "lost") banner(`The broker at ${address} is away. What you hand in is kept and goes out when it is back.`, false, why);
  else if (wasLost) banner("The broker is back. What waited goes out now, and nothing is counted twice.", true);
  wasLost = state === "lost";
}

function pill(state, text) {
  part("broker").dataset.state = state;
  part("broker-text").textContent = text;
}

function banner(text, isGood = false, why = "") {
  const element = part("banner");
  clearTimeout(bannerTimer);
  element.hidden = text === "";
  element.classList.toggle("good", isGood);
  if (element.textContent !== text + why) element.replaceChildren(text, ...(why ? [make("small", "", why)] : []));
  if (isGood) bannerTimer = setTimeout(() => banner(""), 8000);
}

const news = [];
/** Says it to who cannot see it, several things at a time. */
function announce(text) {
  if (news.push(text) > 1) return;
  setTimeout(() => {
    part("news").textContent = news.length > 5 ? `${news.length} results` : news.join(". ");
    news.length = 0;
  }, 700);
}

let events, gone, leaving;
/** Listens to the server. The browser comes back by itself after a break, except when it was turned away. */
function listen() {
  events?.close();
  events = new EventSource("/events");
  events.onmessage = ({ data }) => apply(JSON.parse(data));
  events.onopen = () => {
    clearTimeout(gone);
    gone = undefined;
    if (part("broker").dataset.state === "gone") banner("");
  };
  events.onerror = () => {
    gone ??= setTimeout(() => {
      pill("gone", "this page has lost its server, trying again");
      banner("This page has lost the program that serves it. It shows the last that it knew.");
    }, 2500);
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

// A browser has six connections for all its windows of one page, so one that nobody sees gives its own back after a while.
addEventListener("visibilitychange", () => {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(() => events.close(), 60_000);
  else if (events.readyState === EventSource.CLOSED) listen();
});

function say(text, isBad = false) {
  part("said").textContent = text;
  part("said").classList.toggle("bad", isBad);
}

/** Hands one letter in; throws a sentence when it is not taken. */
async function handIn(name, body) {
  if (body.size === 0) throw new Error(`${name} is empty`);
  if (body.size > fixed.letter_bytes_max) throw new Error(`${name} is larger than ${size(fixed.letter_bytes_max)}`);
  const send = () => fetch(`/letters/${encodeURIComponent(name)}`, { method: "POST", body });
  let response;
  try {
    response = await send();
    for (let tries = 0; response.status === BUSY && tries < TRIES_MAX; tries++) {
      await new Promise((later) => setTimeout(later, 1000));
      response = await send();
    }
  } catch {
    throw new Error(`${name} cannot be handed in: it cannot be read, or the program that serves this page is away`);
  }
  if (response.ok) return;
  const { error } = await response.json().catch(() => ({ error: response.statusText }));
  throw new Error(`${name}: ${error}`);
}

async function handInAll(files) {
  const refused = [];
  let taken = 0;
  for (const file of files) {
    say(`handing in ${file.name} …`);
    await handIn(file.name, file).then(() => taken++, (why) => refused.push(why.message));
  }
  const said = taken > 0 ? `${plural(taken, "letter")} handed in` : "";
  const more = refused.splice(REFUSED_MAX).length;
  say([said, ...refused, more > 0 && `${more} more were refused`].filter(Boolean).join("; "), refused.length > 0);
}

let example = { name: "", text: "" };

part("hand-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (part("upload").disabled) return; // the keyboard asks no button
  const text = part("text").value;
  if (text.trim() === "") {
    say("There is nothing in the box yet.", true);
    return part("text").focus();
  }
  part("upload").disabled = true;
  try {
    await handIn(text === example.text ? example.name : "pasted text", new Blob([text]));
    if (part("text").value === text) part("text").value = "";
    say("The letter is handed in.");
  } catch (why) {
    say(why.message, true);
  }
  part("upload").disabled = false;
});

part("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) part("hand-in").requestSubmit();
});

part("files").addEventListener("change", async ({ target }) => {
  await handInAll([...target.files]);
  target.value = ""; // the same file may be chosen again
});

let over = 0;
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
function hover(change) {
  over = Math.max(over + change, 0);
  part("drop").hidden = over === 0;
}
addEventListener("dragenter", (event) => hasFiles(event) && hover(1));
addEventListener("dragleave", (event) => hasFiles(event) && hover(-1));
addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  hover(-over);
  handInAll([...event.dataTransfer.files]);
});
addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length > 0) handInAll([...clipboardData.files]);
});

async function offerExamples() {
  const letters = await (await fetch("/examples")).json();
  for (const { name, text } of letters) {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      part("text").value = text;
      example = { name, text: part("text").value };
      say(`${name} is in the box.`);
    });
    part("examples").append(button);
  }
  part("examples").hidden = letters.length === 0;
}

listen();
offerExamples().catch(() => {});
