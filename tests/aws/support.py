"""Small synthetic images, what clones say, and a look at what an account holds."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingot.blocks import BLOCK_SIZE, ZERO_DIGEST, root_digest
from tests.bake.disk.helpers import data_file, make_disk, tree
from tests.diff.manifests import manifest

SECTIONS = ("os", "packages", "users", "groups", "files", "services")


@dataclass(frozen=True)
class SmallImage:
    disk: Path
    manifest: dict[str, Any]
    digest: str


BOOT = "6a3f1c52-0d5e-4c8e-9b1a-2f70cde01234"


def block(seed: str) -> bytes:
    return hashlib.sha256(seed.encode()).digest() * (BLOCK_SIZE // 32)


def make_image(
    directory: Path, contents: list[str | None], *, recipe: str = "web", name: str = "disk"
) -> SmallImage:
    """Write a disk with one block for each seed, None for zeros; the digest covers recipe and contents."""
    data = [bytes(BLOCK_SIZE) if seed is None else block(seed) for seed in contents]
    disk = directory / f"{name}.raw"
    disk.write_bytes(b"".join(data))
    digests = [
        None if seed is None else hashlib.sha256(part).hexdigest()
        for seed, part in zip(contents, data, strict=True)
    ]
    root = hashlib.sha256(b"".join(bytes.fromhex(d or ZERO_DIGEST) for d in digests)).hexdigest()
    digest = hashlib.sha256(f"{recipe} {contents}".encode()).hexdigest()
    described = manifest(
        name=recipe,
        recipe_digest=digest,
        version=digest[:12],
        tests=[
            {"name": "the app answers", "http": {"path": "/", "status": 200}},
            {"name": "apache runs", "service": "apache2"},
        ],
        inventory={
            section: hashlib.sha256(f"{section} {digest}".encode()).hexdigest() for section in SECTIONS
        },
        disk={
            "size": len(data) * BLOCK_SIZE,
            "block_size": BLOCK_SIZE,
            "root_digest": root,
            "blocks": digests,
        },
    )
    return SmallImage(disk, described, digest)


def make_disk_image(directory: Path, content: dict[str, bytes]) -> SmallImage:
    """Write a disk whose root file system has these files, and its image."""
    disk, _ = make_disk(directory, tree(*(data_file(path, data) for path, data in content.items())))
    data = disk.read_bytes()
    pieces = [data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE)]
    digests = [hashlib.sha256(piece).hexdigest() if any(piece) else None for piece in pieces]
    small = make_image(directory, ["a"], name="of-files")
    about = {
        "size": len(data),
        "block_size": BLOCK_SIZE,
        "root_digest": root_digest(digests),
        "blocks": digests,
    }
    return replace(small, disk=disk, manifest=small.manifest | {"disk": about})


def line(kind: str, value: dict[str, Any]) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"{kind} 1 {text} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def result_line(image: SmallImage, *, failing: str | None = None, **changes: Any) -> str:
    results = [
        {
            "name": test["name"],
            "ok": test["name"] != failing,
            "detail": "as it should" if test["name"] != failing else "HTTP 500",
        }
        for test in image.manifest["tests"]
    ]
    value = {"recipe": "web", "digest": image.digest, "results": results, "ok": failing is None}
    return line("ingot-test", value | changes)


def inventory_line(image: SmallImage, *, differs: dict[str, list[str]] | None = None, **changes: Any) -> str:
    sections = dict(image.manifest["inventory"])
    for section in differs or {}:
        sections[section] = "0" * 64
    paths = [path for named in (differs or {}).values() for path in named]
    value = {"recipe": "web", "digest": image.digest, "sections": sections, "differs": paths}
    value |= {"boot": BOOT, "sequence": 1, "time": int(time.time()), "uptime": 20}
    return line("ingot-inventory", value | changes)


def holdings(clients) -> dict[str, list[str]]:
    """Everything of a publish that the account holds now."""
    instances = [
        instance["InstanceId"]
        for reservation in clients.ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] != "terminated"
    ]
    parameters = clients.ssm.get_parameters_by_path(Path="/ingot", Recursive=True)["Parameters"]
    found = {
        "snapshots": [
            shot["SnapshotId"] for shot in clients.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        ],
        "images": [image["ImageId"] for image in clients.ec2.describe_images(Owners=["self"])["Images"]],
        "instances": instances,
        "parameters": [parameter["Name"] for parameter in parameters],
    }
    return {kind: ids for kind, ids in found.items() if ids}
