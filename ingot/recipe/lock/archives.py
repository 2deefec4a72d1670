"""A recipe's own apt sources: archives beside the distribution's, each verified with the key that the recipe names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ingot.errors import InputError, Problem
from ingot.recipe.lock.openpgp import KeyFileError, fingerprints, is_armoured
from ingot.recipe.schema.model import Recipe
from ingot.recipe.sources.expander import Expander
from ingot.recipe.syntax.document import At

# The archives of the distributions themselves: their names are taken.
RESERVED = frozenset({"debian", "debian-security", "ubuntu"})


@dataclass(frozen=True)
class Archive:
    """An apt source that is ready to be used."""

    name: str
    uri: str
    suite: str
    components: tuple[str, ...]
    key: Path
    fingerprints: tuple[str, ...]
    key_sha256: str

    @property
    def armoured(self) -> bool:
        """Whether the key is in text form: apt tells by the file's suffix."""
        return is_armoured(self.key.read_bytes())


def archives_of(recipe: Recipe) -> list[Archive]:
    """Return the recipe's own apt sources; raise InputError when one cannot be used."""
    problems: list[Problem] = []
    archives = read_archives(recipe, problems)
    if problems:
        raise InputError(f"the apt sources of {recipe.name} have problems", problems=problems)
    return archives


def read_archives(recipe: Recipe, problems: list[Problem]) -> list[Archive]:
    """Return the apt sources that can be used; add to ``problems`` what is wrong with the others."""
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
            data = path.read_bytes()
            keys = tuple(fingerprints(data))
        except (OSError, KeyFileError) as error:
            problems.append(
                recipe.problem(
                    (*at, "key"),
                    f"{source.key}: {error}",
                    "the OpenPGP public key of the archive",
                    "gpg --export --armor KEY writes one",
                )
            )
            continue
        digest = hashlib.sha256(data).hexdigest()
        archives.append(Archive(name, source.uri, source.suite, source.components, path, keys, digest))
    return archives


def name_of(uri: str) -> str:
    """Return the name that an archive has when the recipe gives it none: its host, or the last part of a file's path."""
    parts = urlsplit(uri)
    word = parts.hostname or parts.path.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9.-]+", "-", word.lower()) or "archive"
