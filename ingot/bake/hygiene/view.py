"""A finished disk as the checks see it: its files, the packages that own them, and what
its recipe declares.
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import (
    AbstractSet,
    Callable,
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

from ingot.bake.disk.index import LayerIndex
from ingot.bake.tree.inventory import STATUS, escape
from ingot.bake.tree.links import TooManyLinksError, resolve_links
from ingot.bake.tree.tree import Entry, Kind, Tree, decode, encode
from ingot.bake.tree.volatile import BASELINE, LIBRARY, STATE, Volatile, read_volatile
from ingot.spec import AllowanceSpec, BakeSpec, DropSpec

_INFO = "/var/lib/dpkg/info/"
# Filled at each boot: what a link into them names cannot be told from a disk.
RUNTIME = ("/dev", "/proc", "/run", "/sys")
_BELOW_RUNTIME = tuple(f"{top}/" for top in RUNTIME)
# A line of the field Conffiles of dpkg's status file: the path and the digest that the package brought.
_CONFFILE = re.compile(rb"^ (/\S.*) ([0-9a-f]{32})(?: obsolete)?$", re.MULTILINE)


class Reader(Protocol):
    """What gives the entries of a tree, and the content of a file by its path."""

    def entries(self, *, hashes: bool = True) -> List[Entry]:
        """Return what is in the tree."""

    def read(self, path: str) -> bytes:
        """Return the content of a regular file."""


class Declared(NamedTuple):
    """What a recipe declares that the checks compare a disk with; by default that of a
    recipe that declares nothing.

    ``files`` are the paths that the recipe puts into the image.
    """

    hostname: str = "from-metadata"
    files: FrozenSet[str] = frozenset()
    drop: DropSpec = DropSpec()
    allowances: Tuple[AllowanceSpec, ...] = ()

    @classmethod
    def of(cls, spec: BakeSpec) -> "Declared":
        """Return what the recipe of ``spec`` declares."""
        return cls(spec.hostname, frozenset(file.target for file in spec.files), spec.drop, spec.allowances)


def lines_of(content: bytes) -> List[str]:
    """Return the lines of a text, without blanks around them, comments and empty ones left out."""
    lines = (line.strip() for line in decode(content).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class View:
    """The disk that ``reader`` has open.

    ``traces`` are words of the builder that no file may hold; ``shipped`` is what the packages' layer
    consists of, by path, with digests: what is privileged there was made so by an installed package.
    ``entries`` are what is on the disk, if that is known, and ``doubtful`` the paths that each check must
    look at, if the others are known to be clean. ``is_lower``: the disk has the packages' layer alone.
    ``changed`` are the paths that the recipe changed, where the image does not say it itself.
    """

    def __init__(
        self,
        reader: Reader,
        declared: Declared,
        traces: Sequence[str] = (),
        shipped: Optional[Mapping[str, Entry]] = None,
        *,
        entries: Optional[Tree] = None,
        doubtful: Optional[Mapping[str, AbstractSet[str]]] = None,
        is_lower: bool = False,
        changed: Optional[AbstractSet[str]] = None,
    ) -> None:
        self._reader = reader
        self.declared = declared
        self.traces = tuple(traces)
        self.shipped = shipped or {}
        self.entries = Tree(reader.entries(hashes=False)) if entries is None else entries
        self._doubtful = doubtful
        self._is_lower = is_lower
        self._known_changed = changed
        self._directories: Dict[str, Optional[str]] = {}

    def read(self, path: str) -> bytes:
        """Return the content of a file, links followed; nothing when there is no such file."""
        found = self.resolve(path)
        entry = self.entries.get(found) if found else None
        return self._reader.read(entry.path) if entry is not None and entry.kind is Kind.FILE else b""

    def lines(self, path: str) -> List[str]:
        """Return the lines of a file, without blanks around them, comments and empty ones left out."""
        return lines_of(self.read(path))

    def below(self, top: str) -> Iterator[Entry]:
        """Yield everything below the directory ``top``."""
        return (self.entries[path] for path in self.entries.below(top))

    def unproven(self, check: str) -> Tuple[Entry, ...]:
        """Return every entry of which the ``check`` of that name does not know already
        that it is clean, sorted.
        """
        if self._doubtful is None:
            return tuple(self.entries.values())
        return tuple(self.entries[path] for path in sorted(self._doubtful[check], key=encode))

    def unproven_files(self, check: str) -> Tuple[Entry, ...]:
        """Return those of :meth:`unproven` that are regular files with a content."""
        return tuple(e for e in self.unproven(check) if e.kind is Kind.FILE and e.size)

    def unproven_links(self, check: str, is_watched: Callable[[str], bool]) -> Tuple[Entry, ...]:
        """Return those of :meth:`unproven` that are links with a name that ``is_watched``, to a file with a
        content whose own name is not.
        """
        found = []
        for entry in self.unproven(check):
            if entry.kind is Kind.SYMLINK and is_watched(entry.path):
                path = self.resolve(entry.path)
                target = self.entries.get(path) if path else None
                if (
                    target is not None
                    and target.kind is Kind.FILE
                    and target.size
                    and not is_watched(target.path)
                ):
                    found.append(entry)
        return tuple(found)

    @cached_property
    def drop_ins(self) -> Tuple[str, ...]:
        """The files that add to systemd's units."""
        tops = ("/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
        paths = (path for top in tops for path in self.entries.below(top))
        return tuple(path for path in paths if path.endswith(".conf") and ".d/" in path)

    def resolve(self, path: str) -> Optional[str]:
        """Return where ``path`` leads when all links are followed, None when nothing is there.

        What a link into a directory of :data:`RUNTIME` names is taken to be there.
        """
        try:
            return resolve_links(path, self._target)
        except (KeyError, TooManyLinksError):
            return None

    def _target(self, path: str) -> Optional[str]:
        """Return the target of the link ``path``, None for what is no link.

        Raises KeyError when nothing is there.
        """
        if path in RUNTIME or path.startswith(_BELOW_RUNTIME):
            return None
        entry = self.entries[path]
        return entry.link if entry.kind is Kind.SYMLINK else None

    @cached_property
    def homes(self) -> FrozenSet[str]:
        """The home directories of all users that passwd(5) names, and what lies below /home."""
        rows = [line.split(":") for line in self.lines("/etc/passwd")]
        named = {row[5] for row in rows if len(row) > 5 and row[5] not in ("", "/", "/nonexistent")}
        directories = {path for path in self.entries.below("/home") if path.count("/") == 2}
        return frozenset(named | directories | {"/root"})

    def is_packaged(self, path: str, content: bytes) -> bool:
        """Tell whether ``content`` of the file ``path`` is what an installed package brought there."""
        known = self._owned.get(path)
        return known is not None and hashlib.md5(content).hexdigest() == known  # noqa: S324 - dpkg's format

    def is_owned(self, path: str) -> bool:
        """Tell whether an installed package brought a file of this name, whatever its content is."""
        return path in self._owned or path in self._listed

    @cached_property
    def _listed(self) -> FrozenSet[str]:
        """The paths of dpkg's own lists: not every package comes with md5sums, and none
        with those of its configuration.
        """
        lists = [entry.path for entry in self.below(_INFO.rstrip("/")) if entry.path.endswith(".list")]
        return frozenset(self._real(line) for name in lists for line in decode(self.read(name)).splitlines())

    def is_added(self, path: str) -> bool:
        """Tell whether what is at ``path`` came with an artifact or a dependency of the recipe."""
        return isinstance(self.shipped, LayerIndex) and path in self.shipped.added

    def is_untouched(self, path: str) -> bool:
        """Tell, without reading it, whether the file is a package's and the recipe has not changed it.

        The image says itself what the recipe changed, or who made this view; where neither does, nothing is
        untouched.
        """
        changed = self._changed
        return (
            changed is not None
            and not self._volatile.covers(path)  # the image's own list does not say what was changed there
            and escape(encode(path)) not in changed
            and path in self._owned
        )

    @cached_property
    def _volatile(self) -> Volatile:
        text = decode(self.read(f"{LIBRARY}/volatile"))
        return read_volatile(text) if text else STATE

    @cached_property
    def _changed(self) -> Optional[FrozenSet[bytes]]:
        if self._known_changed is not None:
            return frozenset(escape(encode(path)) for path in self._known_changed)
        if self._is_lower:
            return frozenset()
        if f"{BASELINE}/image" not in self.entries:
            return None
        lines = self.read(f"{BASELINE}/image").splitlines()
        return frozenset(line.partition(b"\t")[0] for line in lines)

    @cached_property
    def _owned(self) -> Mapping[str, str]:
        """The MD5 of each packaged file, by its path on the disk: dpkg's md5sums, and the
        Conffiles of its status file.
        """
        owned = {}
        for entry in self.below(_INFO.rstrip("/")):
            if entry.path.endswith(".md5sums"):
                for line in self.read(entry.path).splitlines():
                    owned[self._real("/" + decode(line[34:]))] = decode(line[:32])
        for path, digest in _CONFFILE.findall(self.read(STATUS)):
            owned[self._real(decode(path))] = decode(digest)
        return owned

    def _real(self, path: str) -> str:
        """Return a path of a package with the links of its directory followed: /bin is /usr/bin."""
        directory, _, name = path.rpartition("/")
        if directory not in self._directories:
            self._directories[directory] = self.resolve(directory)
        real = self._directories[directory]
        return path if real is None else f"{real.rstrip('/')}/{name}"
