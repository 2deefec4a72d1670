"""A plan as text for a terminal: the verdict and dangers first, then images, stacks, rollout and reasons."""

from __future__ import annotations

from collections.abc import Iterator

from ingot.escape import plain
from ingot.plan.boots import BootRecord
from ingot.plan.images import ImagePlan
from ingot.plan.infrastructure.stacks import StackPlan
from ingot.plan.infrastructure.template_diff import ResourceChange
from ingot.plan.recipes import RecipeChange
from ingot.plan.result import Plan
from ingot.plan.rollout import Rollout
from ingot.quantities import duration, number
from ingot.report.diff.text import render_text as render_image

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
    """Return the whole plan; nothing is left out."""
    return "\n".join(_lines(plan)) + "\n"


def compared(plan: Plan) -> str:
    """Return what was compared with what."""
    dirty = f" and {number(len(plan.dirty), 'uncommitted file')}" if plan.dirty else ""
    stacks = "; stacks compared with what is deployed" if plan.deployed else ""
    return f"{plan.head[:12]}{dirty} against {plan.base.commit[:12]} ({plan.base.how}){stacks}"


def _lines(plan: Plan) -> Iterator[str]:
    yield VERDICTS[plan.verdict]
    yield f"Compared: {plain(compared(plan))}"
    for path in plan.dirty:
        yield f"  uncommitted, and included: {plain(path)}"
    for note in plan.notes:
        yield from (plain(line) for line in f"Note: {note}".splitlines())
    yield from _section("Dangerous", [f"! {sentence}" for sentence in plan.dangerous])
    yield from _section("Recipes", list(_recipes(plan)))
    yield from _section("Images", list(_images(plan)))
    yield from _section("Boots", [line for boot in plan.boots for line in boot_lines(boot)])
    yield from _section("Stacks", [line for stack in plan.stacks for line in stack_lines(stack)])
    yield from _section("Rollout", [line for rollout in plan.rollouts for line in rollout_lines(rollout)])
    diffs = [stack.cdk_diff.splitlines() for stack in plan.stacks if stack.cdk_diff]
    yield from _section("cdk diff", [line for lines in diffs for line in lines])


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        # Names come from the change: none may move a terminal's cursor.
        yield from (f"  {plain(line)}".rstrip() for line in lines)


def recipe_line(recipe: RecipeChange) -> str:
    """Return what happens to one recipe, in one line."""
    name, before, after = label(recipe.name, recipe.environment), recipe.before, recipe.after
    change = recipe.change
    if change == "same":
        return f"{name}: {after:.12}, as before"
    if change == "renamed":
        return f"{name}: {before:.12} → {after:.12}, renamed from {recipe.was}"
    if change == "deleted":
        return f"{name}: deleted; AMIs that were published stay until they are retired"
    if change == "changed":
        return f"{name}: {before:.12} → {after:.12}"
    word = {"added": "new", "repaired": "could not be read before"}[change]
    return f"{name}: {after:.12}, {word}"


def _recipes(plan: Plan) -> Iterator[str]:
    for recipe in plan.recipes:
        yield recipe_line(recipe)
        yield from (f"    {reason.place}: {reason.what}" for reason in recipe.reasons)


def image_line(image: ImagePlan) -> str:
    """Return whether one image exists, in one line."""
    state = STATES[image.state].format(ami=image.ami)
    unknown = (
        "" if image.asked or image.state in ("published", "unused", "failed") else " (no registry was asked)"
    )
    return f"{label(image.recipe, image.environment)} {image.after:.12}: {state}{unknown}"


def _images(plan: Plan) -> Iterator[str]:
    for image in plan.images:
        yield image_line(image)
        if image.no_diff:
            yield from (f"    {line}" for line in f"no image diff: {image.no_diff}".splitlines())
        if image.diff is not None:
            text = render_image(image.diff, everything=True)
            yield from (f"    {line}" for line in text.splitlines())


def boot_lines(boot: BootRecord) -> Iterator[str]:
    """Yield whether one image booted and passed its tests, and each test that it did not pass."""
    passed = sum(test.ok for test in boot.tests)
    word = "booted" if boot.ok else "FAILED"
    tests = f"{passed} of {len(boot.tests)} tests passed"
    yield f"{boot.recipe} {boot.digest[:12]}: {word}, {tests}, {boot.seconds:.0f} s"
    yield from (f"  {test.name}: {test.problem}" for test in boot.tests if not test.ok)


def stack_lines(stack: StackPlan) -> Iterator[str]:
    """Yield what happens to one stack, the worst first, without the whole of ``cdk diff``."""
    words = {
        "same": "no change",
        "changed": "changes",
        "new": "is new",
        "removed": "is no longer in the app; it stays deployed until `cdk destroy`",
    }
    yield f"{label(stack.name, stack.environment)} ({stack.where}): {words[stack.change]}"
    for folded in stack.folded:
        yield f"  {folded.kind} {folded.name}: {folded.before[:12]} → {folded.after[:12]}"
    for resource in stack.resources:
        sign, path = SIGNS.get(resource.impact, "~"), resource.path.removeprefix(f"{stack.name}/")
        yield f"  {sign} {resource.word} {path} ({resource.type}){_why(resource)}"
    for other in stack.other:
        sign = "+" if other.before is None else "-" if other.after is None else "~"
        yield f"  {sign} {other.section}: {other.name}"


def _why(resource: ResourceChange) -> str:
    names = [*(change.name for change in resource.properties), *(change.name for change in resource.other)]
    return f": {', '.join(names)}" if names else ""


def rollout_lines(rollout: Rollout) -> Iterator[str]:
    """Yield what happens to one group's clones, step by step."""
    now = "" if rollout.running is None else f", {rollout.running} run now"
    yield f"{rollout.stack}: {rollout.group}, {rollout.minimum} to {rollout.maximum} clones{now}"
    yield from (f"  because of {why}" for why in rollout.why)
    yield from (f"  {place}. {step}" for place, step in enumerate(rollout.steps, 1))
    given = [found for found in rollout.forecasts if found.course == rollout.forecasts[0].course]
    if given:
        yield "  how long, at the least (docs/plan.md says what is counted):"
    for found in given:
        now = " (now)" if found.clones == rollout.instances else ""
        usd = "" if found.usd is None else f", {found.usd:.2f} USD for those beyond the group's size"
        most = f"up to {number(found.most, 'clone')}"
        yield f"    {number(found.clones, 'clone')}{now}: {duration(found.seconds)}, {most}{usd}"


def label(name: str, environment: str | None) -> str:
    """Return a name, with the environment where there is one."""
    return name if environment is None else f"{name} [{environment}]"
