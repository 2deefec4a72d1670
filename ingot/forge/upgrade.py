"""Proposes newer packages: one branch and one pull request a recipe, refreshed as long as it is open."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import IngotError
from ingot.escape import fenced
from ingot.forge.git import git
from ingot.forge.github import GitHub
from ingot.process import CommandError

# Characters of a pull request's body; GitHub's limit is that of comments.
LIMIT = 60_000
BRANCH = "ingot/lock-{name}"
EMAIL = "ingot@users.noreply.github.com"
AUTHOR = ("-c", "user.name=Ingot", "-c", f"user.email={EMAIL}")


class TakenOver(IngotError):  # noqa: N818 - no failure: somebody went on with the proposal
    """The upgrade's branch has another's work on it and was left as it is."""


@dataclass(frozen=True)
class LockUpgrade:
    """A recipe whose locks move.

    ``locks``: the new text of each lock file; ``moved``: the lines that `ingot lock` prints.
    """

    name: str
    locks: Mapping[Path, str]
    moved: Sequence[str]

    @property
    def branch(self) -> str:
        """The branch of its pull request."""
        return BRANCH.format(name=self.name)

    @property
    def title(self) -> str:
        """The title of its pull request."""
        count = len(self.moved)
        what = "base AMI" if all(map(_is_ami, self.moved)) else "package"
        return f"Upgrade {count} {what}{'' if count == 1 else 's'} of {self.name}"

    @property
    def body(self) -> str:
        """What its pull request says; every line that does not fit is counted."""
        lines = list(self.moved)
        while len(fenced(lines)) > LIMIT:
            lines = lines[: len(lines) * 9 // 10]
        left = len(self.moved) - len(lines)
        rest = f"\n\nand {left:,} more, in the diff of the lock." if left else ""
        return (
            f"`ingot lock {self.name} --upgrade` moved:\n\n{fenced(lines)}{rest}\n\n"
            "Merging it bakes a new image. The plan and the tests are in this pull request's checks."
        )


def _is_ami(line: str) -> bool:
    """Tell whether a line that `ingot lock` prints is of a base AMI, which stands for a region."""
    return " ami-" in line


def push(upgrade: LockUpgrade, base: str, remote: str = "origin") -> bool:
    """Commit the locks alone, on top of the commit ``base``, and push them to the upgrade's branch.

    Returns whether that is new there. The working tree, the index and all local branches stay as they are.
    Raises TakenOver where the branch has a commit that is not Ingot's, IngotError with what git says.
    """
    root = Path(_git(next(iter(upgrade.locks)).parent, "rev-parse", "--show-toplevel").strip())
    tree = _tree(root, base, upgrade.locks)
    tip = _git(root, "ls-remote", remote, f"refs/heads/{upgrade.branch}").split()
    if tip:
        _git(root, "fetch", "--quiet", "--no-tags", remote, tip[0])
        _check_ours(root, tip[0], upgrade.branch)
        if _git(root, "rev-parse", f"{tip[0]}^{{tree}}", f"{tip[0]}^").split() == [tree, base]:
            return False
    commit = _git(root, "commit-tree", tree, "-p", base, "-m", upgrade.title).strip()
    target = f"{commit}:refs/heads/{upgrade.branch}"
    # Only what was there when it was looked at gives way: not what somebody pushed meanwhile.
    lease = f"--force-with-lease=refs/heads/{upgrade.branch}:{tip[0] if tip else ''}"
    _git(root, "push", "--quiet", lease, remote, target)
    return True


def _tree(root: Path, base: str, locks: Mapping[Path, str]) -> str:
    """Return the tree of ``base`` with the new locks, made in an index of its own."""
    index = Path(_git(root, "rev-parse", "--absolute-git-dir").strip()) / f"ingot-upgrade-{os.getpid()}.index"
    environ = {"GIT_INDEX_FILE": str(index)}
    try:
        _git(root, "read-tree", base, environ=environ)
        for path, text in locks.items():
            name = path.resolve().relative_to(root.resolve()).as_posix()
            blob = _git(root, "hash-object", "-w", "--stdin", text=text).strip()
            _git(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", environ=environ)
        return _git(root, "write-tree", environ=environ).strip()
    finally:
        index.unlink(missing_ok=True)


def _check_ours(root: Path, tip: str, branch: str) -> None:
    """Raise TakenOver unless the branch ends with a commit as :func:`push` makes it."""
    # A commit on top has another author, an amended or rebased one another committer, and a merge two
    # parents.
    author, committer, *parents = _git(root, "log", "-1", "--format=%ae%n%ce%n%P", tip).split()
    if (author, committer, len(parents)) != (EMAIL, EMAIL, 1):
        raise TakenOver(
            f"{branch} ends with {tip:.12}, by {author}, which is not Ingot's: the branch stays as it is",
            hint="merge its pull request, or delete the branch for a new proposal",
        )


def _git(
    directory: Path, *words: str, environ: Mapping[str, str] | None = None, text: str | None = None
) -> str:
    """Run git as Ingot, who commits and pushes; raise IngotError with what it says when it fails."""
    try:
        return git(directory, *AUTHOR, *words, environ=environ, text=text)
    except CommandError as error:
        raise IngotError(f"git {words[0]} failed: {error.output.strip()}") from error


def propose(upgrade: LockUpgrade, github: GitHub, base_branch: str) -> str:
    """Open the upgrade's pull request, or refresh the one that is open; return its URL.

    Raises IngotError with what GitHub says.
    """
    owner = github.repository.split("/")[0]
    found = github.call("GET", f"pulls?state=open&head={owner}:{upgrade.branch}&base={base_branch}")
    content = {"title": upgrade.title, "body": upgrade.body}
    if found:
        pull_request = github.call("PATCH", f"pulls/{int(found[0]['number'])}", content)
    else:
        pull_request = github.call("POST", "pulls", {**content, "head": upgrade.branch, "base": base_branch})
    return str(pull_request["html_url"])
