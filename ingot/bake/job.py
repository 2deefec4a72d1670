"""What the engine hands to its worker process: one job, JSON on the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from ingot.spec import BakeSpec, plain, spec_from_json


class BakeDirectories(NamedTuple):
    """Where a bake reads and writes.

    ``sources`` is what the sources of the spec's files are relative to, ``packages`` has the package files
    (:mod:`ingot.bake.packages.cache`), ``layers`` keeps lower layers, ``output`` gets the image.
    """

    sources: Path
    packages: Path
    layers: Path
    output: Path


class BakeJob(NamedTuple):
    """One bake. ``keep``: leave the root directory of a failed bake in ``output/root``."""

    spec: BakeSpec
    directories: BakeDirectories
    keep: bool = False

    def text(self) -> str:
        """Return it as one line of JSON, directories as absolute paths."""
        directories = {name: str(path.absolute()) for name, path in self.directories._asdict().items()}
        return json.dumps({"spec": plain(self.spec), "directories": directories, "keep": self.keep})


def read_job(text: str) -> BakeJob:
    """Return the job that :meth:`BakeJob.text` wrote. Raises BakeError for a bake spec of another format."""
    value = json.loads(text)
    directories = BakeDirectories(**{name: Path(path) for name, path in value["directories"].items()})
    return BakeJob(spec_from_json(value["spec"]), directories, value["keep"])
