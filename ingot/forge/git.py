"""Revisions of the project: which one is the base, what is uncommitted, and a revision's files in a directory of their own."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import InputError
from ingot.process import CommandError, require, run

_UPDATE = "git submodule update --init --recursive"
# The mode of a submodule in a tree, and what a hook sets that would lead git to another repository than the one asked about.
_SUBMODULE = "160000"
_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
# Tried in this order where no base is named: what a pull request will be merged into.
TRUNKS = ("origin/main", "main", "origin/master", "master")


@dataclass(frozen=True)
class Base:
    """The revision that a plan compares with. ``how`` says why it is this one."""

    commit: str
    how: str


@dataclass(frozen=True)
class Repository:
    """The git repository around the project; ``prefix`` is the project's place in it, "" at the top."""

    project: Path
    prefix: str

    @classmethod
    def around(cls, project: Path) -> Repository:
        """Return the repository that ``project`` lies in. Raises InputError when there is none, MissingToolError without git."""
        require("git", needed_for="compare revisions")
        try:
            prefix = _git(project, "rev-parse", "--show-prefix").strip("\n")
        except CommandError as error:
            # git refuses a foreign user's repository with its own good advice; that is not "no repository".
            said = error.output.strip()
            hint = said if "dubious ownership" in said else "run it in a clone of the project"
            raise InputError(
                f"{project} is not in a git repository that can be read; revisions are in one", hint=hint
            ) from error
        return cls(project.absolute(), prefix)

    def commit(self, revision: str) -> str:
        """Return the commit id of a revision; raise InputError when it does not exist here."""
        try:
            return _git(
                self.project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            ).strip()
        except CommandError as error:
            raise InputError(
                f"there is no revision {revision!r} in this repository", hint=self._fetch_hint(revision)
            ) from error

    def base(self, named: str | None) -> Base:
        """Return the named revision, else where HEAD left the trunk. Raises InputError when there is no such."""
        if named is not None:
            return Base(self.commit(named), named)
        head = self.commit("HEAD")
        for trunk in TRUNKS:
            done = run(
                [*_command(self.project), "merge-base", "HEAD", f"refs/{_kind(trunk)}/{trunk}"], check=False
            )
            if done.returncode == 0:
                commit = done.stdout.strip()
                return Base(
                    commit, f"HEAD, which is in {trunk}" if commit == head else f"where HEAD left {trunk}"
                )
        raise InputError(
            f"no base to compare with: none of {', '.join(TRUNKS)} shares history with HEAD",
            hint=f"name one with --base REVISION; {self._fetch_hint('main')}",
        )

    def dirty(self) -> list[str]:
        """Return the project's files that differ from HEAD or that git does not know yet, as paths below the project."""
        text = _git(
            self.project, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", "."
        )
        paths = [entry[3:] for entry in text.split("\0") if entry]
        return sorted(path.removeprefix(self.prefix) for path in paths)

    def tree(self, commit: str) -> str | None:
        """Return git's hash of the project's files at a commit; None where the project's directory did not exist."""
        where = f"{commit}:{self.prefix}" if self.prefix else f"{commit}^{{tree}}"
        done = run([*_command(self.project), "rev-parse", "--verify", "--quiet", where], check=False)
        return done.stdout.strip() or None

    @contextmanager
    def checked_out(self, commit: str, lacks: Callable[[str], None] | None = None) -> Iterator[Path]:
        """Yield a directory with the project's files at ``commit``: a worktree, which goes at the end.

        Submodules are filled from those of the working tree. ``lacks`` gets a sentence on each whose revision is not here; without it
        that raises InputError.
        """
        with tempfile.TemporaryDirectory(prefix="ingot-base-") as above:
            worktree = Path(above) / "tree"
            _git(self.project, "worktree", "add", "--quiet", "--detach", str(worktree), commit)
            try:
                top = Path(_git(self.project, "rev-parse", "--show-toplevel").strip("\n"))
                for sentence in _fill_submodules(top, commit, worktree):
                    if lacks is None:
                        raise InputError(sentence, hint=f"fetch it: {_UPDATE}")
                    lacks(sentence)
                yield worktree / self.prefix
            finally:
                _git(self.project, "worktree", "remove", "--force", str(worktree))

    def _fetch_hint(self, revision: str) -> str:
        shallow = _git(self.project, "rev-parse", "--is-shallow-repository").strip() == "true"
        if shallow:
            return "this clone is shallow; run: git fetch --unshallow   (in GitHub Actions: fetch-depth: 0)"
        return f"fetch it first: git fetch origin {revision.removeprefix('origin/')}"


def _fill_submodules(repository: Path, commit: str, target: Path) -> Iterator[str]:
    """Put the files of a commit's submodules, and of theirs, below ``target``; yield a sentence on each that cannot be had.

    Their repositories are those of the working tree: nothing is fetched, and nothing of them changes.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _PLACES}
    command = [*_command(repository), "ls-tree", "-r", "-z", "--full-tree", commit]
    listed = run(command, env=environ).stdout.split("\0")
    for kind, _, sha, path in (re.split("[ \t]", entry, maxsplit=3) for entry in listed if entry):
        if kind != _SUBMODULE:
            continue
        source = repository / path
        index = target.parent / "index"
        environ["GIT_INDEX_FILE"] = str(index)
        try:
            if not (source / ".git").exists():
                raise FileNotFoundError
            run([*_command(source), "read-tree", sha], env=environ)
            run([*_command(source), "checkout-index", "--all", f"--prefix={target / path}/"], env=environ)
        except (CommandError, FileNotFoundError):
            yield f"the submodule {path} is not here at {sha[:12]}, the revision that {commit[:12]} has"
            continue
        finally:
            index.unlink(missing_ok=True)
        yield from _fill_submodules(source, sha, target / path)


def _kind(trunk: str) -> str:
    """Return where git keeps a branch of that name: a tag or file of the same name must not be taken for it."""
    return "remotes" if trunk.startswith("origin/") else "heads"


def _command(directory: Path) -> list[str]:
    # Hooks are for people who check out; they must not run for a look at another revision.
    return ["git", "-C", str(directory), "-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false"]


def _git(directory: Path, *arguments: str) -> str:
    return run([*_command(directory), *arguments], env={**os.environ, "LC_ALL": "C"}).stdout
