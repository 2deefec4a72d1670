"""The inventory's section texts, computed from the tree of a bake.

``rootfs/inventory.pl`` computes the same texts inside a clone; a section's digest is the SHA-256 of its text.
A line of the files section is ``path TAB type TAB mode TAB uid TAB gid TAB size TAB digest``: size 0 for all
but files; the digest is a link's target for a link, ``-`` for what has none. A file with capabilities has one
word more: its attribute security.capability in hex. Lines are sorted by their bytes. Control characters and
backslashes of names are written ``\\xHH``.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Dict, Iterable, Mapping, Sequence, Tuple

from ingot.bake.tree.tree import Changes, Entry, Kind, encode
from ingot.bake.tree.volatile import Volatile
from ingot.deb822 import parse_paragraphs

CAPABILITY = "security.capability"
SECTIONS = ("os", "packages", "users", "groups", "files", "services")
UNITS = b"/etc/systemd/system/"
STATUS = "/var/lib/dpkg/status"
_TYPES = {
    Kind.FILE: b"f",
    Kind.DIRECTORY: b"d",
    Kind.SYMLINK: b"l",
    Kind.CHARACTER: b"c",
    Kind.BLOCK: b"b",
    Kind.FIFO: b"p",
}
_CONTROL = re.compile(rb"[\x00-\x1f\\\x7f]")


def escape(name: bytes) -> bytes:
    """Return a name with its control characters and backslashes written as ``\\xHH``."""
    return _CONTROL.sub(lambda match: b"\\x%02x" % match[0][0], name)


def escape_text(text: str) -> str:
    """Return :func:`escape` of text."""
    return escape(text.encode("utf-8")).decode("utf-8")


def file_line(entry: Entry) -> bytes:
    """Return an entry's line of the files section. Files must have their digests."""
    digest = b"-"
    if entry.kind is Kind.SYMLINK:
        digest = escape(encode(entry.link or ""))
    elif entry.kind is Kind.FILE:
        digest = (entry.sha256 or "").encode()
    size = entry.size if entry.kind is Kind.FILE else 0
    rest = b"\t%s\t%04o\t%d\t%d\t%d\t%s" % (
        _TYPES[entry.kind],
        entry.mode,
        entry.uid,
        entry.gid,
        size,
        digest,
    )
    if entry.kind is Kind.FILE:
        rest += b"".join(b"\t" + value.hex().encode() for name, value in entry.xattrs if name == CAPABILITY)
    return escape(encode(entry.path)) + rest


def lines_text(lines: Iterable[bytes]) -> bytes:
    """Return ``lines`` as the text of a section: sorted."""
    return b"".join(line + b"\n" for line in sorted(lines))


def files_text(entries: Sequence[Entry], volatile: Volatile) -> bytes:
    """Return the text of the files section: what is ``volatile`` is no part of it."""
    return lines_text(file_line(entry) for entry in entries if not volatile.covers(entry.path))


def services_text(entries: Sequence[Entry]) -> bytes:
    """Return the text of the services section: every link below /etc/systemd/system and its target."""
    links = [entry for entry in entries if entry.kind is Kind.SYMLINK]
    return lines_text(
        escape(encode(entry.path)) + b"\t" + escape(encode(entry.link or ""))
        for entry in links
        if encode(entry.path).startswith(UNITS)
    )


@lru_cache(maxsize=1)  # a bake asks twice for the same
def installed(status: bytes) -> Sequence[Mapping[str, str]]:
    """Return the paragraphs of dpkg's status file."""
    paragraphs = parse_paragraphs(status.decode("utf-8", "surrogateescape"))
    return [paragraph for paragraph in paragraphs if "package" in paragraph]


def packages_text(status: bytes) -> bytes:
    """Return the text of the packages section: name, version, architecture, status."""
    fields = ("package", "version", "architecture", "status")
    return lines_text("\t".join(paragraph[f] for f in fields).encode() for paragraph in installed(status))


def users_text(passwd: bytes, shadow: bytes) -> bytes:
    """Return the text of the users section: the lines of passwd(5) and what becomes of a password."""
    state: Dict[bytes, bytes] = {}
    for line in shadow.splitlines():
        name, _, rest = line.partition(b":")
        password = rest.partition(b":")[0]
        state[name] = b"empty" if not password else b"locked" if password[:1] in b"!*" else b"password"
    lines = [line for line in passwd.split(b"\n") if line]
    return lines_text(line + b"\t" + state.get(line.partition(b":")[0], b"none") for line in lines)


def sections(
    files: bytes, links: Sequence[Entry], contents: Mapping[str, bytes], kernel: str
) -> Dict[str, str]:
    """Return the digest of each section.

    ``files`` is the text of the files section, ``links`` are the symbolic links below /etc/systemd/system,
    ``contents`` holds the files that :data:`READ` names, ``kernel`` what ``uname -r`` says.
    """
    texts: Dict[str, bytes] = {
        "os": contents["/etc/os-release"] + f"KERNEL={kernel}\n".encode(),
        "packages": packages_text(contents[STATUS]),
        "users": users_text(contents["/etc/passwd"], contents["/etc/shadow"]),
        "groups": lines_text(line for line in contents["/etc/group"].split(b"\n") if line),
        "files": files,
        "services": services_text(links),
    }
    return {name: hashlib.sha256(texts[name]).hexdigest() for name in SECTIONS}


READ: Tuple[str, ...] = ("/etc/os-release", STATUS, "/etc/passwd", "/etc/shadow", "/etc/group")


def image_baseline(base: Mapping[str, Entry], changes: Changes, volatile: Volatile) -> bytes:
    """Return the list of what the recipe changed on the lower layer ``base``: a small
    file, so that a small change stays small.
    """
    above = {entry.path: file_line(entry) for entry in changes.entries if not volatile.covers(entry.path)}
    # What the recipe holds below a path that is volatile, the list of the lower layer does not have.
    new = above.keys() & volatile.single
    changed = [
        line
        for path, line in above.items()
        if path in new or path not in base or file_line(base[path]) != line
    ]
    removed = [path for path in changes.gone if path not in above and not volatile.covers(path)]
    return lines_text([*changed, *(escape(encode(path)) + b"\tremoved" for path in removed)])
