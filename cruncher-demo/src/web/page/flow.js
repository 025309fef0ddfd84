// The picture of exchanges, queues and services, once for wide and once for narrow windows, and the dots that travel in it.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 104, HEIGHT = 52, DOTS_MAX = 60, TRAVEL_MS = 520;

// name: [kind, first line, second line, place in the wide picture, place in the tall one]
const NODES = {
  page: ["service", "this page", "prompt", [60, 120], [190, 32]],
  emails: ["exchange", "emails", "fanout", [190, 120], [190, 112]],
  fastQueue: ["queue", "regex-cruncher", "", [325, 62], [98, 196]],
  slowQueue: ["queue", "slow-cruncher", "", [325, 178], [282, 196]],
  fast: ["service fast", "fast cruncher", "", [460, 62], [98, 282]],
  slow: ["service slow", "slow cruncher", "", [460, 178], [282, 282]],
  statusQueue: ["queue", "status", "", [592, 120], [190, 366]],
  status: ["service", "status", "", [722, 120], [190, 448]],
  spammer: ["exchange", "spammer", "direct", [852, 120], [190, 530]],
  nameQueue: ["queue", "a queue each", "by local part", [982, 120], [190, 612]],
  spam: ["service", "spammers", "", [1112, 120], [190, 694]],
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
    for (const [node, parts] of Object.entries(NODES)) this.node(node, ...parts.slice(0, 3), parts[place]);
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

  node(name, kind, first, second, [x, y]) {
    const group = draw("g", { class: kind }, this.svg);
    const radius = kind === "exchange" ? HEIGHT / 2 : kind === "queue" ? 3 : 11;
    draw("rect", { class: "shape", x: x - WIDTH / 2, y: y - HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: radius }, group);
    draw("text", { x, y: y - 4 }, group).textContent = first;
    const line = draw("text", { x, y: y + 14, class: "second" }, group);
    line.textContent = second;
    this.nodes.set(name, { group, line });
  }
}

export class Flow {
  constructor(parent) {
    this.pictures = [new Picture("wide", 3, [1172, 240]), new Picture("tall", 4, [380, 728])];
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
