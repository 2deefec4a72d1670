// What a deployment does to the running clones, and how long that takes.

// Seconds for people.
const duration = (seconds) => {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h` + (minutes % 60 ? ` ${minutes % 60} min` : "");
};

// How many clones of the new image serve, over the time, for one size of the group: a line for each course.
// The lines differ in their dashes too, and the table below has the same numbers.
const PLOT = { width: 640, height: 240, left: 52, right: 12, top: 10, bottom: 34 };
const drawCurves = (forecasts, label) => {
  const { width, height, left, right, top, bottom } = PLOT;
  const longest = Math.max(...forecasts.map((found) => found.seconds), 1),
    clones = forecasts[0].clones;
  const x = (seconds) => left + ((width - left - right) * seconds) / longest;
  const y = (number) => height - bottom - ((height - top - bottom) * number) / clones;
  const text = (at, up, anchor, words) => vector("text", { x: at, y: up, "text-anchor": anchor }, words);
  const lines = forecasts.map((found, index) => {
    // Clones begin to serve at once, a batch at a time: a staircase.
    const path = found.curve
      .map(([at, number], place) =>
        place
          ? `H${x(at).toFixed(1)}V${y(number).toFixed(1)}`
          : `M${x(at).toFixed(1)} ${y(number).toFixed(1)}`,
      )
      .join("");
    return vector("path", { class: `course course-${index}`, d: `${path}H${x(found.seconds).toFixed(1)}` });
  });
  return vector(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", class: "plot", "aria-label": label },
    vector("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
    text(left - 6, y(clones) + 9, "end", count(clones)),
    text(left - 6, y(0), "end", "0"),
    text(left, height - 12, "start", "0 s"),
    text(width - right, height - 12, "end", duration(longest)),
    ...lines,
  );
};

const drawForecasts = (rollout) => {
  if (!rollout.forecasts?.length) return null;
  const courses = [...new Set(rollout.forecasts.map((found) => found.course))];
  const sizes = [...new Set(rollout.forecasts.map((found) => found.clones))];
  const size = Math.max(...sizes);
  const shown = rollout.forecasts.filter((found) => found.clones === size);
  const found = (course, clones) =>
    rollout.forecasts.find((one) => one.course === course && one.clones === clones);
  const cell = (one) => [
    duration(one.seconds),
    make(
      "span",
      { class: "soft small" },
      ` ${count(one.most)} at most` + (one.usd === null ? "" : `, ${one.usd.toFixed(2)} USD`),
    ),
  ];
  const key = (index) =>
    vector(
      "svg",
      { viewBox: "0 0 28 8", class: "key", "aria-hidden": "true" },
      vector("path", { class: `course course-${index}`, d: "M0 4H28" }),
    );
  const what = "Clones of the new image that serve";
  return fold("How long a rollout takes, at the least", () =>
    make(
      "div",
      {},
      make("p", { class: "soft small" }, `${what}, of ${count(size)}, over the time.`),
      drawCurves(shown, `${what}, over the time, of ${count(size)}: the table has the numbers`),
      make(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "How long a rollout takes" },
        make(
          "table",
          { class: "forecasts" },
          make(
            "thead",
            {},
            make(
              "tr",
              {},
              make("th", { scope: "col" }, "course"),
              sizes.map((clones) =>
                make(
                  "th",
                  { scope: "col" },
                  plural(clones, "clone") + (clones === rollout.instances ? " (now)" : ""),
                ),
              ),
            ),
          ),
          make(
            "tbody",
            {},
            courses.map((course, index) =>
              make(
                "tr",
                {},
                make("th", { scope: "row" }, key(index), course),
                sizes.map((clones) => make("td", {}, cell(found(course, clones)))),
              ),
            ),
          ),
        ),
      ),
      make(
        "p",
        { class: "soft small" },
        "Clones at most, and what those beyond the group's size cost. Counted: percentages, warm-up, " +
          "health checks, draining, checkpoints, EC2's rate of launches. Not counted: what Auto Scaling " +
          "takes between two looks, and capacity that is missing.",
      ),
    ),
  );
};

const drawRollout = (rollout) =>
  card(
    `${rollout.stack}: ${rollout.group}`,
    `${rollout.minimum} to ${rollout.maximum} clones` +
      (rollout.running === null ? "" : `, ${rollout.running} run now`),
    rollout.why.map((why) => make("p", { class: "what soft small" }, `because of ${why}`)),
    make(
      "ol",
      { class: "steps" },
      rollout.steps.map((step) => make("li", {}, step)),
    ),
    drawForecasts(rollout),
  );
