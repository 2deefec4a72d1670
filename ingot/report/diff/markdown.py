"""An image diff as Markdown for a pull request: most important first, details folded, within a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from ingot.diff.changes import Change, Named
from ingot.diff.compare import ImageDiff
from ingot.diff.files.changes import PACKAGE, RECIPE, FileChange
from ingot.escape import code, fenced, fitting, markdown, plain, shortened
from ingot.quantities import number, size
from ingot.report.diff.summary import (
    PackageGroup,
    bookkeeping,
    by_package,
    counted,
    counts,
    group_packages,
    title,
)

# Vulnerabilities of one package that are named; the changelog names all.
CVES = 6
# Dangers that are named, and lines of a list that is one part.
DANGERS = 30
LINES = 100


def render_markdown(diff: ImageDiff, limit: int | None = None) -> str:
    """Return the diff as Markdown of at most ``limit`` characters (None: no limit).

    Names that come from the image can make no markup and call nobody. What does not fit is counted at the
    end, never cut silently. A limit below some 1,000 characters leaves no more than the title, the dangers'
    count and that note.
    """
    parts = list(_parts(diff, inf if limit is None else limit / 2))
    if limit is None:
        return "\n\n".join(parts)
    kept, left = list[str](), 0
    room = limit - len(_left_out(len(parts)))
    for part in parts:
        if sum(len(text) + 2 for text in kept) + len(part) <= room:
            kept.append(part)
        else:
            left += 1
    return "\n\n".join([*kept, _left_out(left)] if left else kept)


def _left_out(count: int) -> str:
    return f"_{number(count, 'more part')} of this diff did not fit here; `ingot diff` shows all of it._"


def _parts(diff: ImageDiff, room: float) -> Iterator[str]:
    """Yield paragraphs, the most important first; each is complete in itself, so that any may be left out.

    ``room``: how many characters the dangers may take.
    """
    yield f"**{markdown(title(diff))}**"
    if diff.empty:
        yield "The images are the same."
        return
    if diff.dangerous:
        yield _dangers(diff.dangerous, room)
    yield _overview(diff)
    for heading, changes in (
        ("System", diff.system),
        ("Ports", [_port(change) for change in diff.ports]),
        ("Artifacts and dependencies", diff.dependencies),
        ("Stages", diff.stages),
        ("Users", diff.users),
        ("Groups", diff.groups),
        ("Services", diff.services),
        ("Tests", diff.tests),
        ("Let pass by the hygiene gate", diff.hygiene),
    ):
        if changes:
            yield from _list(heading, changes)
    yield from _packages(diff)
    yield from _files(diff)
    yield from (f"_{markdown(note)}_" for note in diff.notes)
    yield from _changelogs(diff)


def _dangers(dangers: Sequence[str], room: float) -> str:
    head = ["> [!CAUTION]", f"> **{number(len(dangers), 'change')} to look at closely**"]
    lines = [f"> - {code(shortened(danger))}" for danger in dangers[:DANGERS]]
    return "\n".join([*head, *fitting(lines, len(dangers), room - sum(map(len, head)), "> - and {} more")])


def _overview(diff: ImageDiff) -> str:
    rows = {
        "packages": counts(diff.packages),
        "files": counts(counted(diff.files)),
        "users, groups": counts([*diff.users, *diff.groups]),
        "services": counts(diff.services),
        "tests": counts(diff.tests),
        **{f"size, {change.name}": _grown(change) for change in diff.size if change.name in ("used", "disk")},
    }
    if diff.blocks.differing:
        sent = size(diff.blocks.differing * diff.blocks.block_size)
        rows["blocks of 512 KiB"] = f"{diff.blocks.differing:,} differ, {sent} to publish"
    lines = [f"| {name} | {text} |" for name, text in rows.items() if text]
    return "\n".join(["| | |", "|---|---|", *lines])


def _grown(change: Change[int]) -> str:
    before, after = change.before or 0, change.after or 0
    return f"{size(before)} → {size(after)} ({size(after - before, sign=True)})"


def _port(change: Change[Named]) -> Change[str]:
    value = change.after or change.before or {}
    where = "this machine only, " if value["local"] else ""
    text = where + str(value["place"])
    return Change(change.name, change.change, text if change.before else None, text if change.after else None)


def _list(heading: str, changes: Sequence[Change[object]]) -> Iterator[str]:
    lines = [f"- {change.change} {code(change.name)}: {code(change.description)}" for change in changes]
    for at in range(0, len(lines), LINES):
        yield "\n".join([f"**{heading}**", "", *lines[at : at + LINES]])


def _folded(heading: str, body: str) -> str:
    return f"<details><summary>{heading}</summary>\n\n{body}\n\n</details>"


def _folded_list(heading: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a folded list; a long one in parts."""
    for at in range(0, len(lines), LINES):
        part = lines[at : at + LINES]
        place = f" ({at + 1:,} to {at + len(part):,} of {len(lines):,})" if len(lines) > LINES else ""
        yield _folded(heading + place, "\n".join(part))


def _packages(diff: ImageDiff) -> Iterator[str]:
    groups = group_packages(diff.packages)
    if not groups:
        return
    yield from _folded_list(f"Packages: {counts(diff.packages)}", [_package(group) for group in groups])


def _package(group: PackageGroup) -> str:
    versions = " → ".join(code(version) for version in (group.before, group.after) if version)
    names = ", ".join(code(name) for name in group.names)
    text = f"- {group.change} {names} {versions} ({size(group.kib * 1024, sign=True)})"
    if group.changelog and group.changelog.cves:
        cves = group.changelog.cves
        more = f" and {len(cves) - CVES} more" if len(cves) > CVES else ""
        text += f" — {number(len(cves), 'vulnerability')}: {', '.join(cves[:CVES])}{more}"
    return text


def _changelogs(diff: ImageDiff) -> Iterator[str]:
    for group in group_packages(diff.packages):
        if group.changelog is not None:
            lines = [
                line
                for entry in group.changelog.entries
                for line in (f"{entry.version} ({entry.distribution})", *entry.text.splitlines(), "")
            ]
            if group.changelog.left_out:
                lines.append(f"… {number(group.changelog.left_out, 'older entry')} left out")
            yield _folded(f"Changelog of {_html(', '.join(group.names))}", fenced(lines))


def _html(text: str) -> str:
    """Return text for a summary, which Markdown takes as HTML."""
    return f"<code>{markdown(plain(text))}</code>"


def _files(diff: ImageDiff) -> Iterator[str]:
    own = [change for change in diff.files if change.origin == RECIPE or change.text is not None]
    if own:
        yield from _folded_list(
            f"Files of the recipe and configuration: {counts(own)}", [_file(change) for change in own]
        )
    for change in own:
        if change.text is not None and change.text.lines:
            note = f"\n\n{markdown(change.text.note)}" if change.text.note else ""
            yield _folded(_html(change.path), fenced(change.text.lines, "diff") + note)
    packaged = [change for change in diff.files if change.origin == PACKAGE and change.text is None]
    if packaged:
        groups = by_package(packaged, diff.packages)
        lines = [f"- of {code(name)}: {counts(changes)}" for name, changes in groups]
        yield from _folded_list(f"Files of packages: {counts(packaged)}", lines)
    if books := bookkeeping(diff.files):
        yield f"_{books}_"


def _file(change: FileChange) -> str:
    note = f" — {markdown(change.text.note)}" if change.text and change.text.note else ""
    return f"- {change.change} {code(change.path)}: {code(change.description)}{note}"
