"""An image diff as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.color import ColorSystem
from rich.style import Style

from ingot.diff.changes import Change, Named
from ingot.diff.compare import ImageDiff
from ingot.diff.files.changes import BOOKKEEPING, PACKAGE, RECIPE, FileChange
from ingot.escape import plain
from ingot.quantities import number, size
from ingot.report.diff.summary import (
    SIGNS,
    PackageGroup,
    bookkeeping,
    by_package,
    counted,
    counts,
    group_packages,
    title,
)

WIDTH = 80
# Lines of one changelog and of one text diff that are shown; `everything` shows all, so do JSON and HTML.
CHANGELOG_LINES = 6
DIFF_LINES = 40
PACKAGES = 8
# The styles of signs, of headings (#) and of dangers (!).
_STYLES = {
    "+": Style(color="green"),
    "-": Style(color="red"),
    "~": Style(color="yellow"),
    "↑": Style(color="cyan"),
    "↓": Style(color="red"),
    "!": Style(color="red", bold=True),
    "#": Style(bold=True),
    "@": Style(color="cyan"),
}


class _Painter:
    def __init__(self, color: bool) -> None:
        self._colors = ColorSystem.STANDARD if color else None

    def __call__(self, sign: str, text: str) -> str:
        """Return ``text`` in the style of its sign."""
        return _STYLES[sign].render(text, color_system=self._colors) if sign in _STYLES else text

    def item(self, sign: str, text: str, indent: int = 2) -> Iterator[str]:
        """Yield a line with a sign, wrapped; names are made harmless first."""
        first = f"{' ' * indent}{sign} "
        lines = textwrap.wrap(
            plain(text),
            WIDTH,
            initial_indent=first,
            subsequent_indent=" " * (indent + 4),
            break_on_hyphens=False,
        )
        yield from (self(sign, line) for line in lines)


def render_text(diff: ImageDiff, *, color: bool = False, everything: bool = False) -> str:
    """Return the diff as text. What is shortened says so; ``everything`` shortens nothing."""
    paint = _Painter(color)
    lines = [paint("#", plain(title(diff)))]
    if diff.empty:
        return "\n".join([*lines, "The images are the same."])
    if diff.dangerous:
        lines += ["", paint("!", f"Dangerous: {len(diff.dangerous)}")]
        for danger in diff.dangerous:
            lines += paint.item("!", danger)
    sections: list[tuple[str, Iterable[str]]] = [
        ("System", _changes(diff.system, paint)),
        (f"Packages: {counts(diff.packages)}", _packages(diff, paint, everything)),
        ("Artifacts and dependencies", _changes(diff.dependencies, paint)),
        ("Stages", _changes(diff.stages, paint)),
        ("Users", _changes(diff.users, paint)),
        ("Groups", _changes(diff.groups, paint)),
        ("Services", _changes(diff.services, paint)),
        ("Ports", _ports(diff.ports, paint)),
        (f"Files: {counts(counted(diff.files)) or 'none but bookkeeping'}", _files(diff, paint, everything)),
        ("Tests", _changes(diff.tests, paint)),
        ("Let pass by the hygiene gate", _changes(diff.hygiene, paint)),
        ("Size", _size(diff, paint)),
        ("Not known", (line for note in diff.notes for line in paint.item("?", note))),
    ]
    for heading, body in sections:
        if found := list(body):
            lines += ["", paint("#", heading), *found]
    return "\n".join(lines)


def _changes(changes: Sequence[Change[object]], paint: _Painter) -> Iterator[str]:
    for change in changes:
        yield from paint.item(SIGNS[change.change], f"{change.name}: {change.description}")


def _ports(changes: Sequence[Change[Named]], paint: _Painter) -> Iterator[str]:
    for change in changes:
        value = change.after or change.before or {}
        where = " (this machine only)" if value["local"] else ""
        yield from paint.item(SIGNS[change.change], f"{change.name}{where}: {value['place']}")


def _packages(diff: ImageDiff, paint: _Painter, everything: bool) -> Iterator[str]:
    for group in group_packages(diff.packages):
        versions = " → ".join(version for version in (group.before, group.after) if version)
        names = ", ".join(group.names)
        yield from paint.item(
            SIGNS[group.change], f"{names} {versions} ({size(group.kib * 1024, sign=True)})"
        )
        yield from _changelog(group, paint, everything)


def _changelog(group: PackageGroup, paint: _Painter, everything: bool) -> Iterator[str]:
    log = group.changelog
    if log is None:
        return
    if log.cves:
        shown = log.cves if everything else log.cves[:4]
        rest = f" and {len(log.cves) - len(shown)} more" if len(shown) < len(log.cves) else ""
        yield from paint.item(" ", f"{number(len(log.cves), 'vulnerability')}: {', '.join(shown)}{rest}", 4)
    text = [line for entry in log.entries for line in (f"{entry.version}:", *entry.text.splitlines())]
    shown_lines = text if everything else text[:CHANGELOG_LINES]
    yield from (
        f"      {plain(line)}"[: None if everything else WIDTH] for line in shown_lines if line.strip()
    )
    if len(shown_lines) < len(text):
        yield f"      … {number(len(text) - len(shown_lines), 'more line')} of the changelog (--all)"
    if log.left_out:
        yield f"      … {number(log.left_out, 'older entry')} left out"


def _files(diff: ImageDiff, paint: _Painter, everything: bool) -> Iterator[str]:
    for change in diff.files:
        if change.origin == RECIPE or (everything and change.origin == PACKAGE) or change.text is not None:
            yield from paint.item(SIGNS[change.change], f"{change.path}: {change.description}")
            yield from _text(change, paint, everything)
    if everything:
        yield from _bookkeeping(diff, paint, everything)
        return
    packaged = [change for change in diff.files if change.origin == PACKAGE and change.text is None]
    groups = by_package(packaged, diff.packages)
    for name, changes in groups[:PACKAGES]:
        yield from paint.item("·", f"of {name}: {counts(changes)}")
    if rest := groups[PACKAGES:]:
        files = [change for _, changes in rest for change in changes]
        yield from paint.item("·", f"of {number(len(rest), 'more package')}: {counts(files)} (--all)")
    yield from _bookkeeping(diff, paint, everything)


def _bookkeeping(diff: ImageDiff, paint: _Painter, everything: bool) -> Iterator[str]:
    if line := bookkeeping(diff.files):
        yield from paint.item("·", line)
    for change in diff.files if everything else ():
        if change.origin == BOOKKEEPING:
            yield from paint.item(SIGNS[change.change], f"{change.path}: {change.description}")


def _text(change: FileChange, paint: _Painter, everything: bool) -> Iterator[str]:
    if change.text is None:
        return
    lines = change.text.lines if everything else change.text.lines[:DIFF_LINES]
    yield from (paint(line[:1], f"      {plain(line)}") for line in lines)
    if len(lines) < len(change.text.lines):
        yield f"      … {number(len(change.text.lines) - len(lines), 'more line')} (--all)"
    if change.text.note:
        yield f"      {change.text.note}"


def _size(diff: ImageDiff, paint: _Painter) -> Iterator[str]:
    for change in diff.size:
        if change.name in ("used", "disk"):
            by = size((change.after or 0) - (change.before or 0), sign=True)
            yield from paint.item(
                "~", f"{change.name}: {size(change.before or 0)} → {size(change.after or 0)} ({by})"
            )
    blocks = diff.blocks
    if blocks.differing:
        total = size(blocks.differing * blocks.block_size)
        yield from paint.item(
            "~",
            f"{blocks.differing:,} of {blocks.count(*_ALL):,} blocks of 512 KiB differ: {total} to publish",
        )


_ALL = ("same", "changed", "added", "removed", "zero")
