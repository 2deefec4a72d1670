"""EBS: snapshots through the EBS direct APIs with AWS's semantics and data on disk."""

from __future__ import annotations

import shutil

from localcloud.core.context import CloudContext
from localcloud.services.ebs.service import EbsService


def start(context: CloudContext) -> EbsService:
    """Start with no snapshots: EC2's records of them are in memory and gone, too."""
    directory = context.directory / "ebs"
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    service = EbsService(directory)
    context.hooks.blocks_of = service.files_of
    return service
