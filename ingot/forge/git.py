"""Runs git: the project's revisions, what is uncommitted, and a revision's files in a directory."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import InputError
from ingot.process import CommandError, require, run

_UPDATE = "git submodule update --init --recursive"
# The mode of a submodule in a tree, and what a hook sets that leads git to the hook's repository.
_SUBMODULE = "160000"
_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
# Tried in this order where no base is named: what a pull request will be merged into.
TRUNKS = ("origin/main", "main", "origin/master", "master")


@dataclass(frozen=True)
class BaseRevision:
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
        """Return the repository that contains ``project``.

        Raises InputError when there is none, MissingToolError without git.
        """
        require("git", needed_for="compare revisions")
        try:
            prefix = git(project, "rev-parse", "--show-prefix").strip("\n")
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
            return git(
                self.project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            ).strip()
        except CommandError as error:
            raise InputError(
                f"there is no revision {revision!r} in this repository", hint=self._fetch_hint(revision)
            ) from error

    def base(self, named: str | None) -> BaseRevision:
        """Return the named revision, else where HEAD left the trunk.

        Raises InputError when there is no such.
        """
        if named is not None:
            return BaseRevision(self.commit(named), named)
        head = self.commit("HEAD")
        for trunk in TRUNKS:
            commit = _asked(self.project, "merge-base", "HEAD", f"refs/{_kind(trunk)}/{trunk}")
            if commit is not None:
                return BaseRevision(
                    commit, f"HEAD, which is in {trunk}" if commit == head else f"where HEAD left {trunk}"
                )
        raise InputError(
            f"no base to compare with: none of {', '.join(TRUNKS)} shares history with HEAD",
            hint=f"name one with --base REVISION; {self._fetch_hint('main')}",
        )

    def dirty(self) -> list[str]:
        """Return the project's files that differ from HEAD or are untracked, as paths below the project."""
        text = git(
            self.project, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", "."
        )
        paths = [entry[3:] for entry in text.split("\0") if entry]
        return sorted(path.removeprefix(self.prefix) for path in paths)

    def ignored(self, directory: Path) -> list[str]:
        """Return the files below a directory of the project that git ignores, as paths below the project."""
        words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", str(directory))
        return sorted(path for path in git(self.project, *words).split("\0") if path)

    def tree(self, commit: str) -> str | None:
        """Return git's hash of the project's files at a commit; None where its directory did not exist."""
        where = f"{commit}:{self.prefix}" if self.prefix else f"{commit}^{{tree}}"
        return _asked(self.project, "rev-parse", "--verify", "--quiet", where)

    @contextmanager
    def checked_out(self, commit: str, lacks: Callable[[str], None] | None = None) -> Iterator[Path]:
        """Yield a directory with the project's files at ``commit``: a worktree, which goes at the end.

        Submodules are filled from those of the working tree. ``lacks`` gets a sentence on each whose revision
        is not here; without it that raises InputError.
        """
        with tempfile.TemporaryDirectory(prefix="ingot-base-") as above:
            worktree = Path(above) / "tree"
            git(self.project, "worktree", "add", "--quiet", "--detach", str(worktree), commit)
            try:
                top = Path(git(self.project, "rev-parse", "--show-toplevel").strip("\n"))
                for sentence in _fill_submodules(top, commit, worktree):
                    if lacks is None:
                        raise InputError(sentence, hint=f"fetch it: {_UPDATE}")
                    lacks(sentence)
                yield worktree / self.prefix
            finally:
                git(self.project, "worktree", "remove", "--force", str(worktree))

    def _fetch_hint(self, revision: str) -> str:
        shallow = git(self.project, "rev-parse", "--is-shallow-repository").strip() == "true"
        if shallow:
            return "this clone is shallow; run: git fetch --unshallow   (in GitHub Actions: fetch-depth: 0)"
        return f"fetch it first: git fetch origin {revision.removeprefix('origin/')}"


def _fill_submodules(repository: Path, commit: str, target: Path) -> Iterator[str]:
    """Put the files of a commit's submodules, and of theirs, below ``target``.

    Yields a sentence on each whose files are not here.

    Their repositories are those of the working tree: nothing is fetched, and nothing of them changes.
    """
    listed = git(repository, "ls-tree", "-r", "-z", "--full-tree", commit, other=True).split("\0")
    for kind, _, sha, path in (re.split("[ \t]", entry, maxsplit=3) for entry in listed if entry):
        if kind != _SUBMODULE:
            continue
        source = repository / path
        index = target.parent / "index"
        environ = {"GIT_INDEX_FILE": str(index)}
        try:
            if not (source / ".git").exists():
                raise FileNotFoundError
            git(source, "read-tree", sha, environ=environ, other=True)
            git(source, "checkout-index", "--all", f"--prefix={target / path}/", environ=environ, other=True)
        except (CommandError, FileNotFoundError):
            yield f"the submodule {path} is not here at {sha[:12]}, the revision that {commit[:12]} has"
            continue
        finally:
            index.unlink(missing_ok=True)
        yield from _fill_submodules(source, sha, target / path)


def _kind(trunk: str) -> str:
    """Return where git keeps a branch of that name: a tag or file of that name must not be taken for it."""
    return "remotes" if trunk.startswith("origin/") else "heads"


def git(
    directory: Path,
    *words: str,
    environ: Mapping[str, str] | None = None,
    text: str | None = None,
    other: bool = False,
) -> str:
    """Run git in ``directory`` and return what it prints; raise CommandError when it fails.

    ``environ`` is added to the environment, ``text`` is git's input. ``other``: the directory may be in
    another repository than the one whose hook runs this. Hooks do not run: they are for people who check out.
    """
    inherited = {name: value for name, value in os.environ.items() if not (other and name in _PLACES)}
    settings = ["-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false"]
    command = ["git", "-C", str(directory), *settings, *words]
    return run(command, input=text, env={**inherited, "LC_ALL": "C", **(environ or {})}).stdout


def _asked(directory: Path, *words: str) -> str | None:
    """Return the line that git answers; None when it says no."""
    try:
        return git(directory, *words).strip()
    except CommandError:
        return None
