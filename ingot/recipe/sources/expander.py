"""The sources of a recipe: the content of its directory, read and turned into files of the image."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ingot.errors import Problem
from ingot.files import read_limited, sha256_of
from ingot.recipe.schema.capabilities import XATTR, capability_xattr
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.parts import App, FileEntry
from ingot.recipe.schema.values import MAX_PATH
from ingot.recipe.syntax.document import At, shortened, shown, unusable

# What editors, interpreters and version control leave beside a source, never part of an image.
IGNORED_NAMES = frozenset({"__pycache__", ".git", ".DS_Store", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
IGNORED_SUFFIXES = (".pyc", ".swp", "~")
# Bytes. A template travels inside the bake spec as text; what is larger is data.
MAX_TEMPLATE = 1 << 20
# Directories inside one another. An image's paths are much shorter; Python's own stack is the limit here.
MAX_LEVELS = 200
# RFC 3986, 3.1: what makes a text the address of something elsewhere.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_ignored(path: Path) -> bool:
    """Tell whether nothing of this name, or below one, is copied."""
    return any(name in IGNORED_NAMES or name.endswith(IGNORED_SUFFIXES) for name in path.parts)


@dataclass(frozen=True)
class ImageFile:
    """One name in the image and the value of the recipe that it comes from.

    A symbolic link leads to ``link``; a hard link is another name of the file ``link``, whose owner, mode and
    attributes it shares. What is taken from a stage is at ``path`` there: a file, or a directory with all in
    it.
    """

    kind: Literal["file", "directory", "symlink", "hardlink", "taken"]
    target: str
    owner: str | None
    group: str | None
    mode: str | None
    at: At
    source: str | None = None
    content: str | None = None
    link: str | None = None
    sha256: str | None = None
    size: int | None = None
    xattrs: tuple[tuple[str, str], ...] = ()
    """Names and values in hex, sorted."""
    stage: str | None = None
    path: str | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON; keys that do not apply are left out."""
        keys = ("kind", "target", "owner", "group", "mode", "source", "content", "link", "sha256", "size")
        of_stage = ("stage", "path")
        plain = {key: value for key in (*keys, *of_stage) if (value := getattr(self, key)) is not None}
        return {**plain, "xattrs": dict(self.xattrs)} if self.xattrs else plain


@dataclass(frozen=True)
class _CopiedDirectory:
    """A directory that is copied: whose its files are in the image, and the value that names it."""

    top: Path
    owner: str
    group: str
    at: At


@dataclass(frozen=True)
class _SourceText:
    """A source as text."""

    path: Path
    text: str


class Expander:
    """Walks the sources; every complaint is a Problem at the key that named the source."""

    def __init__(self, recipe: Recipe, problems: list[Problem]) -> None:
        self.recipe = recipe
        self.problems = problems
        self.root = recipe.source_root

    def app(self, app: App) -> list[ImageFile]:
        """Return the files of the app."""
        at: At = ("app",)
        if app.from_ is not None:
            taken = ImageFile("taken", app.target, app.owner, app.group, None, at)
            return [replace(taken, stage=app.from_, path=app.source)]
        path = self.locate(app.source, at)
        if path is None:
            return []
        if not path.is_dir():
            self.complain(at, f"{app.source}, a file", "a directory")
            return []
        return self.tree(_CopiedDirectory(path, app.owner, app.group, at), path, app.target)

    def entry(self, entry: FileEntry, at: At) -> list[ImageFile]:
        """Return the files of one entry of ``files``."""
        file = ImageFile(
            "file", entry.target, entry.owner, entry.group, entry.mode or "0644", at, xattrs=_xattrs(entry)
        )
        self.refuse(entry, at)
        if entry.from_ is not None:
            return [replace(file, kind="taken", mode=entry.mode, stage=entry.from_, path=entry.source)]
        if entry.hardlink is not None:
            return [ImageFile("hardlink", entry.target, None, None, None, at, link=entry.hardlink)]
        if entry.link is not None:
            return [replace(file, kind="symlink", mode="0777", link=entry.link, xattrs=())]
        if entry.directory:
            return [replace(file, kind="directory", mode=entry.mode or "0755")]
        if entry.content is not None:
            data = entry.content.encode()
            digest = hashlib.sha256(data).hexdigest()
            return [replace(file, content=entry.content, sha256=digest, size=len(data))]
        assert entry.source is not None  # noqa: S101 - the model holds that one of them is given
        path = self.locate(entry.source, at)
        if path is None:
            return []
        if path.is_dir():
            self.refuse_keys(
                entry, at, ("mode", "capabilities", "xattrs", "template"), "a source that is a directory"
            )
            return self.tree(_CopiedDirectory(path, entry.owner, entry.group, at), path, entry.target)
        files = self.template(path, file, entry.mode) if entry.template else self.file(path, file, entry.mode)
        return list(files)

    def refuse(self, entry: FileEntry, at: At) -> None:
        """Complain of keys that mean nothing for what the entry is."""
        if entry.hardlink is not None:
            shared = ("owner", "group", "mode", "capabilities", "xattrs", "template")
            self.refuse_keys(entry, at, shared, "a hard link, which shares what its file has")
        elif entry.link is not None:
            self.refuse_keys(entry, at, ("mode", "capabilities", "xattrs", "template"), "a symbolic link")
        elif entry.directory:
            self.refuse_keys(entry, at, ("capabilities", "template"), "a directory")
        elif entry.content is not None:
            self.refuse_keys(entry, at, ("template",), "a content, which takes variables anyway")
        elif entry.from_ is not None:
            self.refuse_keys(entry, at, ("template",), "what a stage has built")

    def refuse_keys(self, entry: FileEntry, at: At, keys: tuple[str, ...], what: str) -> None:
        """Complain of each of ``keys`` that the entry has."""
        for key in keys:
            if key in entry.model_fields_set:
                self.complain(at, f"{key} for {what}", "none", key=key)

    def locate(self, source: str, at: At, *, key: str = "source") -> Path | None:
        """Return the source's path if it is in the directory of the file that names it, links resolved."""
        top = self.recipe.document.place((*at, key)).file.parent.resolve()
        path = top / source
        fault = unusable(path)
        if _URL.match(source):
            hint = f"artifacts fetch and lock it: artifacts: [{{url: {shortened(source)}, target: …}}]"
            expected = "a path below the recipe's directory"
            self.complain(at, f"the address {shortened(source)!r}", expected, hint=hint, key=key)
        elif fault is not None:
            self.complain(at, f"{key} {shortened(source)!r}: {fault}", "the path of a file", key=key)
        elif not source or Path(source).is_absolute() or ".." in Path(source).parts:
            self.complain(
                at, f"{key} {source!r}", "a path below the recipe's directory, without '..'", key=key
            )
        elif not path.exists():
            kind = "directory" if source.endswith("/") else "file"
            self.complain(at, f"no {kind} {source}", f"it at {shown(path)}", key=key)
        elif source.endswith("/") and not path.is_dir():
            self.complain(
                at, f"{source}, which is a file", "a directory, or a name without the slash", key=key
            )
        elif not path.resolve().is_relative_to(top):
            self.complain(
                at, f"{source}, a link that leaves the recipe's directory", "a file inside it", key=key
            )
        else:
            return path
        return None

    def tree(self, source: _CopiedDirectory, here: Path, target: str) -> list[ImageFile]:
        """Return the directory ``here`` of ``source``, and all in it; empty directories are kept."""
        owner, group, at = source.owner, source.group, source.at
        found = [ImageFile("directory", target, owner, group, "0755", at)]
        try:
            names = sorted(path.name for path in here.iterdir())
        except OSError as error:
            self.complain(
                at, f"{here.relative_to(self.root)}: {error.strerror}", "a directory that can be read"
            )
            return []
        if not names and _is_submodule(here):
            self.complain(
                at,
                f"{here.relative_to(self.root)}, a git submodule that is not checked out",
                "its files",
                hint="run: git submodule update --init --recursive",
            )
        for name in names:
            if name in IGNORED_NAMES or name.endswith(IGNORED_SUFFIXES):
                continue
            path, below = here / name, f"{target}/{name}"
            if (
                below.count("/") > MAX_LEVELS
                or max(len(os.fsencode(path)), len(os.fsencode(below))) > MAX_PATH
            ):
                what = f"a path of {below.count('/')} directories and {len(os.fsencode(below))} bytes"
                self.complain(at, what, f"at most {MAX_LEVELS} directories and {MAX_PATH} bytes")
            elif not _is_utf8(name):
                self.complain(at, f"the file name {name!r}", "a name in UTF-8")
            elif path.is_symlink():
                found += self.link(source, path, below)
            elif path.is_dir():
                found += self.tree(source, path, below)
            else:
                found += self.file(path, ImageFile("file", below, owner, group, None, at), None)
        return found

    def link(self, source: _CopiedDirectory, path: Path, target: str) -> Iterator[ImageFile]:
        """A link inside a source is copied as a link; it must stay inside that source to mean the same."""
        at, top = source.at, source.top
        text = os.readlink(path)  # noqa: PTH115 - the text as it stands, not as pathlib spells it
        name = path.relative_to(self.root)
        try:
            path.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.complain(at, f"{name}, a link that leads to itself", "a link to a file or a directory")
                return
        if not _is_utf8(text):
            self.complain(at, f"{name}, a link to {os.fsencode(text)!r}", "a link whose text is UTF-8")
        elif os.path.isabs(text) or not path.resolve().is_relative_to(top.resolve()):  # noqa: PTH117
            self.complain(
                at,
                f"{name}, a link to {text}, outside of {top.relative_to(self.root)}/",
                "a link that stays inside",
                hint="for a link to a path of the image use an entry {link: …, target: …} under files",
            )
        else:
            yield ImageFile("symlink", target, source.owner, source.group, "0777", at, link=text)

    def file(self, path: Path, prototype: ImageFile, mode: str | None) -> Iterator[ImageFile]:
        """A regular file, with its hash, size and executable bit."""
        name = path.relative_to(self.root).as_posix()
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                self.complain(prototype.at, f"{name}, neither file nor directory", "a regular file")
                return
            digest = sha256_of(path)
        except OSError as error:
            self.complain(prototype.at, f"{name}: {error.strerror}", "a file that can be read")
            return
        # Like git, only the owner's executable bit counts: the others are the umask's.
        default = "0755" if status.st_mode & stat.S_IXUSR else "0644"
        yield replace(prototype, mode=mode or default, source=name, sha256=digest, size=status.st_size)

    def template(self, path: Path, prototype: ImageFile, mode: str | None) -> Iterator[ImageFile]:
        """A text file with the values of the recipe's variables put in.

        It travels as text, not as a source.
        """
        try:
            data = read_limited(path, MAX_TEMPLATE)
        except OSError as error:
            name = path.relative_to(self.root).as_posix()
            expected = f"a template of at most {MAX_TEMPLATE} bytes"
            self.complain(prototype.at, f"{name}: {error.strerror}", expected)
            return
        for file in self.file(path, prototype, mode):
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError as error:
                self.complain(
                    prototype.at,
                    f"{file.source}, whose byte {error.start} is not UTF-8",
                    "a template of UTF-8 text",
                )
                return
            complain = partial(self.complain_in_text, _SourceText(path, text))
            content = self.recipe.variables_in_use.text(text, complain)
            filled = content.encode()
            digest = hashlib.sha256(filled).hexdigest()
            yield replace(file, source=None, content=content, sha256=digest, size=len(filled))

    def complain_in_text(
        self, source: _SourceText, offset: int, found: str, expected: str, hint: str | None
    ) -> None:
        """Complain of a place inside a source."""
        text = source.text
        line, column = text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
        self.problems.append(Problem(shown(source.path), line, column, found, expected, hint))

    def complain(
        self, at: At, found: str, expected: str, *, hint: str | None = None, key: str = "source"
    ) -> None:
        """Complain of a key of the recipe."""
        self.problems.append(self.recipe.problem((*at, key), found, expected, hint))


def _is_submodule(directory: Path) -> bool:
    """Tell whether a repository around the directory names it as a submodule (gitmodules(5)).

    One that is not checked out has no other trace.
    """
    directory = directory.resolve()
    for above in directory.parents:
        try:
            text = (above / ".gitmodules").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        paths = re.findall(r"^\s*path\s*=\s*(.*?)\s*$", text, re.MULTILINE)
        if directory.relative_to(above).as_posix() in paths:
            return True
    return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _xattrs(entry: FileEntry) -> tuple[tuple[str, str], ...]:
    values = {name: text.encode() for name, text in entry.xattrs.items()}
    if entry.capabilities is not None:
        values[XATTR] = capability_xattr(entry.capabilities)
    return tuple(sorted((name, value.hex()) for name, value in values.items()))
