"""EBS: snapshots through the EBS direct APIs with AWS's semantics and data on disk; AMIs that stand on them."""

from __future__ import annotations

import shutil
from pathlib import Path

from ingot.errors import CloudError
from localcloud.core.context import CloudContext
from localcloud.services.ebs import images, retirement
from localcloud.services.ebs.api import EbsApi
from localcloud.services.ebs.errors import EbsError
from localcloud.services.ebs.service import EbsService

_services: list[
    EbsService
] = []  # the service of the running cloud; a process has at most one cloud at a time


def install(context: CloudContext) -> EbsApi:
    """Start with no snapshots (EC2's records of them live in memory, too) and return the API."""
    directory = context.directory / "ebs"
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    service = EbsService(directory)
    _services[:] = [service]
    images.install(service)
    retirement.install()
    return EbsApi(context, service)


def blocks_of(snapshot_id: str) -> tuple[int, dict[int, Path]]:
    """Return a completed snapshot's volume size in bytes and the file of each of its 512 KiB blocks.

    A block that is missing from the mapping is all zeros. Raises CloudError for a snapshot that is not there.
    """
    if not _services:
        raise CloudError("the local cloud's EBS is not running")
    try:
        return _services[0].blocks_of(snapshot_id)
    except EbsError as error:
        raise CloudError(error.message) from error
