// The plan's own parts: recipes and why they change, stacks, rollouts.
const short = (digest) => (digest ? digest.slice(0, 12) : "nothing");
const labelled = (part, key) => (part.environment ? `${part[key]} [${part.environment}]` : part[key]);

const RECIPE_BADGES = { added: "added", deleted: "removed", changed: "changed", renamed: "changed", repaired: "changed" };
const isLocked = (reason) => /\.lock(:|$| )/.test(reason.place);
const drawReasons = (reasons) => (reasons.length ? make("dl", { class: "reasons" }, reasons.flatMap((reason) =>
  [make("dt", {}, make("code", {}, reason.place)), make("dd", {}, reason.what)])) : null);
const drawRecipe = (recipe) => {
  const locked = recipe.reasons.filter(isLocked);
  const digests = recipe.change === "same" ? short(recipe.after) : `${short(recipe.before)} → ${short(recipe.after)}`;
  return [
    make("div", { class: "row" }, badge(RECIPE_BADGES[recipe.change] ?? "", recipe.change),
      make("div", { class: "body" }, make("b", {}, labelled(recipe, "name")), " ", make("code", {}, digests),
        recipe.was ? make("span", { class: "what" }, ` was ${recipe.was}`) : null)),
    drawReasons(recipe.reasons.filter((reason) => !isLocked(reason))),
    locked.length > 8 ? fold(`${plural(locked.length, "line")} of the lock`, () => drawReasons(locked), { class: "inner" }) : drawReasons(locked),
  ];
};

// The leaves in which two values differ, as [path, before, after]: of a long value only what is new.
const isTree = (found) => found !== null && typeof found === "object";
const leaves = (before, after, path) => {
  if (!isTree(before) || !isTree(after) || Array.isArray(before) !== Array.isArray(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [[path, before ?? null, after ?? null]];
  }
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => leaves(before[key], after[key], `${path}.${key}`));
};

const LONG = 300;
const shown = (found) => (typeof found === "string" ? found : JSON.stringify(found, null, 1));
const drawValue = (tag, found) => {
  if (found === null) return null;
  const text = shown(found);
  return text.length <= LONG ? make(tag, {}, make("code", {}, text))
    : fold([make(tag, {}, make("code", {}, text.slice(0, 80))), make("span", { class: "soft" }, ` … ${count(text.length)} characters`)], () => scroller("the whole value", "wrap", text), { class: "inner" });
};
const drawProperty = (property) => {
  const forced = property.impact && /REPLACE|DESTROY/.test(property.impact);
  return leaves(property.before, property.after, property.name).map(([path, before, after]) => [
    make("dt", {}, path, forced ? make("b", { class: "removed" }, " forces replacement") : null),
    make("dd", {}, drawValue("del", before), before !== null && after !== null ? " → " : null, drawValue("ins", after)),
  ]);
};

const IMPACT_BADGES = { WILL_DESTROY: "removed", WILL_REPLACE: "bad", WILL_ORPHAN: "bad", MAY_REPLACE: "warn", WILL_CREATE: "added", WILL_UPDATE: "changed" };
const drawResource = (stack) => (resource) => {
  const properties = [...resource.properties, ...resource.other];
  const path = resource.path.startsWith(stack.name + "/") ? resource.path.slice(stack.name.length + 1) : resource.path;
  return make("div", { class: "row" }, badge(IMPACT_BADGES[resource.impact] ?? "changed", resource.word || "changes"),
    make("div", { class: "body" }, make("code", {}, path), " ", make("span", { class: "what" }, resource.type),
      properties.length ? make("dl", { class: "values" }, properties.flatMap(drawProperty)) : null));
};

const SECURITY = [
  ["statements", "Permissions", ["", "resource", "effect", "action", "principal", "condition"]],
  ["policies", "Managed policies", ["", "attached to", "policy"]],
  ["rules", "Security groups", ["", "group", "direction", "protocol", "peer"]],
];
const drawSecurity = (security) => SECURITY.filter(([key]) => security[key].length).map(([key, heading, heads]) =>
  fold(`${heading}: ${plural(security[key].length, "change")}`, () => make("ul", { class: "rows" }, security[key].map((cells) =>
    make("li", {}, make("div", { class: "row" }, badge(cells[0] === "+" ? "added" : "removed"), make("dl", { class: "values body" },
      heads.slice(1).flatMap((head, index) => (cells[index + 1] ? [make("dt", {}, head), make("dd", {}, make("code", {}, String(cells[index + 1])))] : []))))))),
    { open: security.broadened }));

const STACK_WORDS = { same: "no change", changed: "changes", new: "is new", removed: "is no longer in the app; it stays deployed until it is destroyed" };
const drawStack = (stack) => card(labelled(stack, "name"), `${stack.where}: ${STACK_WORDS[stack.change] ?? stack.change}`,
  stack.folded.length ? make("ul", { class: "plain folded" }, stack.folded.map((folded) =>
    make("li", {}, `${folded.kind} ${folded.name}: `, make("code", {}, `${short(folded.before)} → ${short(folded.after)}`)))) : null,
  stack.resources.length ? longList(stack.resources, drawResource(stack), 50) : null,
  stack.other.length ? make("ul", { class: "rows" }, stack.other.map((other) =>
    make("li", {}, row(other.before === null ? "added" : other.after === null ? "removed" : "changed", `${other.section}: ${other.name}`)))) : null,
  stack.security ? drawSecurity(stack.security) : null,
  stack.cdk_diff ? fold("The words of cdk diff", () => scroller(`cdk diff of ${stack.name}`, "", stack.cdk_diff)) : null);

// Seconds for people.
const duration = (seconds) => {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h` + (minutes % 60 ? ` ${minutes % 60} min` : "");
};

const vector = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

// How many clones of the new image serve, over the time, for one size of the group: a line for each course. The
// lines differ in their dashes too, and the table below has the same numbers.
const PLOT = { width: 640, height: 240, left: 52, right: 12, top: 10, bottom: 34 };
const drawCurves = (forecasts, label) => {
  const { width, height, left, right, top, bottom } = PLOT;
  const longest = Math.max(...forecasts.map((found) => found.seconds), 1), clones = forecasts[0].clones;
  const x = (seconds) => left + (width - left - right) * seconds / longest;
  const y = (number) => height - bottom - (height - top - bottom) * number / clones;
  const text = (at, up, anchor, words) => vector("text", { x: at, y: up, "text-anchor": anchor }, words);
  const lines = forecasts.map((found, index) => {
    // Clones begin to serve at once, a batch at a time: a staircase.
    const path = found.curve.map(([at, number], place) => (place ? `H${x(at).toFixed(1)}V${y(number).toFixed(1)}` : `M${x(at).toFixed(1)} ${y(number).toFixed(1)}`)).join("");
    return vector("path", { class: `course course-${index}`, d: `${path}H${x(found.seconds).toFixed(1)}` });
  });
  return vector("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "plot", "aria-label": label },
    vector("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
    text(left - 6, y(clones) + 9, "end", count(clones)), text(left - 6, y(0), "end", "0"),
    text(left, height - 12, "start", "0 s"), text(width - right, height - 12, "end", duration(longest)),
    ...lines);
};

const drawForecasts = (rollout) => {
  if (!rollout.forecasts?.length) return null;
  const courses = [...new Set(rollout.forecasts.map((found) => found.course))];
  const sizes = [...new Set(rollout.forecasts.map((found) => found.clones))];
  const size = Math.max(...sizes);
  const shown = rollout.forecasts.filter((found) => found.clones === size);
  const found = (course, clones) => rollout.forecasts.find((one) => one.course === course && one.clones === clones);
  const cell = (one) => [duration(one.seconds), make("span", { class: "soft small" },
    ` ${count(one.most)} at most` + (one.usd === null ? "" : `, ${one.usd.toFixed(2)} USD`))];
  const key = (index) => vector("svg", { viewBox: "0 0 28 8", class: "key", "aria-hidden": "true" },
    vector("path", { class: `course course-${index}`, d: "M0 4H28" }));
  const label = `Clones of the new image that serve, over the time, of ${count(size)}: the table has the numbers`;
  return fold("How long a rollout takes, at the least", () => make("div", {},
    make("p", { class: "soft small" }, `Clones of the new image that serve, of ${count(size)}, over the time.`),
    drawCurves(shown, label),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "How long a rollout takes" }, make("table", { class: "forecasts" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "course"),
        sizes.map((clones) => make("th", { scope: "col" }, plural(clones, "clone") + (clones === rollout.instances ? " (now)" : ""))))),
      make("tbody", {}, courses.map((course, index) => make("tr", {}, make("th", { scope: "row" }, key(index), course),
        sizes.map((clones) => make("td", {}, cell(found(course, clones))))))))),
    make("p", { class: "soft small" }, "Clones at most, and what those beyond the group's size cost. Counted: percentages, warm-up, health checks, "
      + "draining, checkpoints, EC2's rate of launches. Not counted: what Auto Scaling takes between two looks, and capacity that is missing.")));
};

const drawRollout = (rollout) => card(`${rollout.stack}: ${rollout.group}`,
  `${rollout.minimum} to ${rollout.maximum} clones` + (rollout.running === null ? "" : `, ${rollout.running} run now`),
  rollout.why.map((why) => make("p", { class: "what soft small" }, `because of ${why}`)),
  make("ol", { class: "steps" }, rollout.steps.map((step) => make("li", {}, step))),
  drawForecasts(rollout));

const infrastructure = (data) => {
  const sections = [];
  if (data.recipes.length) {
    const changed = data.recipes.filter((recipe) => recipe.change !== "same");
    const same = data.recipes.filter((recipe) => recipe.change === "same");
    sections.push(section("Recipes", "Recipes", null, make("div", { class: "card" },
      make("ul", { class: "rows" }, changed.map((recipe) => make("li", {}, drawRecipe(recipe)))),
      same.length ? make("p", { class: "soft small" }, `As before: ${same.map((recipe) => labelled(recipe, "name")).join(", ")}`) : null)));
  }
  if (data.stacks.length) {
    const changed = data.stacks.filter((stack) => stack.change !== "same");
    const same = data.stacks.filter((stack) => stack.change === "same");
    sections.push(section("Infrastructure", "Infrastructure", null, changed.map(drawStack),
      same.length ? make("p", { class: "soft small" }, `No change: ${same.map((stack) => labelled(stack, "name")).join(", ")}`) : null));
  }
  if (data.rollouts.length) sections.push(section("Rollout", "Rollout", "what a deployment does to the running clones", data.rollouts.map(drawRollout)));
  return sections;
};
