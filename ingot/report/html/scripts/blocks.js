// The disk, one cell for each block of 512 KiB, in the order of the disk. Arrow keys move from block to
// block, n and p between changes.
const BLOCK_WORDS = {
  same: "unchanged",
  changed: "changed",
  added: "was zeros, now data",
  removed: "was data, now zeros",
  zero: "zeros",
};
const isChange = (kind) => kind !== "same" && kind !== "zero";

const drawBlocks = (blocks) => {
  const cells = blocks.map.flatMap(([kind, number]) => new Array(number).fill(kind));
  if (!cells.length) return null;
  const hint = make(
    "p",
    { class: "hint", "aria-live": "polite" },
    "Point at a block, or use the arrow keys; n and p go to the next and the previous change.",
  );
  const differing = `${count(blocks.differing)} of them differ`;
  const label = `${count(cells.length)} blocks, ${differing}. Arrow keys, n and p move.`;
  const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": label });
  let columns = 1,
    cell = 1,
    cursor = -1;
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = () => {
    const width = canvas.parentElement?.clientWidth ?? 0;
    if (!width) return;
    cell = Math.max(3, Math.min(10, Math.floor(Math.sqrt((width * 380) / cells.length))));
    columns = Math.max(1, Math.floor(width / cell));
    const rows = Math.ceil(cells.length / columns);
    const ratio = window.devicePixelRatio || 1;
    canvas.width = columns * cell * ratio;
    canvas.height = rows * cell * ratio;
    canvas.style.width = `${columns * cell}px`;
    canvas.style.height = `${rows * cell}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const colors = Object.fromEntries(Object.keys(BLOCK_WORDS).map((kind) => [kind, color(`--map-${kind}`)]));
    const gap = cell > 4 ? 1 : 0.5;
    cells.forEach((kind, index) => {
      pen.fillStyle = colors[kind];
      pen.fillRect((index % columns) * cell, Math.floor(index / columns) * cell, cell - gap, cell - gap);
    });
    if (cursor >= 0) {
      pen.strokeStyle = color("--ink");
      pen.lineWidth = 2;
      pen.strokeRect(
        (cursor % columns) * cell - 1,
        Math.floor(cursor / columns) * cell - 1,
        cell + 1,
        cell + 1,
      );
    }
  };
  const show = (index) => {
    if (index < 0 || index >= cells.length) return;
    cursor = index;
    const start = bytes(index * blocks.block_size);
    hint.textContent = `Block ${count(index)}, from ${start} of the disk: ${BLOCK_WORDS[cells[index]]}`;
    draw();
  };
  const seek = (step) => {
    let index = cursor < 0 && step < 0 ? cells.length : cursor;
    do index += step;
    while (index >= 0 && index < cells.length && !isChange(cells[index]));
    return index;
  };
  canvas.addEventListener("pointermove", (event) => {
    const column = Math.floor(event.offsetX / cell);
    if (column < columns) show(Math.floor(event.offsetY / cell) * columns + column);
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = {
      ArrowLeft: () => cursor - 1,
      ArrowRight: () => cursor + 1,
      ArrowUp: () => cursor - columns,
      ArrowDown: () => cursor + columns,
      Home: () => 0,
      End: () => cells.length - 1,
      n: () => seek(1),
      p: () => seek(-1),
    };
    if (!steps[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(steps[event.key]());
  });
  const holder = make("div", {}, canvas);
  new ResizeObserver(draw).observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const number = (kind) => count(cells.filter((found) => found === kind).length);
  return card(
    "The disk",
    `${plural(cells.length, "block")} of ${bytes(blocks.block_size)}; ${count(blocks.differing)} differ, ` +
      `${bytes(blocks.differing * blocks.block_size)} to publish`,
    make(
      "ul",
      { class: "legend" },
      [
        ["m-changed", "changed"],
        ["m-added", "added"],
        ["m-removed", "removed"],
        ["same", "same"],
        ["zero", "zero"],
      ].map(([look, kind]) =>
        make("li", {}, make("i", { class: look }), `${BLOCK_WORDS[kind]}: ${number(kind)}`),
      ),
    ),
    holder,
    hint,
  );
};
