// Elements are made here and nowhere else, from text alone: what a name contains is never read as markup.
const make = (tag, options = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on")
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
};

const vector = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

const count = (number) => Number(number).toLocaleString("en-US");

const plural = (number, noun) => {
  const many = noun.endsWith("y") ? noun.slice(0, -1) + "ies" : noun + "s";
  return `${count(number)} ${number === 1 ? noun : many}`;
};

// Bytes in IEC units, with a sign where it is a difference.
const bytes = (number, signed = false) => {
  const sign = signed ? (number > 0 ? "+" : number < 0 ? "−" : "±") : "";
  let value = Math.abs(number);
  for (const unit of ["B", "KiB", "MiB"]) {
    if (value < 1024)
      return sign + (unit === "B" || value >= 100 ? value.toFixed(0) : value.toFixed(1)) + " " + unit;
    value /= 1024;
  }
  return sign + value.toFixed(1) + " GiB";
};

const short = (digest) => (digest ? digest.slice(0, 12) : "nothing");
const labelled = (part, key) => (part.environment ? `${part[key]} [${part.environment}]` : part[key]);

const KINDS = ["added", "removed", "upgraded", "downgraded", "rebuilt", "changed"];

// "3 added, 1 removed", each in its colour.
const tally = (changes) => {
  const counts = KINDS.map((kind) => [
    kind,
    changes.filter((change) => change.change === kind).length,
  ]).filter(([, n]) => n);
  return counts.flatMap(([kind, n], index) => [
    index ? ", " : "",
    make("span", { class: kind }, `${count(n)} ${kind}`),
  ]);
};

const badge = (change, word = change) => make("span", { class: `badge ${change}` }, word);

const row = (change, ...body) =>
  make("div", { class: "row" }, badge(change), make("div", { class: "body" }, body));

// A list that shows its first items, and more when asked: thousands of rows at once would stall a phone.
const longList = (items, draw, step = 100) => {
  const list = make("ul", { class: "rows" });
  const holder = make("div", {}, list);
  let shown = 0;
  const button = make("button", {
    type: "button",
    class: "more-button",
    on: { click: () => grow(step * 5) },
  });
  const grow = (by) => {
    const from = shown;
    list.append(...items.slice(shown, shown + by).map((item) => make("li", {}, draw(item))));
    shown = Math.min(items.length, shown + by);
    const left = items.length - shown;
    button.textContent = `Show ${count(Math.min(step * 5, left))} more (${count(left)} left)`;
    if (shown >= items.length) button.remove();
    if (from) list.children[from].querySelector("summary, a, button")?.focus();
  };
  if (items.length > step) holder.append(button);
  grow(step);
  return holder;
};

// Details whose inside is drawn when they are opened for the first time.
const fold = (summary, draw, options = {}) => {
  const node = make(
    "details",
    { class: options.class ?? "fold", open: options.open },
    make("summary", {}, summary),
  );
  let drawn = false;
  const fill = () => {
    if (node.open && !drawn) {
      drawn = true;
      node.append(draw());
    }
  };
  node.addEventListener("toggle", fill);
  fill();
  return node;
};

// What scrolls must be reachable by keyboard, and say what it is.
const scroller = (label, className, ...children) =>
  make("pre", { class: className, tabindex: "0", role: "region", "aria-label": label }, children);

const LINE_CLASS = { "+": "ins", "-": "del", "@": "at" };
const diffText = (lines, label) =>
  scroller(
    label,
    "diff",
    lines.map((line) => make("span", { class: LINE_CLASS[line[0]] ?? null }, line || " ")),
  );

let lastId = 0;
const section = (name, heading, note, ...children) => {
  const id = `s${++lastId}`;
  const node = make(
    "section",
    { id, "aria-labelledby": `${id}-h` },
    make("h2", { id: `${id}-h` }, heading, note ? make("span", { class: "soft" }, note) : null),
    children,
  );
  node.dataset.name = name;
  return node;
};

// A card that the navigation names.
const named = (name, node) => {
  if (!node) return null;
  node.id = `s${++lastId}`;
  node.dataset.name = name;
  return node;
};

const card = (heading, note, ...children) =>
  make(
    "div",
    { class: "card" },
    heading ? make("h3", {}, heading, note ? make("span", { class: "soft" }, note) : null) : null,
    children,
  );
