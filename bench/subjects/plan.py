"""`ingot plan` with the rebuild of an image whose app changed, beside `cdk synth` and
`cdk diff` alone, in turn.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

from bench.measure import Case, Sample, measure
from bench.subject import ROOT, Settings, Table, median, spread
from bench.subjects.ingot import Ingot
from ingot import process
from ingot.forge.git import git
from ingot.progress import Progress

APP_FILE = "image_recipes/web/app/static/bench.bin"


class Project:
    """A clone of this project with a data directory of its own; the tools are shared."""

    def __init__(self, settings: Settings) -> None:
        self.ingot = Ingot(settings)
        self.directory = settings.work / "project"
        self.before = settings.work / "before"
        self.directory.mkdir()
        for name in self._git("ls-files", "-z", directory=ROOT).split("\0"):
            if name and (ROOT / name).is_file():
                (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.directory / name)
        for shared in (".venv", "node_modules"):
            (self.directory / shared).symlink_to(ROOT / shared)
        (self.directory / ".git-ignored").write_text(".venv\nnode_modules\n")
        self.environment = {**self.ingot.environment, "PYTHONPATH": str(self.directory)}
        self._git("init", "--quiet", "--initial-branch", "main")
        shutil.move(self.directory / ".git-ignored", self.directory / ".git" / "info" / "exclude")
        self._git("add", "--all")
        self._git(
            "-c",
            "user.name=Bench",
            "-c",
            "user.email=bench@example.com",
            "commit",
            "--quiet",
            "--message",
            "Begin",
        )

    def _git(self, *words: str, directory: Path | None = None) -> str:
        return git(directory or self.directory, *words, other=True)

    def set_up(self) -> None:
        """Synthesize the base for `cdk diff`, and plan once: afterwards layers and the
        base's image are in the store.
        """
        self.run(["cdk", "synth", "--quiet", "--output", str(self.before)])
        self.change()
        self.run(self.plan())

    def run(self, command: list[str]) -> None:
        """Run a command in the project."""
        process.run(command, cwd=self.directory, env={**os.environ, **self.environment})

    def plan(self) -> list[str]:
        """Return the command that plans and bakes."""
        return [sys.executable, "-m", "ingot.cli.main", "plan", "--bake", "--json"]

    def change(self) -> None:
        """Change 4 KiB of the app."""
        (self.directory / APP_FILE).write_bytes(os.urandom(4096))

    def forget(self) -> None:
        """As ``change``, and forget that the base was planned against before."""
        self.change()
        shutil.rmtree(self.ingot.work / "home" / "plan", ignore_errors=True)

    def cdk(self) -> list[str]:
        """Return the command that synthesizes the stacks once and compares each with the base's template."""
        after = self.ingot.work / "after"
        stacks = [
            name
            for name, artifact in self._artifacts().items()
            if artifact["type"] == "aws:cloudformation:stack"
        ]
        diffs = [
            shlex.join(
                [
                    "cdk",
                    "diff",
                    "--app",
                    str(after),
                    name,
                    "--exclusively",
                    "--template",
                    str(self.before / f"{name}.template.json"),
                ]
            )
            for name in stacks
        ]
        return ["bash", "-ec", " && ".join([f"cdk synth --quiet --output {shlex.quote(str(after))}", *diffs])]

    def _artifacts(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads((self.before / "manifest.json").read_text())[
            "artifacts"
        ]
        return found


def run(settings: Settings, report: Progress) -> list[Table]:
    """Measure and return one table."""
    project = Project(settings)
    report("setting up: the base is synthesized and baked")
    project.set_up()
    cases = [
        Case(name, command, prepare, project.environment, directory=project.directory)
        for name, command, prepare in (
            ("cdk synth, cdk diff of each stack", project.cdk(), project.change),
            ("ingot plan --bake", project.plan(), project.change),
            ("ingot plan --bake, the first against its base", project.plan(), project.forget),
        )
    ]
    samples: dict[str, list[Sample]] = {case.name: [] for case in cases}
    for number in range(settings.runs):
        for case in cases:
            samples[case.name].append(measure(case, settings.work / "log"))
            report(f"{number + 1} of {settings.runs}: {case.name}: {samples[case.name][-1].wall:.1f} s")
    alone = median([sample.wall for sample in samples[cases[0].name]])
    table = Table(
        "Plan: 4 KiB of the app changed",
        ["command", "seconds", "beyond the CDK alone", "processors' seconds"],
    )
    for name, found in samples.items():
        wall = [sample.wall for sample in found]
        table.rows.append(
            [
                name,
                spread(wall, "{:.1f}"),
                f"{median(wall) - alone:+.1f}",
                spread([s.cpu for s in found], "{:.1f}"),
            ]
        )
    table.notes.append(
        "`ingot plan --bake` synthesizes both revisions, bakes the image, compares images and stacks; the aim"
        " is 5 s beyond the CDK."
    )
    return [table]
