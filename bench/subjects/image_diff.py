"""`ingot diff` of two images with 100,000 files each, with their disks: 5,000 files and
all 200 packages differ.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Case, interleaved
from bench.subject import Settings, Table, spread
from ingot.bake.disk import gpt
from ingot.bake.disk.ext4.writer import write_ext4
from ingot.bake.disk.identity import identifier, root_partition
from ingot.bake.disk.image import DiskLayout
from ingot.bake.tree.tree import Entry, Kind, sort_entries
from ingot.diff.sides.rebuild import rebuild_manifest
from ingot.progress import Progress
from ingot.quantities import MIB
from ingot.store import Store

FILES, PACKAGES, CONFIGURATION = 100_000, 200, 2_000
SIZE = 1024 * MIB
# Seconds: what a review may wait (docs/diff.md).
GOAL = 2.0


def run(settings: Settings, report: Progress) -> list[Table]:
    """Return how long a diff takes: as text, as JSON, as HTML; and the reading of both manifests alone."""
    home = settings.work / "home"
    digests = []
    for version in (1, 2):
        report(f"writing a disk with {FILES:,} files")
        digests.append(keep_image(Store(home / "store"), version))
    samples = interleaved(list(_cases(digests, home)), settings.runs, settings.work, report)
    table = Table(f"Comparing two images of {FILES:,} files", ("case", "seconds", "MiB of memory"))
    for name, found in samples.items():
        memory = spread([sample.memory / MIB for sample in found], "{:.0f}")
        table.rows.append((name, spread([sample.wall for sample in found]), memory))
    table.notes.append(f"The goal is {GOAL:.0f} s. The whole command counts, the start of Python included.")
    return [table]


def _cases(digests: list[str], home: Path) -> Iterator[Case]:
    manifests = [str(home / "store/images" / digest / "manifest.json") for digest in digests]
    code = "import json, sys\nfor name in sys.argv[1:]: json.load(open(name))"
    yield Case("floor: both manifests read as JSON", (sys.executable, "-c", code, *manifests))
    for name, option in (("text", "--no-changelogs"), ("JSON", "--json"), ("HTML", "--html")):
        words = f"'{sys.executable}' -m ingot.cli.main diff {digests[0]} {digests[1]} {option}"
        # Exit code 1 says that they differ.
        command = ("sh", "-c", f"{words} > /dev/null; test $? = 1")
        yield Case(f"ingot diff, {name}", command, environment={"INGOT_HOME": str(home)})


def keep_image(store: Store, version: int, files: int = FILES) -> str:
    """Put an image into the store; return its digest."""
    digest = hashlib.sha256(b"%d" % version).hexdigest()
    directory = store.images / digest
    directory.mkdir(parents=True)
    image = DiskLayout(SIZE)
    root = gpt.Partition(gpt.ROOT_TYPES["x86_64"], root_partition("bench"), MIB, SIZE - 2 * MIB, "root")
    gpt.write_table(image, identifier("bench", "disk"), [root])
    write_ext4(image, MIB, SIZE - 2 * MIB, name="bench", entries=_tree(version, digest, files), epoch=0)
    image.write(directory / "disk.raw")
    manifest = rebuild_manifest(directory / "disk.raw", digest[:12], "x86_64")
    (directory / "manifest.json").write_text(json.dumps(manifest, sort_keys=True) + "\n", encoding="utf-8")
    return digest


def _tree(version: int, digest: str, count: int) -> list[Entry]:
    files = dict(_files(version, digest, count))
    directories = {str(above) for path in files for above in Path(path).parents}
    entries = [Entry(path, Kind.DIRECTORY, 0o755) for path in directories]
    return sort_entries([*entries, *(_entry(path, text.encode()) for path, text in files.items())])


def _entry(path: str, data: bytes) -> Entry:
    return Entry(path, Kind.FILE, size=len(data), data=data, sha256=hashlib.sha256(data).hexdigest())


def _files(version: int, digest: str, count: int) -> Iterator[tuple[str, str]]:
    """Yield path and content of every file; every twentieth says which version it is."""
    identity = {"recipe": "bench", "digest": digest, "version": digest[:12]}
    yield "/etc/os-release", "ID=debian\nPRETTY_NAME=bench\n"
    yield "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"
    yield "/etc/shadow", "root:*:1::::::\n"
    yield "/etc/group", "root:x:0:\n"
    yield "/etc/ingot/image.json", json.dumps(identity)
    yield "/usr/lib/ingot/tests", ""
    yield "/usr/lib/ingot/baseline/image", ""
    yield "/boot/vmlinuz-1", ""
    lists: list[list[str]] = [[] for _ in range(PACKAGES)]
    for number in range(count):
        package = number % PACKAGES
        path = f"/usr/share/p{package}/d{number % 37}/f{number}"
        if number < CONFIGURATION:
            path = f"/etc/p{package}/f{number}.conf"
        lists[package].append(path)
        yield path, f"file = {number}\nversion = {version if number % 20 == 0 else 0}\n"
    for package, paths in enumerate(lists):
        yield f"/var/lib/dpkg/info/p{package}.list", "\n".join(paths) + "\n"
    yield "/var/lib/dpkg/status", "\n".join(_paragraph(package, version) for package in range(PACKAGES))


def _paragraph(package: int, version: int) -> str:
    return (
        f"Package: p{package}\nStatus: install ok installed\nVersion: {version}-{package}\nArchitecture:"
        " all\nInstalled-Size: 10\n"
    )
