// Files: the recipe's own first, those of packages folded by package, bookkeeping last.
const drawFile = (file) =>
  row(
    file.change,
    make("code", {}, file.path),
    " ",
    file.package ? make("span", { class: "tag" }, file.package) : null,
    make("div", { class: "what" }, file.description),
    file.text?.lines.length
      ? fold(
          `+${count(file.text.added)} −${count(file.text.removed)} lines`,
          () =>
            make(
              "div",
              {},
              diffText(file.text.lines, `changes of ${file.path}`),
              file.text.masked
                ? make("p", { class: "soft small" }, `${plural(file.text.masked, "secret")} masked`)
                : null,
              file.text.note ? make("p", { class: "soft small" }, file.text.note) : null,
            ),
          { class: "inner", open: file.open },
        )
      : null,
    file.text && !file.text.lines.length && file.text.note
      ? make("div", { class: "what" }, file.text.note)
      : null,
  );

const isOwn = (file) => file.origin === "recipe" || file.text !== null;

const drawFiles = (files, packages) => {
  // A kernel has its version in its name, and in the paths of all its files: both names are one line.
  const labels = new Map();
  for (const { name, former_name: former } of packages) {
    if (former) for (const one of [former, name]) labels.set(one, `${former} → ${name}`);
  }
  const own = files.filter(isOwn);
  const packaged = new Map();
  for (const file of files) {
    if (isOwn(file) || file.origin !== "package") continue;
    const name = labels.get(file.package) ?? file.package ?? "scripts of packages";
    if (!packaged.has(name)) packaged.set(name, []);
    packaged.get(name).push(file);
  }
  const books = files.filter((file) => file.origin === "bookkeeping" && !isOwn(file));
  const parts = [];
  // What the author of the change wrote is there to be read: the first short diffs are open.
  own
    .filter((file) => file.text?.lines.length && file.text.lines.length <= 40)
    .slice(0, 8)
    .forEach((file) => (file.open = true));
  if (own.length)
    parts.push(
      card("The recipe's files and configuration", plural(own.length, "file"), longList(own, drawFile)),
    );
  if (packaged.size || books.length) {
    const sorted = [...packaged].sort((a, b) => b[1].length - a[1].length || a[0].localeCompare(b[0]));
    parts.push(
      card(
        "What packages bring",
        plural(files.length - own.length, "file"),
        sorted.map(([name, members]) =>
          fold([make("b", {}, name), " ", make("span", { class: "small" }, tally(members))], () =>
            longList(members, drawFile),
          ),
        ),
        books.length
          ? fold(
              [
                make("b", {}, "Bookkeeping"),
                make("span", { class: "soft small" }, " package lists, caches, digests: "),
                make("span", { class: "small" }, tally(books)),
              ],
              () => longList(books, drawFile),
            )
          : null,
      ),
    );
  }
  if (parts.length) named("Files", parts[0]);
  return parts;
};
