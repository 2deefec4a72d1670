"""``python -m bench.moving put|get MANIFEST DISK BUCKET``: a disk's blocks to a bucket or from it, no more.

What anyone would write first: each block once, as many at a time as `ingot archive` has. Nothing is hashed,
compared, or asked again.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

from ingot.aws.archive.images import STREAMS
from ingot.blocks import BLOCK_SIZE


def main(way: str, manifest: Path, disk: Path, bucket: str) -> None:
    """Move all blocks that are not zeros, each content once, with the credentials of the environment."""
    about = json.loads(manifest.read_text(encoding="utf-8"))["disk"]
    first = {digest: index for index, digest in reversed([*enumerate(about["blocks"])]) if digest is not None}
    s3 = boto3.client("s3", config=Config(max_pool_connections=STREAMS))
    file = os.open(disk, os.O_RDONLY if way == "put" else os.O_RDWR | os.O_CREAT)

    def put(digest: str) -> None:
        s3.put_object(Bucket=bucket, Key=digest, Body=os.pread(file, BLOCK_SIZE, first[digest] * BLOCK_SIZE))

    def get(digest: str) -> None:
        data = s3.get_object(Bucket=bucket, Key=digest)["Body"].read()
        os.pwrite(file, data, first[digest] * BLOCK_SIZE)

    with ThreadPoolExecutor(STREAMS) as pool:
        for _ in pool.map(put if way == "put" else get, first):
            pass
    os.close(file)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
