"""The bundle of a builder: bake spec, sources and engine in one archive that is named by its digest."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ingot
from ingot.aws.session.objects import listed, put_object
from ingot.errors import InputError
from ingot.quantities import size

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.progress import Progress
    from ingot.spec import BakeSpec

# What travels: standard library only, Python 3.9 (tests/repository/test_imports.py holds that).
ENGINE = (
    "__init__.py",
    "blocks.py",
    "deb822.py",
    "errors.py",
    "files.py",
    "locks.py",
    "process.py",
    "progress.py",
    "quantities.py",
    "retry.py",
    "spec.py",
    "bake",
)
UPLOADS = 8
PACKAGES = "packages/"


@dataclass(frozen=True)
class Bundle:
    """An archive; ``sha256`` in hex."""

    data: bytes
    sha256: str

    @property
    def key(self) -> str:
        """Its key in the builder's bucket."""
        return f"bundles/{self.sha256}.tar.gz"


def make_bundle(spec: BakeSpec, sources: Path, parent: Sequence[str | None] | None = None) -> Bundle:
    """Pack a bake spec, the files of ``sources`` that it uses, the engine, and the parent's block digests.

    The same content gives the same bytes.
    """
    packed = io.BytesIO()
    # No name and no time in the header: gzip(1).
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=6, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in _members(spec, sources, parent):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    data = packed.getvalue()
    return Bundle(data, hashlib.sha256(data).hexdigest())


def _members(
    spec: BakeSpec, sources: Path, parent: Sequence[str | None] | None
) -> Iterator[tuple[str, bytes]]:
    yield "spec.json", spec.text().encode()
    if parent is not None:
        yield "parent.json", json.dumps(list(parent)).encode()
    whole = [file for one in spec.with_stages() for file in one.files]
    used = {file.source: file.sha256 for file in whole if file.source is not None}
    for name in sorted(used):
        content = (sources / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != used[name]:
            raise InputError(f"{sources / name} changed while it was packed", hint="publish again")
        yield f"sources/{name}", content
    home = Path(ingot.__file__).parent
    for name in ENGINE:
        files = sorted(home.joinpath(name).rglob("*")) if home.joinpath(name).is_dir() else [home / name]
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                yield f"ingot/{file.relative_to(home)}", file.read_bytes()


def upload_bundle(clients: Clients, bucket: str, bundle: Bundle, progress: Progress) -> None:
    """Put the bundle into the builder's bucket, unless it is there."""
    if clients.s3.list_objects_v2(Bucket=bucket, Prefix=bundle.key).get("KeyCount"):
        progress(f"the bundle {bundle.sha256[:12]} is in {bucket}")
        return
    put_object(clients.s3, bundle.sha256, Bucket=bucket, Key=bundle.key, Body=bundle.data)
    progress(f"bundle {bundle.sha256[:12]} ({size(len(bundle.data))}) is in {bucket}")


def kept_packages(clients: Clients, bucket: str) -> dict[str, int]:
    """Return what the bucket keeps: the size of each package and artifact in bytes, by its SHA-256 in hex."""
    return {
        entry["Key"].removeprefix(PACKAGES): entry["Size"] for entry in listed(clients.s3, bucket, PACKAGES)
    }


def upload_packages(clients: Clients, bucket: str, files: Mapping[str, Path], progress: Progress) -> None:
    """Put packages (SHA-256 in hex: file) into the bucket where they are not there yet.

    S3 refuses bytes that do not have the SHA-256.
    """
    kept = kept_packages(clients, bucket) if files else {}
    missing = sorted(digest for digest, file in files.items() if kept.get(digest) != file.stat().st_size)

    def put(sha256: str) -> int:
        with files[sha256].open("rb") as file:
            put_object(clients.s3, sha256, Bucket=bucket, Key=f"{PACKAGES}{sha256}", Body=file)
            return files[sha256].stat().st_size

    with ThreadPoolExecutor(UPLOADS) as pool:
        sizes = list(pool.map(put, missing))
    progress(f"{len(missing)} packages and artifacts sent to {bucket} ({size(sum(sizes))})")
