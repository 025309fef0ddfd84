// The picture of exchanges, queues and services, once for wide and once for narrow windows, and the dots that travel in it.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 114, HEIGHT = 56, SLOTS = 7, DOTS_MAX = 60, TRAVEL_MS = 520;

// name: [kind, first line, second line, what it does, place in the wide picture, place in the tall one]
const NODES = {
  page: ["service", "this page", "prompt", "publishes letters", [62, 108], [190, 32]],
  emails: ["exchange", "emails", "fanout", "copies it to both", [200, 108], [190, 118]],
  fastQueue: ["queue", "regex-cruncher", "", "", [338, 46], [98, 206]],
  slowQueue: ["queue", "slow-cruncher", "", "", [338, 170], [282, 206]],
  fast: ["service fast", "fast cruncher", "", "one pattern", [476, 46], [98, 294]],
  slow: ["service slow", "slow cruncher", "", "decodes, checks", [476, 170], [282, 294]],
  statusQueue: ["queue", "status", "", "", [614, 108], [190, 386]],
  status: ["service", "status", "", "counts what is new", [752, 108], [190, 472]],
  spammer: ["exchange", "spammer", "direct", "routes by name", [890, 108], [190, 558]],
  nameQueue: ["queue", "ann, bob, \u2026", "a queue each", "", [1028, 108], [190, 644]],
  spam: ["service", "spammers", "", "write the warnings", [1166, 108], [190, 730]],
};
const EDGES = [
  ["page", "emails"], ["emails", "fastQueue"], ["emails", "slowQueue"], ["fastQueue", "fast"], ["slowQueue", "slow"],
  ["fast", "statusQueue"], ["slow", "statusQueue"], ["statusQueue", "status"], ["status", "spammer"],
  ["spammer", "nameQueue"], ["nameQueue", "spam"],
];

function draw(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

class Picture {
  constructor(name, place, size) {
    this.svg = draw("svg", { class: name, viewBox: `0 0 ${size[0]} ${size[1]}` });
    this.tall = name === "tall";
    this.edges = new Map();
    this.nodes = new Map();
    for (const [from, to] of EDGES) this.edge(from, to, NODES[from][place], NODES[to][place]);
    for (const [node, parts] of Object.entries(NODES)) this.node(node, ...parts.slice(0, 4), parts[place]);
  }

  edge(from, to, [x1, y1], [x2, y2]) {
    const tip = 7;
    let path, arrow;
    if (this.tall) {
      const [top, bottom] = [y1 + HEIGHT / 2, y2 - HEIGHT / 2 - tip];
      const middle = (top + bottom) / 2;
      path = `M${x1} ${top}C${x1} ${middle + 6} ${x2} ${middle - 6} ${x2} ${bottom}`;
      arrow = `M${x2 - 5} ${bottom}h10l-5 ${tip}z`;
    } else {
      const [left, right] = [x1 + WIDTH / 2, x2 - WIDTH / 2 - tip];
      const middle = (left + right) / 2;
      path = `M${left} ${y1}C${middle + 3} ${y1} ${middle - 3} ${y2} ${right} ${y2}`;
      arrow = `M${right} ${y2 - 5}v10l${tip} -5z`;
    }
    draw("path", { class: "tip", d: arrow }, this.svg);
    this.edges.set(`${from} ${to}`, draw("path", { class: "edge", d: path }, this.svg));
  }

  node(name, kind, first, second, does, [x, y]) {
    const group = draw("g", { class: kind }, this.svg);
    const isQueue = kind === "queue";
    const radius = kind === "exchange" ? HEIGHT / 2 : isQueue ? 4 : 12;
    draw("rect", { class: "shape", x: x - WIDTH / 2, y: y - HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: radius }, group);
    draw("text", { x, y: isQueue ? y - 9 : y - 3 }, group).textContent = first;
    const line = draw("text", { x, y: isQueue ? y + 6 : y + 14, class: "second" }, group);
    line.textContent = second;
    const slots = [];
    for (let at = 0; isQueue && at < SLOTS; at++) {
      slots.push(draw("rect", { class: "slot", x: x + (at - SLOTS / 2) * 13 + 1, y: y + 13, width: 11, height: 7, rx: 2 }, group));
    }
    const isBeside = this.tall && x === 190;
    const place = isBeside ? { x: x + WIDTH / 2 + 10, y: y + 4, class: "does beside" } : { x, y: y + HEIGHT / 2 + 17, class: "does" };
    if (isBeside || !this.tall) draw("text", place, group).textContent = does;
    this.nodes.set(name, { group, line, slots });
  }
}

export class Flow {
  constructor(parent) {
    this.pictures = [new Picture("wide", 4, [1228, 224]), new Picture("tall", 5, [380, 764])];
    this.dots = 0;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.free = new Map();
    parent.append(...this.pictures.map((picture) => picture.svg));
  }

  /** Writes the second line of a node. */
  say(node, text, alone = false) {
    for (const picture of this.pictures) {
      const { group, line } = picture.nodes.get(node);
      if (line.textContent !== text) line.textContent = text;
      group.classList.toggle("alone", alone);
    }
  }

  /** Shows how full a queue is. */
  fill(node, messages) {
    for (const picture of this.pictures) {
      picture.nodes.get(node).slots.forEach((slot, at) => slot.classList.toggle("filled", at < messages));
    }
  }

  /** Shows whether a broker is there. */
  away(isAway) {
    for (const picture of this.pictures) picture.svg.classList.toggle("away", isAway);
  }

  /** Sends a dot along nodes: not before those that came to `after`; when it arrives, `stage` is free for the next. */
  travel(nodes, color, after, stage) {
    const now = performance.now();
    const start = Math.max(now, Math.min(this.free.get(after) ?? 0, now + 4000));
    this.free.set(stage, Math.max(this.free.get(stage) ?? 0, start + TRAVEL_MS * (nodes.length - 1)));
    setTimeout(() => this.hop(nodes, color), start - now);
  }

  hop([from, to, ...rest], color) {
    this.light(from);
    if (to === undefined) return;
    const arrived = () => this.hop([to, ...rest], color);
    if (this.still.matches || this.dots >= DOTS_MAX || document.hidden) return void setTimeout(arrived, TRAVEL_MS);
    for (const picture of this.pictures) this.dot(picture, picture.edges.get(`${from} ${to}`), color);
    setTimeout(arrived, TRAVEL_MS);
  }

  dot(picture, edge, color) {
    if (getComputedStyle(picture.svg).display === "none") return;
    const dot = draw("circle", { class: `dot ${color}`, r: 5.5 }, picture.svg);
    const begin = performance.now(), length = edge.getTotalLength();
    this.dots++;
    const step = (now) => {
      const part = Math.min(Math.max(now - begin, 0) / TRAVEL_MS, 1);
      const { x, y } = edge.getPointAtLength(length * part);
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
      if (part < 1) return requestAnimationFrame(step);
      dot.remove();
      this.dots--;
    };
    step(begin);
  }

  light(node) {
    for (const picture of this.pictures) {
      const { group } = picture.nodes.get(node);
      group.classList.add("lit");
      clearTimeout(group.timer);
      group.timer = setTimeout(() => group.classList.remove("lit"), 450);
    }
  }
}
