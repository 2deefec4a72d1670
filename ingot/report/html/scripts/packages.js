// Packages: those of one source that moved together are one row, with the source's changelog.
const groupPackages = (packages) => {
  const groups = new Map();
  for (const item of packages) {
    const alone = item.change === "added" || item.change === "removed";
    const key = JSON.stringify([item.change, alone ? item.name : item.source, item.before, item.after]);
    if (!groups.has(key))
      groups.set(key, {
        change: item.change,
        before: item.before,
        after: item.after,
        names: [],
        kib: 0,
        changelog: null,
      });
    const group = groups.get(key);
    group.names.push(item.former_name ? `${item.former_name} → ${item.name}` : item.name);
    group.kib += item.after_kib - item.before_kib;
    group.changelog ??= item.changelog;
  }
  return [...groups.values()].map((group) => ({
    ...group,
    words:
      `${group.names.join(" ")} ${group.change} ${(group.changelog?.cves ?? []).join(" ")}`.toLowerCase(),
  }));
};

const drawChangelog = (log) =>
  make(
    "div",
    {},
    log.entries.map((entry) => [
      make(
        "h4",
        { class: "inner" },
        entry.version,
        " ",
        make("span", { class: "soft small" }, `${entry.distribution} · ${entry.date}`),
      ),
      make(
        "pre",
        { class: "wrap", tabindex: "0", role: "region", "aria-label": `changelog of ${entry.version}` },
        entry.text,
      ),
    ]),
    log.left_out
      ? make("p", { class: "soft small" }, `${plural(log.left_out, "older entry")} left out`)
      : null,
  );

const drawPackage = (group) =>
  row(
    group.change,
    make("b", {}, group.names.join(", ")),
    " ",
    make("span", { class: "mono" }, [group.before, group.after].filter(Boolean).join(" → ")),
    " ",
    make("span", { class: "tag kib" }, bytes(group.kib * 1024, true)),
    group.changelog?.cves.length
      ? make(
          "div",
          { class: "what" },
          `${plural(group.changelog.cves.length, "vulnerability")}: ` +
            group.changelog.cves.slice(0, 5).join(", ") +
            (group.changelog.cves.length > 5 ? ` and ${group.changelog.cves.length - 5} more` : ""),
        )
      : null,
    group.changelog
      ? fold(
          `Changelog, ${plural(group.changelog.entries.length, "version")}`,
          () => drawChangelog(group.changelog),
          { class: "inner" },
        )
      : null,
  );
