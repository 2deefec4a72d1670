// A treemap of the packages by installed size, before and after, at one scale: squarified (Bruls, Huizing and
// van Wijk, 2000).
const worst = (row, side, area) => {
  const largest = Math.max(...row),
    smallest = Math.min(...row);
  return Math.max((side * side * largest) / (area * area), (area * area) / (side * side * smallest));
};

// Lay `items` ({area}) out in a rectangle; each gets x, y, w, h.
const squarify = (items, x, y, w, h) => {
  const placed = [];
  let at = 0;
  while (at < items.length) {
    const side = Math.min(w, h);
    const line = [];
    let area = 0;
    while (at + line.length < items.length) {
      const next = items[at + line.length].area;
      if (line.length && worst([...line, next], side, area + next) > worst(line, side, area)) break;
      line.push(next);
      area += next;
    }
    const thick = side ? area / side : 0;
    let along = 0;
    for (let index = 0; index < line.length; index++) {
      const length = thick ? line[index] / thick : 0;
      placed.push(
        w >= h
          ? { ...items[at + index], x, y: y + along, w: thick, h: length }
          : { ...items[at + index], x: x + along, y, w: length, h: thick },
      );
      along += length;
    }
    if (w >= h) {
      x += thick;
      w -= thick;
    } else {
      y += thick;
      h -= thick;
    }
    at += line.length;
  }
  return placed;
};

const SMALLEST = 30; // pixels: what is smaller together is one cell, "others"

const drawTreemap = (sizes, changes, side, most, hint) => {
  const total = sizes.reduce((sum, [, kib]) => sum + kib, 0);
  const box = make("div", {
    class: "treemap",
    role: "img",
    "aria-label":
      `sizes of ${plural(sizes.length, "package")} ${side}, ` +
      `${bytes(total * 1024)} in all; a table follows`,
  });
  const draw = () => {
    const width = box.clientWidth;
    if (!width || !total) return;
    const height = Math.round(((width < 500 ? 300 : 380) * total) / most);
    box.style.height = `${height}px`;
    const scale = (width * height) / total;
    const large = sizes.filter(
      ([name, kib]) => kib * scale >= SMALLEST * 4 || (changes.has(name) && kib * scale > SMALLEST),
    );
    const rest = sizes.length - large.length;
    const items = large.map(([name, kib]) => ({
      name,
      kib,
      area: kib * scale,
      change: changes.get(name) ?? "",
    }));
    const others =
      sizes.reduce((sum, [, kib]) => sum + kib, 0) - large.reduce((sum, [, kib]) => sum + kib, 0);
    if (rest && others)
      items.push({ name: plural(rest, "other"), kib: others, area: others * scale, change: "" });
    items.sort((a, b) => b.area - a.area);
    box.replaceChildren(
      ...squarify(items, 0, 0, width, height).map((cell) => {
        const node = make("div", { class: `${cell.change}${cell.w < 40 || cell.h < 18 ? " tiny" : ""}` });
        Object.assign(node.style, {
          left: `${cell.x}px`,
          top: `${cell.y}px`,
          width: `${cell.w}px`,
          height: `${cell.h}px`,
        });
        const words = `${cell.name}: ${bytes(cell.kib * 1024)}${cell.change ? `, ${cell.change}` : ""}`;
        node.title = words;
        if (cell.w >= 40 && cell.h >= 18) node.textContent = cell.name;
        if (cell.w >= 60 && cell.h >= 36) node.append(make("br"), bytes(cell.kib * 1024));
        node.addEventListener("pointerenter", () => (hint.textContent = words));
        return node;
      }),
    );
  };
  new ResizeObserver(draw).observe(box);
  return make("div", {}, make("h4", { class: "soft" }, `${side}: ${bytes(total * 1024)}`), box);
};

const sizeTable = (diff) => {
  const after = new Map(diff.packages_by_size.after);
  const before = new Map(diff.packages_by_size.before);
  const names = [...new Set([...after.keys(), ...before.keys()])];
  names.sort(
    (a, b) =>
      Math.max(after.get(b) ?? 0, before.get(b) ?? 0) - Math.max(after.get(a) ?? 0, before.get(a) ?? 0),
  );
  const cell = (kib) => make("td", { class: "num" }, kib === undefined ? "–" : bytes(kib * 1024));
  return make(
    "table",
    {},
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        ["package", "before", "after"].map((head, index) =>
          make("th", { scope: "col", class: index ? "num" : null }, head),
        ),
      ),
    ),
    make(
      "tbody",
      {},
      names.map((name) =>
        make("tr", {}, make("td", {}, name), cell(before.get(name)), cell(after.get(name))),
      ),
    ),
  );
};

const drawSizes = (diff) => {
  const sums = ["before", "after"].map((side) =>
    diff.packages_by_size[side].reduce((sum, [, kib]) => sum + kib, 0),
  );
  if (!sums[0] && !sums[1]) return null;
  const hint = make("p", { class: "hint", "aria-hidden": "true" }, "Point at a package to see its size.");
  const changes = [new Map(), new Map()];
  for (const item of diff.packages) {
    changes[0].set(item.former_name ?? item.name, item.change);
    changes[1].set(item.name, item.change);
  }
  return card(
    "Packages by installed size",
    "as the packages state it; documentation that is left out still counts",
    make(
      "ul",
      { class: "legend" },
      [
        ["same", "unchanged"],
        ["upgraded", "upgraded"],
        ["added", "added"],
        ["removed", "removed or downgraded"],
      ].map(([kind, word]) => make("li", {}, make("i", { class: `t-${kind}` }), word)),
    ),
    make(
      "div",
      { class: "two" },
      ["before", "after"].map((side, index) =>
        sums[index]
          ? drawTreemap(diff.packages_by_size[side], changes[index], side, Math.max(...sums), hint)
          : null,
      ),
    ),
    hint,
    fold("The same as a table", () => sizeTable(diff), { class: "inner" }),
  );
};
