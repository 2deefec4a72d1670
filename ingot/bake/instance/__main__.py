"""The work of a builder instance: packages, bake, blocks, manifest.

``python -m ingot.bake.instance JOB DIRECTORY``.

The job is JSON (:mod:`ingot.bake.instance.job`); the directory holds the unpacked bundle:
``spec.json``, ``sources/``, ``parent.json`` where the snapshot has a parent, and this package.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional

from ingot.bake.engine import bake
from ingot.bake.instance.bootstrap import (
    AwsService,
    Credentials,
    RefusedError,
    UnreachableError,
    console,
    log_line,
    metadata,
)
from ingot.bake.instance.ebs import PendingSnapshot
from ingot.bake.instance.job import BuilderJob, read_builder_job
from ingot.bake.instance.live import BakedDisk, bake_live
from ingot.bake.instance.log import BuilderLog
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.bake.packages.cache import check_downloads, download_file, package_file, unsound_downloads
from ingot.bake.packages.fetch import Archives, fetch_packages
from ingot.blocks import to_send
from ingot.errors import IngotError
from ingot.progress import Progress
from ingot.quantities import size
from ingot.spec import BakeSpec, PackageSpec, read_spec

STREAMS = 8  # connections to S3
PART = 64 << 20  # bytes of an artifact that are in memory at once


class BuilderProgram:
    """One job on one instance."""

    def __init__(self, job: BuilderJob, directory: Path) -> None:
        self.job = job
        self.directory = directory
        self.output = directory / "output"
        self._credentials = Credentials()
        stream = metadata("meta-data/instance-id") or "unknown-instance"
        self.log = BuilderLog(self._service("logs"), job.log_group, stream)

    def _service(self, name: str) -> AwsService:
        return AwsService(name, self.job.region, self._credentials)

    def run(self) -> None:
        """Do the job, with a line for each step; the last one says where the manifest is."""
        times = {"start": time.time()}
        self.log("start", f"the builder is up; {self._machine()}", uptime=_uptime())
        spec = read_spec((self.directory / "spec.json").read_text(encoding="utf-8"))
        s3 = self._service("s3")
        packages = self.directory / "packages"
        fetched = partial(self.log, "fetch")
        bucket = _PackageBucket(s3, self.job.bucket)
        for one in spec.with_stages():
            bucket.get_downloads(one, packages, fetched)
            bucket.get_packages(one.packages, packages, self.job.archives, fetched)
        times["fetched"] = time.time()
        if spec.base is not None:
            disk = bake_live(spec, self.directory / "sources", self.directory, partial(self.log, "bake"))
        else:
            disk = self._bake(spec, packages)
        times["baked"] = time.time()
        sent = self._send(disk)
        times["sent"] = time.time()
        text = disk.manifest.encode()
        packed = gzip.compress(text, 6)
        s3.call(
            "PUT",
            f"/{self.job.bucket}/{self.job.manifest}",
            {"content-type": "application/gzip"},
            packed,
        )
        self.log(
            "done",
            f"root digest {disk.root_digest}",
            manifest_sha256=hashlib.sha256(text).hexdigest(),
            sent=sent,
            seconds=_spans(times),
        )

    def _bake(self, spec: BakeSpec, packages: Path) -> BakedDisk:
        directories = BakeDirectories(
            self.directory / "sources", packages, self.directory / "layers", self.output
        )
        bake(BakeJob(spec, directories), progress=partial(self.log, "bake"))
        manifest = (self.output / "manifest.json").read_text(encoding="utf-8")
        digests = json.loads(manifest)["disk"]
        return BakedDisk(self.output / "disk.raw", digests["blocks"], digests["root_digest"], manifest)

    def _send(self, disk: BakedDisk) -> int:
        parent: Optional[List[Optional[str]]] = None
        if (self.directory / "parent.json").exists():
            parent = json.loads((self.directory / "parent.json").read_text(encoding="utf-8"))
        indexes = to_send(disk.blocks, parent, encrypted=self.job.encrypted)
        self.log("upload", f"{len(indexes)} of {len(disk.blocks)} blocks travel")
        snapshot = PendingSnapshot(self._service("ebs"), self.job.snapshot)
        return snapshot.fill(disk.path, disk.blocks, indexes, partial(self.log, "upload"))

    def _machine(self) -> str:
        kind = metadata("meta-data/instance-type") or "unknown type"
        return f"{kind}, Python {sys.version.split()[0]}"

    def failed(self, error: Exception) -> None:
        """Say why the work ended."""
        hint = error.hint if isinstance(error, IngotError) else None
        message = error.message if isinstance(error, IngotError) else f"{type(error).__name__}: {error}"
        if isinstance(error, (RefusedError, UnreachableError)):
            message = str(error)
        self.log("failed", message[-4000:], hint=hint)


class _PackageBucket:
    """The bucket in which the publish put what the bake needs."""

    def __init__(self, s3: AwsService, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def get_downloads(self, spec: BakeSpec, directory: Path, progress: Progress) -> None:
        """Bring what the lock has beside packages into ``directory``.

        Raises BakeError for what is not there, or is not what the lock says.
        """
        wanted = unsound_downloads(spec, directory, progress)
        for download in wanted:
            file = (package_file if download.is_package else download_file)(directory, download.sha256)
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as target:
                for start in range(0, download.size, PART):
                    span = f"bytes={start}-{min(start + PART, download.size) - 1}"
                    target.write(
                        self._s3.call("GET", f"/{self._bucket}/packages/{download.sha256}", {"range": span})
                    )
        check_downloads(spec, directory, progress)
        if wanted:
            came = size(sum(download.size for download in wanted))
            progress(f"{len(wanted)} artifacts and dependencies came from the bucket ({came})")

    def get_packages(
        self, entries: Iterable[PackageSpec], directory: Path, archives: Archives, progress: Progress
    ) -> None:
        """Bring every package into ``directory`` and check each against its SHA-256; the ``archives`` have
        what the bucket lacks.

        Raises BakeError for one that cannot be fetched.
        """
        wanted = list(entries)
        if not wanted:
            return
        with ThreadPoolExecutor(STREAMS) as pool:
            sizes = list(pool.map(lambda package: self._get(package, directory), wanted))
        had = sum(1 for came in sizes if came)
        progress(f"{had} of {len(wanted)} packages are in the bucket ({size(sum(sizes))})")
        fetch_packages(wanted, directory, archives, progress)

    def _get(self, package: PackageSpec, directory: Path) -> int:
        """Return the size of a package in bytes, 0 for one that is not there."""
        try:
            data = self._s3.fetch(f"/{self._bucket}/packages/{package.sha256}", package.sha256)
        except RefusedError as error:
            # S3 says 403 for what is not there to a role that may not list.
            if error.status in (403, 404):
                return 0
            raise
        file = package_file(directory, package.sha256)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return len(data)


def _uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def _spans(times: Mapping[str, float]) -> Dict[str, float]:
    """Return how many seconds fetch, bake and upload took."""
    return {
        "fetch": round(times["fetched"] - times["start"], 1),
        "bake": round(times["baked"] - times["fetched"], 1),
        "upload": round(times["sent"] - times["baked"], 1),
    }


def main() -> int:
    """Do the job that the command line names."""
    try:
        builder = BuilderProgram(read_builder_job(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:  # noqa: BLE001 - as below; there is no log yet, only the console
        console(log_line(1, "failed", f"the builder cannot begin: {type(error).__name__}: {error}"))
        return 1
    try:
        builder.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be reported: nobody sees this machine
        builder.failed(error)
        return 1
    finally:
        builder.log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
