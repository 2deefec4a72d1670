// The boot of an image and its tests in time, and the console.
const seconds = (time) => `${time.toFixed(1)} s`;

const bar = (name, start, end, total, look, note) => {
  const mark = make("i", { class: look });
  Object.assign(mark.style, {
    left: `min(calc(100% - 4px), ${(100 * start) / total}%)`,
    width: `${Math.max(0.4, (100 * (end - start)) / total)}%`,
  });
  return [
    make("div", { class: "name" }, name),
    make("div", { class: "track", "aria-hidden": "true" }, mark),
    make("div", { class: "soft kib" }, note),
  ];
};

const drawConsole = (boot) => {
  const pre = scroller(`console of ${boot.recipe}`, "console");
  const said = make("span", { class: "soft small", role: "status" });
  const input = make("input", {
    type: "search",
    placeholder: "Search the console…",
    "aria-label": "Search the console",
    autocomplete: "off",
    spellcheck: "false",
  });
  const draw = () => {
    const wanted = input.value.trim().toLowerCase();
    const hits = boot.lines.filter(([, text]) => text.toLowerCase().includes(wanted));
    said.textContent = wanted ? plural(hits.length, "line") : "";
    pre.replaceChildren(
      ...hits.flatMap(([time, text]) => [make("time", {}, time === null ? "" : seconds(time)), text, "\n"]),
    );
  };
  input.addEventListener("input", draw);
  draw();
  return make("div", {}, make("div", { class: "console-tools" }, input, said), pre);
};

const drawBoot = (boot) => {
  const total = Math.max(boot.seconds, 0.1);
  return section(
    "Boot",
    `Boot of ${boot.recipe}`,
    `${short(boot.digest)} · ${boot.ok ? "all tests passed" : "tests failed"} · ${seconds(boot.seconds)}`,
    card(
      "Boot and tests in time",
      boot.machine ?? null,
      make(
        "div",
        { class: "timeline" },
        boot.phases.map((phase) =>
          bar(phase.name, phase.start, phase.end, total, "", seconds(phase.end - phase.start)),
        ),
        boot.tests.map((test) =>
          bar(
            [
              make("b", { class: test.ok ? "added" : "removed" }, test.ok ? "✓ " : "✗ "),
              test.name,
              test.where ? make("span", { class: "soft" }, ` (${test.where})`) : null,
            ],
            test.at,
            test.at,
            total,
            test.ok ? "ok" : "bad",
            test.ok ? `at ${seconds(test.at)}` : test.detail,
          ),
        ),
      ),
    ),
    boot.lines.length ? card("Console", plural(boot.lines.length, "line"), drawConsole(boot)) : null,
  );
};
