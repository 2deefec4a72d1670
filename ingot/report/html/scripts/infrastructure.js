// The plan's own parts: recipes and why they change, stacks.

const RECIPE_BADGES = {
  added: "added",
  deleted: "removed",
  changed: "changed",
  renamed: "changed",
  repaired: "changed",
};
const isLocked = (reason) => /\.lock(:|$| )/.test(reason.place);
const drawReasons = (reasons) =>
  reasons.length
    ? make(
        "dl",
        { class: "reasons" },
        reasons.flatMap((reason) => [
          make("dt", {}, make("code", {}, reason.place)),
          make("dd", {}, reason.what),
        ]),
      )
    : null;
const drawRecipe = (recipe) => {
  const locked = recipe.reasons.filter(isLocked);
  const digests =
    recipe.change === "same" ? short(recipe.after) : `${short(recipe.before)} → ${short(recipe.after)}`;
  return [
    make(
      "div",
      { class: "row" },
      badge(RECIPE_BADGES[recipe.change] ?? "", recipe.change),
      make(
        "div",
        { class: "body" },
        make("b", {}, labelled(recipe, "name")),
        " ",
        make("code", {}, digests),
        recipe.was ? make("span", { class: "what" }, ` was ${recipe.was}`) : null,
      ),
    ),
    drawReasons(recipe.reasons.filter((reason) => !isLocked(reason))),
    locked.length > 8
      ? fold(`${plural(locked.length, "line")} of the lock`, () => drawReasons(locked), { class: "inner" })
      : drawReasons(locked),
  ];
};

// The leaves in which two values differ, as [path, before, after]: of a long value only what is new.
const isTree = (found) => found !== null && typeof found === "object";
const leaves = (before, after, path) => {
  if (!isTree(before) || !isTree(after) || Array.isArray(before) !== Array.isArray(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [[path, before ?? null, after ?? null]];
  }
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
    leaves(before[key], after[key], `${path}.${key}`),
  );
};

const LONG = 300;
const shown = (found) => (typeof found === "string" ? found : JSON.stringify(found, null, 1));
const drawValue = (tag, found) => {
  if (found === null) return null;
  const text = shown(found);
  return text.length <= LONG
    ? make(tag, {}, make("code", {}, text))
    : fold(
        [
          make(tag, {}, make("code", {}, text.slice(0, 80))),
          make("span", { class: "soft" }, ` … ${count(text.length)} characters`),
        ],
        () => scroller("the whole value", "wrap", text),
        { class: "inner" },
      );
};
const drawProperty = (property) => {
  const forced = property.impact && /REPLACE|DESTROY/.test(property.impact);
  return leaves(property.before, property.after, property.name).map(([path, before, after]) => [
    make("dt", {}, path, forced ? make("b", { class: "removed" }, " forces replacement") : null),
    make(
      "dd",
      {},
      drawValue("del", before),
      before !== null && after !== null ? " → " : null,
      drawValue("ins", after),
    ),
  ]);
};

const IMPACT_BADGES = {
  WILL_DESTROY: "removed",
  WILL_REPLACE: "bad",
  WILL_ORPHAN: "bad",
  MAY_REPLACE: "warn",
  WILL_CREATE: "added",
  WILL_UPDATE: "changed",
};
const drawResource = (stack) => (resource) => {
  const properties = [...resource.properties, ...resource.other];
  const path = resource.path.startsWith(stack.name + "/")
    ? resource.path.slice(stack.name.length + 1)
    : resource.path;
  return make(
    "div",
    { class: "row" },
    badge(IMPACT_BADGES[resource.impact] ?? "changed", resource.word || "changes"),
    make(
      "div",
      { class: "body" },
      make("code", {}, path),
      " ",
      make("span", { class: "what" }, resource.type),
      properties.length ? make("dl", { class: "values" }, properties.flatMap(drawProperty)) : null,
    ),
  );
};

const SECURITY = [
  ["statements", "Permissions", ["", "resource", "effect", "action", "principal", "condition"]],
  ["policies", "Managed policies", ["", "attached to", "policy"]],
  ["rules", "Security groups", ["", "group", "direction", "protocol", "peer"]],
];
const drawSecurity = (security) =>
  SECURITY.filter(([key]) => security[key].length).map(([key, heading, heads]) =>
    fold(
      `${heading}: ${plural(security[key].length, "change")}`,
      () =>
        make(
          "ul",
          { class: "rows" },
          security[key].map((cells) =>
            make(
              "li",
              {},
              make(
                "div",
                { class: "row" },
                badge(cells[0] === "+" ? "added" : "removed"),
                make(
                  "dl",
                  { class: "values body" },
                  heads
                    .slice(1)
                    .flatMap((head, index) =>
                      cells[index + 1]
                        ? [make("dt", {}, head), make("dd", {}, make("code", {}, String(cells[index + 1])))]
                        : [],
                    ),
                ),
              ),
            ),
          ),
        ),
      { open: security.broadened },
    ),
  );

const STACK_WORDS = {
  same: "no change",
  changed: "changes",
  new: "is new",
  removed: "is no longer in the app; it stays deployed until it is destroyed",
};
const drawStack = (stack) =>
  card(
    labelled(stack, "name"),
    `${stack.where}: ${STACK_WORDS[stack.change] ?? stack.change}`,
    stack.folded.length
      ? make(
          "ul",
          { class: "plain folded" },
          stack.folded.map((folded) =>
            make(
              "li",
              {},
              `${folded.kind} ${folded.name}: `,
              make("code", {}, `${short(folded.before)} → ${short(folded.after)}`),
            ),
          ),
        )
      : null,
    stack.resources.length ? longList(stack.resources, drawResource(stack), 50) : null,
    stack.other.length
      ? make(
          "ul",
          { class: "rows" },
          stack.other.map((other) =>
            make(
              "li",
              {},
              row(
                other.before === null ? "added" : other.after === null ? "removed" : "changed",
                `${other.section}: ${other.name}`,
              ),
            ),
          ),
        )
      : null,
    stack.security ? drawSecurity(stack.security) : null,
    stack.cdk_diff
      ? fold("The words of cdk diff", () => scroller(`cdk diff of ${stack.name}`, "", stack.cdk_diff))
      : null,
  );

const infrastructure = (data) => {
  const sections = [];
  if (data.recipes.length) {
    const changed = data.recipes.filter((recipe) => recipe.change !== "same");
    const same = data.recipes.filter((recipe) => recipe.change === "same");
    sections.push(
      section(
        "Recipes",
        "Recipes",
        null,
        make(
          "div",
          { class: "card" },
          make(
            "ul",
            { class: "rows" },
            changed.map((recipe) => make("li", {}, drawRecipe(recipe))),
          ),
          same.length
            ? make(
                "p",
                { class: "soft small" },
                `As before: ${same.map((recipe) => labelled(recipe, "name")).join(", ")}`,
              )
            : null,
        ),
      ),
    );
  }
  if (data.stacks.length) {
    const changed = data.stacks.filter((stack) => stack.change !== "same");
    const same = data.stacks.filter((stack) => stack.change === "same");
    sections.push(
      section(
        "Infrastructure",
        "Infrastructure",
        null,
        changed.map(drawStack),
        same.length
          ? make(
              "p",
              { class: "soft small" },
              `No change: ${same.map((stack) => labelled(stack, "name")).join(", ")}`,
            )
          : null,
      ),
    );
  }
  if (data.rollouts.length)
    sections.push(
      section(
        "Rollout",
        "Rollout",
        "what a deployment does to the running clones",
        data.rollouts.map(drawRollout),
      ),
    );
  return sections;
};
