// One image: what differs, with a search over all of it.
const drawChange = (change) =>
  row(change.change, make("b", {}, change.name), make("div", { class: "what" }, change.description));
const drawPort = (change) => {
  const port = change.after ?? change.before;
  return row(
    change.change,
    make("b", {}, change.name),
    make("div", { class: "what" }, port.local ? "this machine only, " : "", port.place),
  );
};

const LISTS = [
  ["system", "System", drawChange],
  ["ports", "Ports", drawPort],
  ["users", "Users", drawChange],
  ["groups", "Groups", drawChange],
  ["dependencies", "Artifacts and dependencies", drawChange],
  ["stages", "Stages", drawChange],
  ["services", "Services", drawChange],
  ["tests", "Tests", drawChange],
  ["hygiene", "Let pass by the hygiene gate", drawChange],
];

const words = (change) =>
  [change.name ?? change.path, change.change, change.description ?? "", change.package ?? ""]
    .join(" ")
    .toLowerCase();

// Everything that can be found: {words, change, draw}.
const findable = (diff, groups) => [
  ...groups.map((group) => ({ words: group.words, change: group.change, draw: () => drawPackage(group) })),
  ...LISTS.flatMap(([key, heading, draw]) =>
    diff[key].map((change) => ({
      words: `${heading.toLowerCase()} ${words(change)}`,
      change: change.change,
      draw: () => draw(change),
    })),
  ),
  ...diff.files.map((file) => ({
    words: words(file) + " " + (file.text?.lines ?? []).join(" ").toLowerCase(),
    change: file.change,
    draw: () => drawFile(file),
  })),
];

const searchBar = (diff, groups, usual) => {
  const results = make("div", { class: "hidden" });
  const said = make("p", { class: "count soft small", role: "status" });
  const input = make("input", {
    type: "search",
    placeholder: "Search packages, files, users, text…",
    "aria-label": "Search this image's differences",
    autocomplete: "off",
    spellcheck: "false",
  });
  const pressed = new Set();
  let all = null;
  const update = () => {
    const wanted = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const active = wanted.length > 0 || pressed.size > 0;
    usual.classList.toggle("hidden", active);
    results.classList.toggle("hidden", !active);
    if (!active) {
      said.textContent = "";
      results.replaceChildren();
      return;
    }
    all ??= findable(diff, groups);
    const hits = all.filter(
      (item) =>
        (!pressed.size || pressed.has(item.change)) && wanted.every((word) => item.words.includes(word)),
    );
    said.textContent = hits.length ? `${plural(hits.length, "difference")} found` : "Nothing found.";
    results.replaceChildren(
      ...(hits.length
        ? [
            card(
              null,
              null,
              longList(hits, (item) => item.draw(), 50),
            ),
          ]
        : []),
    );
  };
  let waiting = 0;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(update, 80);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && input.value) {
      event.preventDefault();
      input.value = "";
      update();
    }
  });
  const kinds = KINDS.filter((kind) =>
    [...diff.packages, ...diff.files, ...LISTS.flatMap(([key]) => diff[key])].some(
      (change) => change.change === kind,
    ),
  );
  const filters = kinds.map((kind) =>
    make(
      "button",
      {
        type: "button",
        "aria-pressed": "false",
        on: {
          click: (event) => {
            if (!pressed.delete(kind)) pressed.add(kind);
            event.currentTarget.setAttribute("aria-pressed", String(pressed.has(kind)));
            update();
          },
        },
      },
      kind,
    ),
  );
  return [
    make(
      "div",
      { class: "card search", role: "search" },
      input,
      make("div", { class: "filters", role: "group", "aria-label": "Kinds of change" }, filters),
      said,
    ),
    results,
  ];
};

const sizeLine = (diff) =>
  diff.size
    .filter((change) => change.name === "used" || change.name === "disk")
    .map((change) =>
      make(
        "p",
        {},
        `${change.name}: `,
        make("b", {}, `${bytes(change.before ?? 0)} → ${bytes(change.after ?? 0)}`),
        ` (${bytes((change.after ?? 0) - (change.before ?? 0), true)})`,
      ),
    );

const STATES = {
  published: "published, nothing is baked",
  stored: "baked, in the store",
  missing: "is baked when it is deployed",
  unused: "no stack deploys it",
};
const drawImage = (image) => {
  const heading = `Image ${image.recipe ?? ""}${image.environment ? ` [${image.environment}]` : ""}`.trim();
  const diff = image.diff;
  const state = image.state
    ? `${STATES[image.state] ?? image.state}${image.ami ? `: ${image.ami}` : ""}`
    : null;
  const digests = `${short(image.before)} → ${short(image.after)}`;
  if (!diff)
    return section(
      heading,
      heading,
      digests,
      make(
        "div",
        { class: "card" },
        make("p", {}, state),
        image.no_diff ? make("p", { class: "soft" }, `No image diff: ${image.no_diff}`) : null,
      ),
    );
  if (diff.empty)
    return section(
      heading,
      heading,
      digests,
      make("div", { class: "card" }, make("p", {}, "The images are the same.")),
    );
  const groups = groupPackages(diff.packages);
  const usual = make(
    "div",
    {},
    named(
      "Packages",
      groups.length ? card("Packages", tally(diff.packages), longList(groups, drawPackage)) : null,
    ),
    make(
      "div",
      { class: "two" },
      LISTS.filter(([key]) => diff[key].length).map(([key, name, draw]) =>
        card(name, tally(diff[key]), longList(diff[key], draw, 30)),
      ),
    ),
    drawFiles(diff.files, diff.packages),
    named("Sizes", drawSizes(diff)),
    named("Disk", drawBlocks(diff.blocks)),
  );
  return section(
    heading,
    heading,
    state ? `${digests} · ${state}` : digests,
    diff.notes.map((note) => make("p", { class: "card soft" }, note)),
    searchBar(diff, groups, usual),
    usual,
  );
};
