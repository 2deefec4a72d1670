"""Archiving an image and its next version, and restoring it: beside a bare loop that moves the same blocks.

The bucket is one of a local cloud in this process, whose own work is in all of the figures.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from bench.measure import Case, interleaved
from bench.subject import ROOT, Settings, Table, median, spread
from bench.subjects.ingot import Ingot
from ingot.progress import Progress
from localcloud.core import environment
from localcloud.server import CloudServer

ARCHIVE, BARE = "archive", "bare"
FIRST, PUT = "ingot archive, the first version", "floor: a bare loop of PutObject"
SECOND = "ingot archive, the next version (4 KiB of the app changed)"
RESTORE, GET = "ingot restore --store-only", "floor: a bare loop of GetObject"
# Shares: the bytes of the next version, and the throughput of the bare loop.
BYTES_GOAL, THROUGHPUT_GOAL = 0.02, 0.8
_MIB = 1 << 20
_ENCRYPTED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
_BLOCKED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class Archive:
    """The web recipe's image in a store of its own, and two buckets."""

    def __init__(self, settings: Settings, s3: Any, variables: dict[str, str]) -> None:  # noqa: ANN401
        self._bakery = Ingot(settings)
        self._s3, self._variables = s3, variables
        self._work = settings.work
        for bucket in (ARCHIVE, BARE):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=_ENCRYPTED)
            blocked = dict.fromkeys(_BLOCKED, True)
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)

    def set_up(self) -> None:
        """Bake the image, whose manifest the bare loop goes by."""
        first = self._bakery.image()
        shutil.copyfile(first.directory / "manifest.json", self._work / "manifest.json")
        shutil.copyfile(first.disk, self._work / "disk.raw")

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they have to run."""
        name, variables = self._bakery.recipe.name, self._bakery.environment | self._variables
        archive = self._bakery.command("archive", "put", name, f"s3://{ARCHIVE}")
        restore = (sys.executable, "-m", "ingot.cli.main", "restore", f"s3://{ARCHIVE}", name, "--store-only")
        bare = (sys.executable, "-m", "bench.moving")
        about = str(self._work / "manifest.json")
        disk, copy = (str(self._work / file) for file in ("disk.raw", "copy.raw"))
        return [
            Case(FIRST, archive, lambda: self._empty(ARCHIVE), variables, self._bytes),
            Case(
                PUT, (*bare, "put", about, disk, BARE), lambda: self._empty(BARE), variables, directory=ROOT
            ),
            Case(SECOND, archive, self._change, variables, self._bytes),
            Case(RESTORE, restore, self._forget, variables),
            Case(GET, (*bare, "get", about, copy, BARE), self._remove_copy, variables, directory=ROOT),
        ]

    def _empty(self, bucket: str) -> None:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if found := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
                self._s3.delete_objects(Bucket=bucket, Delete={"Objects": found})
        self._bakery.image()  # that of the recipe as it is: it is archived, not baked

    def _bytes(self) -> int:
        """Return how much the archive holds."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=ARCHIVE)
        return sum(entry["Size"] for page in pages for entry in page.get("Contents", []))

    def _change(self) -> None:
        self._bakery.change_app()
        self._bakery.image()

    def _forget(self) -> None:
        for image in self._bakery.store.all_images():
            shutil.rmtree(image.directory)

    def _remove_copy(self) -> None:
        (self._work / "copy.raw").unlink(missing_ok=True)


@contextmanager
def _cloud(settings: Settings) -> Iterator[tuple[Any, dict[str, str]]]:
    """Give a client of S3 and the variables by which commands use a local cloud."""
    server = CloudServer(settings.work / "cloud", 0, log=lambda _line: None, machines=False)
    context = server.start()
    try:
        variables = environment.variables(context.port, context.access_key)
        session: Any = boto3.Session(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
        yield (
            session.client("s3", region_name=context.region, endpoint_url=context.endpoint),
            variables,
        )
    finally:
        server.reset()
        server.stop()


def run(settings: Settings, report: Progress) -> list[Table]:
    """Measure and return one table."""
    with _cloud(settings) as (s3, variables):
        archive = Archive(settings, s3, variables)
        report("setting up: the image is baked once")
        archive.set_up()
        samples = interleaved(archive.cases(), settings.runs, settings.work, report)
    firsts, both = ([sample.blocks or 0 for sample in samples[name]] for name in (FIRST, SECOND))
    seconds = [after - before for before, after in zip(firsts, both, strict=True)]
    sent = {FIRST: firsts, SECOND: seconds}
    head = ("case", "seconds", "÷ the bare loop", "sent, MiB", "peak of one process, MiB")
    table = Table("Archiving and restoring an image", head)
    wall = {name: [sample.wall for sample in found] for name, found in samples.items()}
    floors = {FIRST: PUT, RESTORE: GET}
    for name, found in samples.items():
        floor = floors.get(name)
        table.rows.append(
            (
                name,
                spread(wall[name]),
                "–" if floor is None else f"{median(wall[name]) / median(wall[floor]):.2f}",
                spread([value / _MIB for value in sent[name]], "{:.1f}") if name in sent else "–",
                spread([sample.memory / _MIB for sample in found], "{:.0f}"),
            )
        )
    share = median(seconds) / median(firsts)
    puts, gets = (median(wall[floor]) / median(wall[name]) for name, floor in floors.items())
    table.notes += [
        f"The next version takes {share:.1%} of the first one's bytes; the goal is {BYTES_GOAL:.0%}.",
        f"Archiving has {puts:.0%} and restoring {gets:.0%} of the bare loop's throughput; the goal is "
        f"{THROUGHPUT_GOAL:.0%}. The whole command counts, the start of Python included.",
        "The bare loop moves the same blocks, as many at a time, and neither hashes nor compares any.",
        "The bucket is the local cloud's, on the same processors.",
    ]
    return [table]
