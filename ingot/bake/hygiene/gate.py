"""The gate: all checks on one disk, what the recipe allows, and the error that lists the rest."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ingot.bake.disk import read_ext4
from ingot.bake.hygiene import accounts, contents, identity, links, permissions, traces, units
from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.lower import Known, changed_view
from ingot.bake.hygiene.view import Declared, View
from ingot.bake.tree.tree import Entry
from ingot.errors import BakeError
from ingot.progress import Progress
from ingot.spec import AllowanceSpec

CHECKS: Tuple[Callable[[View], Iterator[Finding]], ...] = (
    identity.check,
    accounts.check,
    contents.check,
    traces.check,
    permissions.check,
    links.check,
    units.check,
)
# How many findings a message shows: a tree that was made writable for all has thousands.
SHOWN = 100


class HygieneReport(NamedTuple):
    """What the gate found: ``findings`` block the image, ``allowed`` are those that the
    recipe allows, ``unused`` allows nothing.
    """

    findings: List[Finding]
    allowed: List[Tuple[Finding, AllowanceSpec]]
    unused: List[AllowanceSpec]

    def plain(self) -> Dict[str, Any]:
        """Return it as the manifest has it."""
        return {
            "findings": [finding._asdict() for finding in self.findings],
            "allowed": [
                {
                    "finding": finding.name,
                    "path": finding.path,
                    "found": finding.reason,
                    "reason": allowance.reason,
                }
                for finding, allowance in self.allowed
            ],
            "unused": [allowance._asdict() for allowance in self.unused],
        }


def examine(
    disk: Path,
    declared: Declared,
    *,
    traces: Sequence[str] = (),
    shipped: Optional[Mapping[str, Entry]] = None,
    known: Optional[Known] = None,
) -> HygieneReport:
    """Examine the raw disk ``disk`` of a recipe that says what is ``declared``; nothing
    is written, nothing mounted.

    ``traces`` are words of the builder that no file may hold, such as its host name. ``shipped`` are the
    entries of the packages' layer with their digests, by path. ``known``: the disk that this one is a changed
    copy of; what is still the same there is not looked at again. Raises BakeError when the disk cannot be
    read.
    """
    with read_ext4(disk) as reader:
        view = changed_view(reader, declared, traces, known) if known is not None else None
        if view is None:
            view = View(reader, declared, traces, shipped)
        return judge(view)


def judge(view: View) -> HygieneReport:
    """Let all checks look at ``view``; part what they find by what the recipe allows."""
    found = sorted({finding for check in CHECKS for finding in check(view)})
    return _sift(found, view.declared.allowances)


def _sift(found: Sequence[Finding], allow: Sequence[AllowanceSpec]) -> HygieneReport:
    report = HygieneReport([], [], [])
    used = set()
    for finding in found:
        matching = [number for number, allowance in enumerate(allow) if allows(allowance, finding)]
        if matching:
            report.allowed.append((finding, allow[matching[0]]))
            used.update(matching)
        else:
            report.findings.append(finding)
    report.unused.extend(allowance for number, allowance in enumerate(allow) if number not in used)
    return report


def allows(allowance: AllowanceSpec, finding: Finding) -> bool:
    """Tell whether the recipe lets this finding pass."""
    # A bracket is itself, as in the paths that messages suggest: frameworks name pages [id].js.
    pattern = allowance.path.replace("[", "[[]")
    return allowance.finding == finding.name and fnmatchcase(finding.path, pattern)


def enforce(report: HygieneReport, progress: Progress) -> None:
    """Raise BakeError that lists all findings when there is one; say what allowances were of no use."""
    for allowance in report.unused:
        progress(f"hygiene.allow: nothing is found for {allowance.finding} {allowance.path}: remove it")
    if not report.findings:
        return
    count = len(report.findings)
    lines = [f"    {finding.name} {finding.path}: {finding.reason}" for finding in report.findings[:SHOWN]]
    if count > SHOWN:
        lines.append(f"    and {count - SHOWN} more")
    first = report.findings[0]
    raise BakeError(
        "\n".join([f"the disk does not pass the hygiene gate, {count} finding{'s'[: count != 1]}:", *lines]),
        hint="let a step remove it, or say why it belongs there, in recipe.yaml: "
        f'hygiene: {{allow: [{{finding: {first.name}, path: "{first.path}", reason: …}}]}}',
    )
