"""Runs the jobs of a workflow as a hosted runner does: step by step, each command in
bash, in the environment that job and step give it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

# Conditions of the workflows for users, which more than one line of them has.
UNPLANNED = (
    "${{ !cancelled() && (failure() || needs.plan.outputs.report == '') && hashFiles('tools/runner') != '' }}"
)
OF_THIS_REPOSITORY = (
    "vars.INGOT_PULL_REQUEST_ROLE != '' && github.event.pull_request.head.repo.full_name == github.repository"
)
# GitHub's default for a step on Linux.
SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]


@dataclass
class Runner:
    """``values``: what GitHub's expressions are; ``conditions``: whether a step with that
    `if` runs; ``actions``: what `uses` does.

    An expression, condition or action that is none of them is an error: nothing of a workflow is left out
    unseen.
    """

    directory: Path
    environment: dict[str, str]
    values: Mapping[str, str]
    conditions: Mapping[str, Callable[[], bool]]
    actions: Mapping[str, Callable[[Mapping[str, Any]], None]]
    skipped: tuple[str, ...] = ()
    ran: list[str] = field(default_factory=list)

    def job(self, workflow: Path, name: str) -> None:
        """Run one job; fail as it would."""
        job = YAML(typ="safe").load(workflow)["jobs"][name]
        for step in job["steps"]:
            if "if" in step and not self.conditions[step["if"]]():
                continue
            if "uses" in step:
                self.actions[step["uses"].split("@")[0]](step.get("with", {}))
            elif step["run"] not in self.skipped:
                self.run(step["run"], {**job.get("env", {}), **step.get("env", {})})

    def run(self, command: str, given: Mapping[str, str]) -> None:
        env = {**self.environment, **{name: self.value(text) for name, text in given.items()}}
        done = subprocess.run(
            [*SHELL, command],
            cwd=self.directory,
            env=env,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == 0, (
            f"{command}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
        )
        self.ran.append(command)

    def value(self, text: str) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: self.values[match[1]], text)
