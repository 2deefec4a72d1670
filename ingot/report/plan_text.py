"""A plan as text for a terminal: the verdict and what is dangerous first, then images, stacks, rollout and reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ingot.report.escape import plain
from ingot.report.reading import image_diff_from_json
from ingot.report.text import render_text as render_image

Plan = Mapping[str, Any]

VERDICTS = {
    "nothing": "Nothing changes.",
    "something": "Something changes.",
    "dangerous": "Something dangerous changes.",
}
STATES = {
    "published": "published as {ami}: nothing is baked",
    "stored": "baked, in this machine's store",
    "missing": "is baked when it is deployed",
    "unused": "no stack deploys it",
    "failed": "does NOT bake",
}
SIGNS = {"WILL_DESTROY": "-", "WILL_REPLACE": "±", "WILL_ORPHAN": "-", "MAY_REPLACE": "±", "WILL_CREATE": "+"}


def render_text(plan: Plan) -> str:
    """Return the whole plan (``Plan.to_json()``); nothing is left out."""
    return "\n".join(_lines(plan)) + "\n"


def compared(plan: Plan) -> str:
    """Return what was compared with what."""
    commit, how = plan["base"]["commit"][:12], plan["base"]["how"]
    head = plan["head"]["commit"][:12]
    dirty = f" and {_count(len(plan['head']['dirty']), 'uncommitted file')}" if plan["head"]["dirty"] else ""
    stacks = "; stacks compared with what is deployed" if plan["against"] == "deployed" else ""
    return f"{head}{dirty} against {commit} ({how}){stacks}"


def _lines(plan: Plan) -> Iterator[str]:
    yield VERDICTS[plan["verdict"]]
    yield f"Compared: {plain(compared(plan))}"
    for path in plan["head"]["dirty"]:
        yield f"  uncommitted, and included: {plain(path)}"
    for note in plan["notes"]:
        yield from (plain(line) for line in f"Note: {note}".splitlines())
    yield from _section("Dangerous", [f"! {sentence}" for sentence in plan["dangerous"]])
    yield from _section("Recipes", list(_recipes(plan)))
    yield from _section("Images", list(_images(plan)))
    yield from _section("Boots", [line for boot in plan.get("boots", ()) for line in boot_lines(boot)])
    yield from _section("Stacks", [line for stack in plan["stacks"] for line in stack_lines(stack)])
    yield from _section("Rollout", [line for rollout in plan["rollouts"] for line in rollout_lines(rollout)])
    diffs = [s["cdk_diff"].splitlines() for s in plan["stacks"] if s["cdk_diff"]]
    yield from _section("cdk diff", [line for lines in diffs for line in lines])


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        # Names come from the change: none may move a terminal's cursor.
        yield from (f"  {plain(line)}".rstrip() for line in lines)


def recipe_line(recipe: Mapping[str, Any]) -> str:
    """Return what happens to one recipe, in one line."""
    name, before, after = label(recipe, "name"), recipe["before"], recipe["after"]
    change = recipe["change"]
    if change == "same":
        return f"{name}: {after:.12}, as before"
    if change == "renamed":
        return f"{name}: {before:.12} → {after:.12}, renamed from {recipe['was']}"
    if change == "deleted":
        return f"{name}: deleted; AMIs that were published stay until they are retired"
    if change == "changed":
        return f"{name}: {before:.12} → {after:.12}"
    word = {"added": "new", "repaired": "could not be read before"}[change]
    return f"{name}: {after:.12}, {word}"


def _recipes(plan: Plan) -> Iterator[str]:
    for recipe in plan["recipes"]:
        yield recipe_line(recipe)
        yield from (f"    {reason['place']}: {reason['what']}" for reason in recipe["reasons"])


def image_line(image: Mapping[str, Any]) -> str:
    """Return whether one image exists, in one line."""
    state = STATES[image["state"]].format(ami=image["ami"])
    unknown = (
        ""
        if image["registry_asked"] or image["state"] in ("published", "unused", "failed")
        else " (no registry was asked)"
    )
    return f"{label(image, 'recipe')} {image['after']:.12}: {state}{unknown}"


def _images(plan: Plan) -> Iterator[str]:
    for image in plan["images"]:
        yield image_line(image)
        if image["no_diff"]:
            yield from (f"    {line}" for line in f"no image diff: {image['no_diff']}".splitlines())
        if image["diff"] is not None:
            text = render_image(image_diff_from_json(image["diff"]), everything=True)
            yield from (f"    {line}" for line in text.splitlines())


def boot_lines(boot: Mapping[str, Any]) -> Iterator[str]:
    """Yield whether one image booted and passed its tests, and each test that it did not pass."""
    tests = boot["tests"]
    passed = sum(1 for test in tests if test["ok"])
    word = "booted" if tests and passed == len(tests) else "FAILED"
    yield f"{boot['recipe']} {boot['digest'][:12]}: {word}, {passed} of {len(tests)} tests passed, {boot['seconds']:.0f} s"
    yield from (f"  {test['name']}: {test.get('detail')}" for test in tests if not test["ok"])


def stack_lines(stack: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happens to one stack, the worst first, without the whole of ``cdk diff``."""
    words = {
        "same": "no change",
        "changed": "changes",
        "new": "is new",
        "removed": "is no longer in the app; it stays deployed until `cdk destroy`",
    }
    yield f"{label(stack, 'name')} ({stack['where']}): {words[stack['change']]}"
    for folded in stack["folded"]:
        yield f"  {folded['kind']} {folded['name']}: {folded['before'][:12]} → {folded['after'][:12]}"
    for resource in stack["resources"]:
        sign = SIGNS.get(resource["impact"], "~")
        yield f"  {sign} {resource['word']} {resource['path'].removeprefix(stack['name'] + '/')} ({resource['type']}){_why(resource)}"
    for other in stack["other"]:
        sign = "+" if other["before"] is None else "-" if other["after"] is None else "~"
        yield f"  {sign} {other['section']}: {other['name']}"


def _why(resource: Mapping[str, Any]) -> str:
    names = [part["name"] for part in [*resource["properties"], *resource["other"]]]
    return f": {', '.join(names)}" if names else ""


def rollout_lines(rollout: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happens to one group's clones, step by step."""
    now = "" if rollout["running"] is None else f", {rollout['running']} run now"
    yield f"{rollout['stack']}: {rollout['group']}, {rollout['minimum']} to {rollout['maximum']} clones{now}"
    yield from (f"  because of {why}" for why in rollout["why"])
    yield from (f"  {number}. {step}" for number, step in enumerate(rollout["steps"], 1))


def label(part: Mapping[str, Any], key: str) -> str:
    """Return a name, with the environment where there is one."""
    return part[key] if part["environment"] is None else f"{part[key]} [{part['environment']}]"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
