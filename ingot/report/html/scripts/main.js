// Puts the page together from the data that it carries.
const data = JSON.parse(document.getElementById("data").textContent);
const VERDICTS = { nothing: "Nothing changes", something: "Something changes", dangerous: "Look closely" };

const drawHead = () => {
  const ingot = vector(
    "svg",
    { viewBox: "0 0 34 24", "aria-hidden": "true" },
    vector("path", { d: "M8 6 L26 6 L33 22 L1 22 Z M10 2 L24 2 L25.3 4.6 L8.7 4.6 Z" }),
  );
  document
    .getElementById("top")
    .append(
      make("div", { class: "brand" }, ingot, "Ingot"),
      make(
        "div",
        { class: "title" },
        make("h1", {}, data.title),
        make("span", { class: `verdict ${data.verdict}` }, VERDICTS[data.verdict] ?? data.verdict),
      ),
      ...data.facts.map((fact) => make("p", { class: "soft small" }, fact)),
    );
};

const tile = (name, target, figure, more) =>
  make(
    "li",
    { class: "tile" },
    make(
      "a",
      { href: `#${target}` },
      make("span", { class: "name" }, name),
      make("b", {}, figure),
      make("span", { class: "more" }, more),
    ),
  );

const tilesOf = (image, target) => {
  const diff = image.diff;
  const prefix =
    data.images.filter((other) => other.diff).length > 1
      ? `${image.recipe}${image.environment ? ` [${image.environment}]` : ""}: `
      : "";
  const cves = new Set(diff.packages.flatMap((item) => item.changelog?.cves ?? []));
  const used = diff.size.find((change) => change.name === "used");
  const own = diff.files.filter(isOwn);
  const kernel = diff.system.find((change) => change.name === "kernel");
  const tests = diff.tests.length;
  const tiles = [
    diff.packages.length
      ? tile(`${prefix}packages`, target, count(diff.packages.length), tally(diff.packages))
      : null,
    kernel ? tile(`${prefix}kernel`, target, "changed", `${kernel.before} → ${kernel.after}`) : null,
    cves.size ? tile(`${prefix}CVEs addressed`, target, count(cves.size), "named in the changelogs") : null,
    own.length
      ? tile(
          `${prefix}the recipe's files`,
          target,
          count(own.length),
          own.length === 1 ? own[0].path : tally(own),
        )
      : null,
    tests ? tile(`${prefix}tests`, target, count(tests), tally(diff.tests)) : null,
    used
      ? tile(
          `${prefix}size in use`,
          target,
          bytes((used.after ?? 0) - (used.before ?? 0), true),
          `${bytes(used.before ?? 0)} → ${bytes(used.after ?? 0)}`,
        )
      : null,
    tile(
      `${prefix}blocks to publish`,
      target,
      count(diff.blocks.differing),
      bytes(diff.blocks.differing * diff.blocks.block_size),
    ),
  ];
  const same = [
    diff.packages.length ? null : "packages",
    own.length ? null : "the recipe's files",
    tests ? null : "tests",
    used ? null : "size in use",
  ].filter(Boolean);
  const unchanged = prefix ? `${prefix}unchanged` : "Unchanged";
  return { tiles, same: same.length ? `${unchanged}: ${same.join(", ")}` : null };
};

const summary = (images) => {
  const resources = data.stacks.reduce((sum, stack) => sum + stack.resources.length, 0);
  const stacks = data.stacks.filter((stack) => stack.change !== "same");
  const target = (name) =>
    [...document.querySelectorAll("main > section")].find((node) => node.dataset.name === name)?.id ?? "main";
  // What did not change is one line: tiles are for what a reviewer looks at.
  const changed = data.images
    .map((image, index) => (image.diff && !image.diff.empty ? tilesOf(image, images[index].id) : null))
    .filter(Boolean);
  return section(
    "Summary",
    "Summary",
    null,
    data.dangerous.length
      ? make(
          "div",
          { class: "card danger" },
          make("h3", {}, `${plural(data.dangerous.length, "change")} to look at closely`),
          make(
            "ul",
            {},
            data.dangerous.map((danger) => make("li", {}, danger)),
          ),
        )
      : null,
    data.notes.map((note) => make("p", { class: "card soft" }, note)),
    make(
      "ul",
      { class: "tiles" },
      data.stacks.length
        ? tile(
            "stacks",
            target("Infrastructure"),
            count(stacks.length),
            !stacks.length ? "no change" : resources ? plural(resources, "resource") : "new digests only",
          )
        : null,
      changed.map(({ tiles }) => tiles),
      data.boots.map((boot) =>
        tile(
          `boot of ${boot.recipe}`,
          target("Boot"),
          make("span", { class: boot.ok ? "added" : "removed" }, boot.ok ? "passed" : "failed"),
          `${boot.tests.filter((test) => test.ok).length} of ${plural(boot.tests.length, "test")}, ` +
            seconds(boot.seconds),
        ),
      ),
    ),
    changed.map(({ same }) => (same ? make("p", { class: "soft small same" }, same) : null)),
  );
};

const drawNav = () => {
  const places = [...document.querySelectorAll("[data-name]")];
  const links = places.map((node) => make("a", { href: `#${node.id}` }, node.dataset.name));
  document.getElementById("nav").append(
    make(
      "ul",
      {},
      links.map((link) => make("li", {}, link)),
    ),
  );
  // Current is the last part that begins in the upper third of the window, and at the top of the page the
  // first one.
  const mark = () => {
    const begun =
      scrollY === 0 ? [] : places.filter((node) => node.getBoundingClientRect().top <= innerHeight / 3);
    const current = Math.max(0, begun.length - 1);
    links.forEach((link, number) =>
      number === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"),
    );
  };
  addEventListener("scroll", mark, { passive: true });
  addEventListener("resize", mark);
  mark();
};

const main = document.getElementById("main");
const images = data.images.map(drawImage);
main.replaceChildren(...infrastructure(data), ...images, ...data.boots.map(drawBoot));
main.prepend(summary(images));
drawHead();
drawNav();
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector(".search input");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});
