"""A plan, or one image diff, as one self-contained HTML file.

It needs no network, and nothing but its own style and script may run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from ingot.diff.files.changes import BOOKKEEPING, PACKAGE, RECIPE
from ingot.escape import plain, without_sequences

if TYPE_CHECKING:
    from ingot.diff.compare import ImageDiff
    from ingot.plan.boots import BootRecord
    from ingot.plan.infrastructure.stacks import StackPlan
    from ingot.plan.recipes import RecipeChange
    from ingot.plan.result import Plan
    from ingot.plan.rollout import Rollout

# Files of one image that the report lists; a browser, too, has its limits. What is left out is said.
FILES = 20_000
# Lines of the console that the report shows, the last ones; a boot has some 600.
LINES = 5000
# The page's one script, in parts: what draws, each part by those before it, and what puts the page together.
SCRIPTS = (
    "dom",
    "rollout",
    "infrastructure",
    "packages",
    "files",
    "treemap",
    "blocks",
    "image",
    "boot",
    "main",
)
# What of an image diff and of its files no part of the page draws.
_NOT_SHOWN = frozenset({"before", "after", "dangerous", "format"})
_OF_A_FILE = ("path", "change", "origin", "package", "description", "text")
# What a console has beside texts and sequences: carriage returns and bells.
_NO_TEXT = {ord("\r"): None, ord("\a"): None}
# The first line of each phase, in the order of a boot: kernel, init's first words, the target of a machine
# that is up.
_PHASES = (
    ("kernel", re.compile(r"^\[\s*0\.0+\] Linux version |\bLinux version \d")),
    ("initrd and root", re.compile(r"Run /init as init process|ingot-initrd")),
    ("services", re.compile(r"systemd\[1\]: systemd .* running in|Welcome to ")),
    ("up", re.compile(r"Reached target .*[Mm]ulti-[Uu]ser|login: ")),
)


def render_plan(plan: Plan) -> str:
    """Return the page of a plan, with the boots that it has."""
    against = "; stacks are compared with what is deployed" if plan.deployed else ""
    facts = [f"{plan.head[:12]} against {plan.base.commit[:12]} ({plan.base.how}){against}"]
    if plan.dirty:
        more = " …" if len(plan.dirty) > 20 else ""
        facts.append(f"uncommitted, and included: {', '.join(plan.dirty[:20])}{more}")
    images = [
        _PageImage(
            recipe=image.recipe,
            environment=image.environment,
            before=image.before,
            after=image.after,
            state=image.state,
            ami=image.ami,
            diff=image.diff,
            no_diff=image.no_diff,
        )
        for image in plan.images
        if image.diff is not None or image.no_diff is not None
    ]
    return _Page(
        verdict=plan.verdict,
        dangerous=plan.dangerous,
        notes=plan.notes,
        recipes=plan.recipes,
        stacks=plan.stacks,
        rollouts=plan.rollouts,
        title="What a merge would do",
        facts=facts,
        images=images,
        boots=plan.boots,
    ).to_html()


def render_diff(diff: ImageDiff, boots: Sequence[BootRecord] = ()) -> str:
    """Return the page of one image diff, and of boots of its images."""
    sides = [side for side in (diff.before, diff.after) if side is not None]
    image = _PageImage(
        recipe=sides[-1].name if sides else None,
        before=diff.before.recipe_digest if diff.before else None,
        after=diff.after.recipe_digest if diff.after else None,
        diff=diff,
    )
    return _Page(
        verdict="dangerous" if diff.dangerous else "nothing" if diff.empty else "something",
        dangerous=diff.dangerous,
        title=" → ".join(f"{side.name} {side.version}" for side in sides),
        images=[image],
        boots=boots,
    ).to_html()


@dataclass(frozen=True)
class _PageImage:
    """One image of a page. ``state`` and ``ami`` are those of a plan."""

    recipe: str | None
    before: str | None
    after: str | None
    environment: str | None = None
    state: str | None = None
    ami: str | None = None
    diff: ImageDiff | None = None
    no_diff: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "diff": None if self.diff is None else _image_diff(self.diff)}


@dataclass(frozen=True)
class _Page:
    """What the page shows."""

    verdict: str
    dangerous: Sequence[str]
    title: str
    images: Sequence[_PageImage]
    boots: Sequence[BootRecord]
    facts: Sequence[str] = ()
    notes: Sequence[str] = ()
    recipes: Sequence[RecipeChange] = ()
    stacks: Sequence[StackPlan] = ()
    rollouts: Sequence[Rollout] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what the script reads."""
        return {
            "verdict": self.verdict,
            "dangerous": list(self.dangerous),
            "notes": list(self.notes),
            "recipes": [recipe.to_json() for recipe in self.recipes],
            "stacks": [stack.to_json() for stack in self.stacks],
            "rollouts": [rollout.to_json() for rollout in self.rollouts],
            "title": self.title,
            "facts": list(self.facts),
            "images": [image.to_json() for image in self.images],
            "boots": [_boot(boot) for boot in self.boots],
        }

    def to_html(self) -> str:
        """Return the page.

        What it shows becomes text, never markup or script: control characters and those that turn the
        direction of a line are written as escapes.
        """
        data = json.dumps(_inert(self.to_json()), ensure_ascii=True, separators=(",", ":"))
        # The only way out of a script element is its end tag, or a comment that hides it (HTML standard,
        # 4.12.1.3).
        data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        style, script = _asset("report.css"), _script()
        policy = "; ".join(
            [
                "default-src 'none'",
                f"style-src '{_hash(style)}'",
                f"script-src '{_hash(script)}'",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        )
        values = {
            "policy": policy,
            "title": html.escape(f"{_inert(self.title)} · Ingot"),
            "style": style,
            "script": script,
            "data": data,
        }
        # In one pass: a value that looks like a mark is not taken for one.
        marks = re.compile(rf"@({'|'.join(values)})@")
        return marks.sub(lambda mark: values[mark[1]], _asset("report.html"))


def _image_diff(diff: ImageDiff) -> dict[str, Any]:
    """Return an image diff without what the page does not show."""
    # The recipe's own files come first when there are too many.
    order = {RECIPE: 0, PACKAGE: 1, BOOKKEEPING: 2}
    listed = sorted(diff.files, key=lambda file: order[file.origin])[:FILES]
    listed.sort(key=lambda file: file.path)
    notes = list(diff.notes)
    if len(diff.files) > FILES:
        notes.append(f"{len(diff.files) - FILES:,} more files differ; `ingot diff --json` lists all of them")
    plain = replace(diff, files=listed, notes=notes).to_json()
    shown = {key: value for key, value in plain.items() if key not in _NOT_SHOWN}
    return {**shown, "files": [{key: file[key] for key in _OF_A_FILE} for file in plain["files"]]}


def _boot(record: BootRecord) -> dict[str, Any]:
    """Return a boot as the page draws it."""
    lines: list[tuple[float | None, str]] = [
        (at, without_sequences(text).translate(_NO_TEXT)) for at, text in record.lines
    ]
    cut = len(lines) - LINES
    if cut > 0:
        lines = [(None, f"… {cut:,} lines before are left out"), *lines[cut:]]
    return {
        "recipe": record.recipe,
        "digest": record.digest,
        "machine": record.machine,
        "ok": record.ok,
        "seconds": record.seconds,
        "phases": [phase._asdict() for phase in _phases(lines, record.seconds)],
        "tests": [test.to_json() for test in record.tests],
        "lines": lines,
    }


class _BootPhase(NamedTuple):
    """A phase of a boot; times are seconds from power-on."""

    name: str
    start: float
    end: float


def _phases(lines: Iterable[tuple[float | None, str]], end: float) -> list[_BootPhase]:
    """Return the phases of a boot by the times of its console's lines. The first one is the firmware's."""
    found: list[tuple[str, float]] = [("firmware", 0.0)]
    wanted = list(_PHASES)
    for at, text in lines:
        for index, (name, pattern) in enumerate(wanted):
            if at is not None and pattern.search(text):
                found.append((name, at))
                del wanted[: index + 1]
                break
    ends = [start for _, start in found[1:]] + [end]
    return [
        _BootPhase(name, start, max(start, stop)) for (name, start), stop in zip(found, ends, strict=True)
    ]


def _inert(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return "\n".join(plain(line) for line in value.split("\n")) if "\n" in value else plain(value)
    if isinstance(value, Mapping):
        return {key: _inert(item) for key, item in value.items()}
    return [_inert(item) for item in value] if isinstance(value, list | tuple) else value


def _script() -> str:
    parts = "\n".join(_asset(f"scripts/{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def _asset(name: str) -> str:
    return files("ingot.report.html").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return a source's hash as Content Security Policy 3 wants it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
