"""A recipe's own apt sources: archives beside the distribution's, each verified with a key of its own."""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from ingot.errors import InputError, Problem
from ingot.files import read_limited
from ingot.process import require, run
from ingot.recipe.lock.artifacts import ARTIFACT
from ingot.recipe.schema.model import Recipe
from ingot.recipe.sources.expander import Expander
from ingot.recipe.syntax.document import At

# The archives of the distributions themselves, and what a package is of that none has: names that are taken.
RESERVED = frozenset({"debian", "debian-security", "ubuntu", ARTIFACT})
# Bytes. The keyring of Debian itself has 60 kB.
MAX_KEY = 1 << 20
# How an armoured key begins (RFC 9580, 6.2).
_PUBLIC, _SECRET = b"-----BEGIN PGP PUBLIC KEY BLOCK-----", b"-----BEGIN PGP PRIVATE KEY BLOCK-----"
# The first byte of a binary one: a packet's tag, in the old form (with a length of one, two or four bytes) or
# the new.
_PUBLIC_TAGS, _SECRET_TAGS = b"\x98\x99\x9a\xc6", b"\x94\x95\x96\xc5"
_EXPECTED, _HINT = "the OpenPGP public key of the archive", "gpg --export --armor KEY writes one"


@dataclass(frozen=True)
class Archive:
    """An apt source that is ready to be used."""

    name: str
    uri: str
    suite: str
    components: tuple[str, ...]
    key: Path
    key_at: At
    """Where the recipe names the key."""
    key_sha256: str
    armoured: bool
    """Whether the key is in text form: apt tells by the file's suffix."""


def archives_of(recipe: Recipe) -> list[Archive]:
    """Return the recipe's own apt sources; raise InputError when one cannot be used."""
    problems: list[Problem] = []
    archives = read_archives(recipe, problems)
    if problems:
        raise InputError(f"the apt sources of {recipe.name} have problems", problems=problems)
    return archives


def read_archives(recipe: Recipe, problems: list[Problem]) -> list[Archive]:
    """Return the apt sources that can be used; add to ``problems`` what is wrong with the others.

    Every command that reads a recipe comes here, so no program is started: a key is known by how it begins.
    What is in it, gpg finds out when the lock is made (:func:`fingerprints`).
    """
    expander = Expander(recipe, problems)
    archives: list[Archive] = []
    for number, source in enumerate(recipe.apt_sources):
        at: At = ("apt_sources", number)
        path = expander.locate(source.key, at, key="key")
        name = source.name or name_of(source.uri)
        taken = name in RESERVED or any(a.name == name and a.uri != source.uri for a in archives)
        if taken:
            what, hint = f"the archive {name!r} a second time", "give it a name of its own: name: …"
            problems.append(recipe.problem((*at, "uri"), what, "another archive for each name", hint))
        if path is None:
            continue
        try:
            data = read_limited(path, MAX_KEY)
        except OSError as error:
            fault: str | None = error.strerror or str(error)
        else:
            fault = _fault_of_key(data)
        if fault is not None:
            problems.append(recipe.problem((*at, "key"), f"{source.key}: {fault}", _EXPECTED, _HINT))
            continue
        digest = hashlib.sha256(data).hexdigest()
        archive = Archive(
            name=name,
            uri=source.uri,
            suite=source.suite,
            components=source.components,
            key=path,
            key_at=(*at, "key"),
            key_sha256=digest,
            armoured=_PUBLIC in data,
        )
        archives.append(archive)
    return archives


def fingerprints(recipe: Recipe, archive: Archive) -> tuple[str, ...]:
    """Return the fingerprints of the primary keys that may sign an archive, sorted, in upper-case hex.

    Raises InputError at the recipe's key when gpg finds none in it, and MissingToolError without gpg.
    """
    require("gpg", needed_for=f"read the key of the archive {archive.name}")
    with tempfile.TemporaryDirectory(prefix="ingot-gpg-") as home:
        # Its own directory: neither the user's options nor their keys count, and none is made.
        options = ["--homedir", home, "--no-options", "--batch", "--no-autostart"]
        listing = run(["gpg", *options, "--show-keys", "--with-colons", archive.key], check=False).stdout
    records = [line.split(":") for line in listing.splitlines()]
    # GnuPG's doc/DETAILS: a record "pub" or "sub" is followed by its "fpr", whose tenth field is the
    # fingerprint.
    keys = [fields for fields in records if fields[0] in ("pub", "sec", "sub", "ssb", "fpr")]
    secret = any(fields[0] == "sec" for fields in keys)
    found = [after[9] for before, after in pairwise(keys) if before[0] == "pub" and after[0] == "fpr"]
    if found and not secret:
        return tuple(sorted(found))
    what = "a secret key" if secret else "no OpenPGP public key"
    problem = recipe.problem(archive.key_at, f"{archive.key.name}: {what}", _EXPECTED, _HINT)
    raise InputError(f"the key of the archive {archive.name} cannot be used", problems=[problem])


def name_of(uri: str) -> str:
    """Return the default name of an archive: its host, or the last part of a file's path."""
    parts = urlsplit(uri)
    word = parts.hostname or parts.path.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9.-]+", "-", word.lower()) or "archive"


def _fault_of_key(data: bytes) -> str | None:
    """Return what a key file is instead of a public key, as far as its beginning tells.

    None when it can be one.
    """
    first = data[0] if data else 0
    if _SECRET in data or first in _SECRET_TAGS:
        return "a secret key"
    if _PUBLIC in data or first in _PUBLIC_TAGS:
        return None
    return "no OpenPGP key"
