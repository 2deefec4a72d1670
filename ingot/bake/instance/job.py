"""What a builder instance is told: one job, JSON in its user data."""

from __future__ import annotations

import json
from typing import Mapping, NamedTuple

from ingot.spec import Addresses


class BuilderJob(NamedTuple):
    """What to bake, where the result goes, and who hears of it.

    ``bundle`` and ``manifest`` are keys of ``bucket``: the one has what the bake needs, below the other the
    builder leaves the manifest, gzipped. ``live``: its own root becomes the image.
    """

    region: str
    bucket: str
    bundle: str
    bundle_sha256: str
    log_group: str
    snapshot: str
    encrypted: bool
    manifest: str
    archives: Mapping[str, Addresses]
    live: bool = False

    def text(self) -> str:
        """Return it as one line of JSON. ``bootstrap.py`` comes alone, and reads the first four itself."""
        return json.dumps(self._asdict(), sort_keys=True)


def read_builder_job(text: str) -> BuilderJob:
    """Return the job that :meth:`BuilderJob.text` wrote."""
    value = json.loads(text)
    archives = {name: Addresses(*map(tuple, lists)) for name, lists in value["archives"].items()}
    return BuilderJob(**{**value, "archives": archives})
