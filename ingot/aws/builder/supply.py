"""What a builder gets its packages and artifacts from: all of it is known to be there before its launch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingot.aws.builder.publish import Work
from ingot.store.downloads.offered import offered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ingot.progress import Progress
    from ingot.spec import Addresses, BakeSpec
    from ingot.store import Store


@dataclass(frozen=True)
class Supply:
    """Where a builder gets packages and artifacts from.

    ``kept``: what its bucket has, as sizes in bytes by SHA-256; that is asked first. The rest is fetched here
    and put into the bucket, but for packages that a mirror has which the builder reaches: ``archives`` says
    where those are.
    """

    store: Store
    kept: Mapping[str, int]
    archives: Mapping[str, Addresses] = field(default_factory=dict)


def work_of(spec: BakeSpec, sources: Path, supply: Supply, progress: Progress) -> Work:
    """Return what a builder instance is to bake; a base AMI brings its packages itself.

    When this returns, everything that the lock names is in the builder's bucket, on this machine, or on a
    mirror that the builder is told of. Raises BakeError or IngotError that names what cannot be fetched.
    """
    kept, store = dict(supply.kept), supply.store
    if spec.base is not None:
        files = store.fetch_downloads(spec, progress, kept=kept)
        return Work(spec=spec, sources=sources, packages=files, archives={})
    if supply.archives:
        packages = (package for one in spec.with_stages() for package in one.packages)
        lacking = [package for package in packages if kept.get(package.sha256) != package.size]
        kept |= {package.sha256: package.size for package in offered(lacking, supply.archives, progress)}
    files = store.fetch(spec, progress, kept=kept)
    return Work(spec=spec, sources=sources, packages=files, archives=supply.archives)
