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
from importlib.resources import files
from typing import Any

from ingot.escape import plain

# Files of one image that the report lists; a browser, too, has its limits. What is left out is said.
FILES = 20_000
# Lines of the console that the report shows, the last ones; a boot has some 600.
LINES = 5000
_CONTROL = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Za-z0-9]|\x1b[=>78c]|\r|\x07")
# The first line of each phase, in the order of a boot: kernel, init's first words, the target of a machine
# that is up.
_PHASES = (
    ("kernel", re.compile(r"^\[\s*0\.0+\] Linux version |\bLinux version \d")),
    ("initrd and root", re.compile(r"Run /init as init process|ingot-initrd")),
    ("services", re.compile(r"systemd\[1\]: systemd .* running in|Welcome to ")),
    ("up", re.compile(r"Reached target .*[Mm]ulti-[Uu]ser|login: ")),
)


def render_report(document: Mapping[str, Any]) -> str:
    """Return the page of ``Plan.to_json()`` or ``ImageDiff.to_json()``.

    A key ``boots`` may hold records of `ingot boot --record`. Text of the document becomes text of the page,
    never markup or script: control characters and those that turn the direction of a line are written as
    escapes.
    """
    page = _inert(_page(document))
    data = json.dumps(page, ensure_ascii=True, separators=(",", ":"))
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
        "title": html.escape(f"{page['title']} · Ingot"),
        "style": style,
        "script": script,
        "data": data,
    }
    # In one pass: a value that looks like a mark is not taken for one.
    return re.sub(r"@(policy|title|style|script|data)@", lambda mark: values[mark[1]], _asset("report.html"))


def _page(document: Mapping[str, Any]) -> dict[str, Any]:
    plan = document if "stacks" in document else _plan_of(document)
    images = [
        {**image, "diff": None if image["diff"] is None else _compact(image["diff"])}
        for image in plan["images"]
        if image["diff"] is not None or image["no_diff"] is not None
    ]
    keys = ("verdict", "dangerous", "notes", "recipes", "stacks", "rollouts")
    return {
        **{key: plan[key] for key in keys},
        "title": _title(document),
        "facts": _facts(plan),
        "images": images,
        "boots": [_boot(boot) for boot in document.get("boots", ())],
    }


def _plan_of(diff: Mapping[str, Any]) -> dict[str, Any]:
    """Return an image diff alone in the form of a plan."""
    sides = {side: diff[side] or {} for side in ("before", "after")}
    image = {
        "recipe": sides["after"].get("name") or sides["before"].get("name"),
        "environment": None,
        **{side: found.get("recipe_digest") for side, found in sides.items()},
        "state": None,
        "ami": None,
        "no_diff": None,
        "diff": diff,
    }
    verdict = "dangerous" if diff["dangerous"] else "nothing" if diff["empty"] else "something"
    return {
        "verdict": verdict,
        "dangerous": diff["dangerous"],
        "notes": [],
        "recipes": [],
        "stacks": [],
        "rollouts": [],
        "images": [image],
    }


def _title(document: Mapping[str, Any]) -> str:
    if "stacks" in document:
        return "What a merge would do"
    names = [f"{side['name']} {side['version']}" for side in (document["before"], document["after"]) if side]
    return " → ".join(names)


def _facts(plan: Mapping[str, Any]) -> list[str]:
    if "base" not in plan:
        return []
    against = "; stacks are compared with what is deployed" if plan.get("against") == "deployed" else ""
    dirty = plan["head"]["dirty"]
    head, base = (plan[side]["commit"][:12] for side in ("head", "base"))
    facts = [f"{head} against {base} ({plan['base']['how']}){against}"]
    if dirty:
        facts.append(f"uncommitted, and included: {', '.join(dirty[:20])}{' …' if len(dirty) > 20 else ''}")
    return facts


def _compact(diff: Mapping[str, Any]) -> dict[str, Any]:
    """Return an image diff without what the page does not show."""
    keys = ("path", "change", "origin", "package", "description", "text")
    # The recipe's own files come first when there are too many.
    order = {"recipe": 0, "package": 1, "bookkeeping": 2}
    listed = sorted(diff["files"], key=lambda file: order[file["origin"]])[:FILES]
    listed.sort(key=lambda file: file["path"])
    notes = list(diff["notes"])
    if len(diff["files"]) > FILES:
        notes.append(
            f"{len(diff['files']) - FILES:,} more files differ; `ingot diff --json` lists all of them"
        )
    shown = {
        key: value for key, value in diff.items() if key not in ("before", "after", "dangerous", "format")
    }
    return {**shown, "notes": notes, "files": [{key: file[key] for key in keys} for file in listed]}


def _boot(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of `ingot boot --record` as the page draws it."""
    lines = [[time, _CONTROL.sub("", text)] for time, text in record["lines"]]
    cut = len(lines) - LINES
    if cut > 0:
        lines = [[None, f"… {cut:,} lines before are left out"], *lines[cut:]]
    seconds = float(record["seconds"])
    return {
        "recipe": record["recipe"],
        "digest": record["digest"],
        "machine": record.get("machine"),
        "ok": bool(record["tests"]) and all(test["ok"] for test in record["tests"]),
        "seconds": seconds,
        "phases": _phases(lines, seconds),
        "tests": list(record["tests"]),
        "lines": lines,
    }


def _phases(lines: Sequence[Sequence[Any]], end: float) -> list[dict[str, Any]]:
    """Return the phases of a boot by the times of its console's lines, in seconds from power-on.

    The first one is the firmware's.
    """
    found: list[tuple[str, float]] = [("firmware", 0.0)]
    wanted = list(_PHASES)
    for time, text in lines:
        for index, (name, pattern) in enumerate(wanted):
            if time is not None and pattern.search(text):
                found.append((name, float(time)))
                del wanted[: index + 1]
                break
    ends = [start for _, start in found[1:]] + [end]
    return [
        {"name": name, "start": start, "end": max(start, stop)}
        for (name, start), stop in zip(found, ends, strict=True)
    ]


def _inert(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return "\n".join(plain(line) for line in value.split("\n")) if "\n" in value else plain(value)
    if isinstance(value, Mapping):
        return {key: _inert(item) for key, item in value.items()}
    return [_inert(item) for item in value] if isinstance(value, list | tuple) else value


def _assets() -> Iterable[str]:
    return sorted(file.name for file in files("ingot.report.html").iterdir() if file.name.endswith(".js"))


def _script() -> str:
    parts = "\n".join(_asset(name) for name in _assets())
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def _asset(name: str) -> str:
    return files("ingot.report.html").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return a source's hash as Content Security Policy 3 wants it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
