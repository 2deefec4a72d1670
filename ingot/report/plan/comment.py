"""A plan as one comment on a pull request: most important first, details folded, within GitHub's limit.

Nothing is cut silently. Everything that comes from the change under review is in code spans or fenced blocks:
GitHub renders no markup there and mentions nobody. The plan is read from its JSON, so that a trusted checkout
can write the comment on what an untrusted one found.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from ingot.errors import InputError
from ingot.escape import code, fenced, fitting, plain, shortened
from ingot.plan.boots import BootRecord
from ingot.plan.images import ImagePlan
from ingot.plan.infrastructure.stacks import StackPlan
from ingot.plan.infrastructure.template_diff import IMPACTS
from ingot.plan.recipes import RecipeChange
from ingot.plan.result import Plan
from ingot.quantities import number
from ingot.report.diff.markdown import render_markdown
from ingot.report.plan.text import (
    VERDICTS,
    boot_lines,
    compared,
    image_line,
    label,
    recipe_line,
    rollout_lines,
    stack_lines,
)

# Characters. GitHub answers 422 "body is too long (maximum is 65536 characters)" above it.
LIMIT = 65_536
# Kept free for what the end says: what was left out, and where all of it is.
END = 1_500
# Dangers that are named before the rest is counted; a long list would push everything else out.
DANGERS = 40
# Characters of one note: what stands below it is worth more than its end.
NOTE = 1_000
# The first line of the comment: how it is found again. It is no content of the change.
MARKER = "<!-- ingot-plan -->"


def render_comment(plan: Plan, *, limit: int = LIMIT, report: str | None = None) -> str:
    """Return the comment, of at most ``limit`` characters. ``report``: the URL of the whole report.

    Raises InputError for a plan with rows that Ingot does not write: it may come from a file.
    """
    try:
        return _Comment(limit - END).write(plan, report)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise InputError(f"no plan as `ingot plan --json` writes it: {error!r}") from error


def render_failed(report: str | None = None) -> str:
    """Return the comment of a push without a plan. ``report``: the URL of the run that tells why."""
    where = f"[The run]({_url(report)}) says why." if report else "The run says why."
    return (
        f"{MARKER}\n## Ingot plan: this push could not be planned\n\n"
        f"> [!WARNING]\n> Nothing is known of what it changes. {where}\n"
    )


@dataclass
class _Comment:
    """Collects parts while there is room; ``left`` names what had none."""

    room: int
    parts: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def write(self, plan: Plan, report: str | None) -> str:
        self.add("the verdict", f"{MARKER}\n## {_verdict(plan)}\n\n{_compared(plan)}")
        for note in plan.notes:
            self.add("a note", f"> [!NOTE]\n> {code(shortened(note, NOTE))}")
        if plan.dangerous:
            self.dangers(plan.dangerous)
        for boot in plan.boots:
            self.boot(boot)
        summary = list(_summary(plan))
        self.listed("the summary", [], summary, len(summary), "- and {} more lines, in the report")
        for rollout in plan.rollouts:
            lines = list(rollout_lines(rollout))
            self.add("a rollout", f"**Rollout**\n\n{fenced(lines)}")
        for image in plan.images:
            self.image(image)
        for stack in plan.stacks:
            self.stack(stack)
        self.reasons([recipe for recipe in plan.recipes if recipe.reasons])
        self.dirty(plan.dirty)
        return "\n\n".join([*self.parts, _end(self.left, report)]) + "\n"

    def add(self, what: str, text: str) -> None:
        if len(text) + 2 <= self.room:
            self.parts.append(text)
            self.room -= len(text) + 2
        else:
            self.left.append(what)

    def listed(self, what: str, head: Sequence[str], lines: Sequence[str], count: int, more: str) -> None:
        """Add a heading and as many lines as there is room for, and count the rest."""
        shown = fitting(lines, count, self.room - sum(len(line) + 1 for line in head) - 1, more)
        self.add(what, "\n".join([*head, *shown]))

    def dangers(self, dangers: Sequence[str]) -> None:
        count = "1 dangerous change" if len(dangers) == 1 else f"{len(dangers):,} dangerous changes"
        lines = [f"> - {code(shortened(danger))}" for danger in dangers[:DANGERS]]
        more = "> - and {} more, below and in the report"
        self.listed("the dangerous changes", ["> [!CAUTION]", f"> **{count}**"], lines, len(dangers), more)

    def folded(self, what: str, summary: str, body: str) -> None:
        # A blank line ends GitHub's HTML block: what follows is Markdown again.
        self.add(what, f"<details><summary>{_html(summary)}</summary>\n\n{body}\n\n</details>")

    def lines(self, what: str, summary: str, lines: Sequence[str], language: str = "") -> None:
        """Add folded lines, as many as there is room for; what is left out is counted."""
        block = fenced(lines, language)
        wrapping = len(summary) * 6 + 200
        if len(block) + wrapping > self.room:
            kept = list(_within([plain(line) for line in lines], self.room - wrapping - 200))
            self.left.append(f"{len(lines) - len(kept):,} of {len(lines):,} lines of {what}")
            if not kept:
                return
            block = fenced([*kept, f"… and {len(lines) - len(kept):,} more lines"], language)
        self.folded(what, summary, block)

    def boot(self, boot: BootRecord) -> None:
        line, *failed = boot_lines(boot)
        if failed or not boot.tests:
            head = ["> [!WARNING]", f"> **{code(shortened(line))}**"]
            lines = [f"> - {code(shortened(text))}" for text in failed[:DANGERS]]
            self.listed("a failed boot", head, lines, len(failed), "> - and {} more, in the report")
        else:
            self.add("a boot", f"✓ {code(line)}")

    def image(self, image: ImagePlan) -> None:
        name = label(image.recipe, image.environment)
        if image.diff is not None:
            text = render_markdown(image.diff, max(0, self.room * 2 // 3))
            self.folded(f"the diff of the image {name}", f"What changes in the image {name}", text)
        elif image.no_diff and image.after != image.before:
            self.add(f"a word on the image {name}", f"No image diff of {code(name)}: {code(image.no_diff)}")

    def stack(self, stack: StackPlan) -> None:
        name = label(stack.name, stack.environment)
        if stack.change == "same":
            return
        self.lines(f"the changes of {name}", f"{name}: every resource that changes", list(stack_lines(stack)))
        if stack.cdk_diff:
            # `cdk diff` marks lines by [+] and [-]; GitHub colours by the first character.
            lines = [_coloured(line) for line in stack.cdk_diff.splitlines()]
            self.lines(f"cdk diff of {name}", f"{name}: cdk diff", lines, "diff")

    def reasons(self, recipes: Sequence[RecipeChange]) -> None:
        for recipe in recipes:
            name = label(recipe.name, recipe.environment)
            lines = [f"{reason.place}: {reason.what}" for reason in recipe.reasons]
            self.lines(f"why the digest of {name} changes", f"Why the digest of {name} changes", lines)

    def dirty(self, paths: Sequence[str]) -> None:
        if paths:
            self.lines("the uncommitted files", "Uncommitted files, which are included", paths)


def _verdict(plan: Plan) -> str:
    return f"Ingot plan: {VERDICTS[plan.verdict].rstrip('.').lower()}"


def _compared(plan: Plan) -> str:
    return code(shortened(compared(plan)))


def _summary(plan: Plan) -> Iterator[str]:
    for recipe in plan.recipes:
        yield f"- recipe {code(shortened(recipe_line(recipe)))}"
        reasons = recipe.reasons
        # The places that matter most to a reader are the first ones; all of them are folded below.
        if 0 < len(reasons) <= 3:
            yield from (f"  - {code(shortened(reason.place + ': ' + reason.what))}" for reason in reasons)
        elif reasons:
            yield f"  - {len(reasons):,} reasons, below"
    for image in plan.images:
        yield f"- image {code(shortened(image_line(image)))}"
    for stack in plan.stacks:
        yield f"- stack {code(shortened(next(stack_lines(stack))))}{_counts(stack)}"
        yield from (
            f"  - {'image' if folded.kind == 'image' else 'asset'} {code(shortened(folded.name))}: "
            f"{code(folded.before[:12])} → {code(folded.after[:12])}"
            for folded in stack.folded
        )


def _counts(stack: StackPlan) -> str:
    impacts = [resource.impact for resource in stack.resources]
    counts = {word: impacts.count(impact) for impact, word in IMPACTS.items() if impact in impacts}
    if not counts:
        return ""
    # The line says "changes" already.
    kinds = (
        ""
        if [*counts] == [IMPACTS["WILL_UPDATE"]]
        else ": " + ", ".join(f"{w} {n}" for w, n in counts.items())
    )
    return f" ({number(sum(counts.values()), 'resource')}{kinds})"


def _coloured(line: str) -> str:
    stripped = line.lstrip("│ ├└─")
    for mark, sign in (("[+]", "+"), ("[-]", "-"), ("[~]", "!")):
        if stripped.startswith(mark):
            return f"{sign} {line}"
    return f"  {line}"


def _within(lines: Sequence[str], room: int) -> Iterator[str]:
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return
        yield line


def _end(left: Sequence[str], report: str | None) -> str:
    where = f"[The whole report]({_url(report)})." if report else "`ingot plan` prints all of it."
    names = "; ".join(left)
    if not left:
        return f"<sub>{where}</sub>"
    what = code(names) if len(names) <= END // 2 else f"{len(left):,} parts"
    return f"**Left out here for want of room:** {what}. {where}"


def _url(report: str) -> str:
    """Return the URL with everything escaped that could end a Markdown link."""
    return quote(report, safe=":/?=&#%._-~")


def _html(text: str) -> str:
    """Return text as code inside an HTML block."""
    return f"<code>{html.escape(plain(text))}</code>"
