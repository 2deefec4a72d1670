"""A project with one of everything, and the files that are mutated."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from tests.constructs.recipes import LOCK
from tests.diff.disks import make_image
from tests.diff.manifests import file, manifest, package, user

TOP = Path(__file__).parents[2]
COMMON = """\
name: common
packages: [apache2]
files:
  - {source: greeting, target: /etc/greeting, template: true}
  - {content: "included\\n", target: /etc/included}
variables: {who: world, port: 8080}
environments: {prod: {who: production}}
"""
RECIPE = """\
name: all
include: ../common
base: {debian: bookworm}
architecture: x86_64
root_volume: {size: 2GiB, device: ebs}
packages: [base-files]
apt_sources:
  - {name: example, uri: "https://example.com/debian", suite: stable, components: [main],
     key: files/example.asc}
groups: [{name: app, gid: 60001}]
users:
  - {name: app, uid: 60001, group: app, groups: [www-data], home: /home/app, shell: /bin/sh, comment: The app}
app: {source: app/, target: /srv/app, owner: app, group: app}
files:
  - {source: files/tool, target: /usr/local/bin/suid, mode: "4755"}
  - {source: files/tool, target: /usr/local/bin/capable, mode: "0755", capabilities: cap_net_bind_service+ep}
  - {content: "attributes\\n", target: /etc/attributes, xattrs: {user.origin: "Zürich", user.empty: ""}}
  - {directory: true, target: /srv/shared, owner: app, group: www-data, mode: "3770"}
  - {link: "../nowhere/ünïcode", target: /srv/broken}
  - {hardlink: /etc/attributes, target: /etc/attributes-too}
  - {content: "Listen ${port}\\n", target: /etc/apache2/ports.conf}
services: {enable: [apache2], disable: [cron], mask: [fstrim.timer], may_fail: [x.service]}
steps:
  - echo "${who} $${HOME}" > /etc/from-step
  - {run: "true", timeout: 20}
kernel_command_line: quiet ingot.test=${who}
timezone: Etc/UTC
locale: C.UTF-8
hostname: everything-1
volatile: [/srv/uploads]
drop: {docs: true, man: false}
hygiene:
  allow:
    - {finding: setuid, path: /usr/local/bin/*, reason: that is what this image shows}
tests:
  - {name: an answer, http: {path: /, status: 200, contains: "x", port: 80}}
  - {name: a service, service: apache2}
  - {name: a command, command: "true"}
"""
KEY = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"
AMI_RECIPE = "name: on-ami\nbase: {ami: {ssm: /aws/x}}\nroot_volume: {size: 8GiB}\n"
AMI = {
    "id": "ami-0123456789abcdef0",
    "owner": "111122223333",
    "name": "x",
    "created": "2026-11-30T00:00:00.000Z",
    "root_device": "/dev/xvda",
    "root_size": 8,
    "boot_mode": "uefi",
}
AMI_LOCK: dict[str, Any] = {
    "format": 1,
    "architecture": "x86_64",
    "source": '{"ssm": "/aws/x"}',
    "epoch": 1700000000,
    "ami": {"us-east-1": AMI},
}
DIGESTS = ("a" * 64, "b" * 64)
MANIFEST = manifest(
    packages=[package("libc6", "2.36-9", sha256="c" * 64), package("base-files", "12.4")],
    package_files=["c" * 64],
    users=[user("root", 0, "/bin/bash"), user("app", 1001)],
    groups=[{"name": "root", "gid": 0, "members": []}, {"name": "www", "gid": 33, "members": ["app"]}],
    services={"enabled": ["apache2.service"], "masked": ["x.timer"]},
    inventory={"files": "d" * 64, "os": "e" * 64},
    tests=[
        {"name": "an answer", "http": {"path": "/", "status": 200, "port": 80, "contains": "x"}},
        {"name": "a service", "service": "apache2"},
        {"name": "a command", "command": "true"},
    ],
    hygiene={
        "allowed": [{"finding": "setuid", "path": "/usr/bin/x", "reason": "r"}],
        "findings": [{"name": "setuid", "path": "/usr/bin/y", "reason": "r"}],
        "unused": [],
    },
    files=[
        {"path": "/", "type": "directory", "mode": "0755", "uid": 0, "gid": 0, "size": 0},
        {"path": "/bin", "type": "symlink", "mode": "0777", "uid": 0, "gid": 0, "size": 0, "link": "usr/bin"},
        file("/etc/motd", "hello", layer=1, xattrs={"user.kind": "00ff"}),
        file("/usr/bin/x", "x", mode="4755"),
    ],
)


def lock(**changes: Any) -> dict[str, Any]:
    """The lock of the recipe ``all``."""
    base = LOCK["packages"][0]
    packages = [base, {**base, "name": "apache2", "path": "pool/a/apache2.deb", "essential": False}]
    archive = {
        "name": "example",
        "suite": "stable",
        "components": ["main"],
        "fingerprints": ["AB" * 20],
        "key_sha256": hashlib.sha256(KEY).hexdigest(),
    }
    requested = {"base": ["base-files"], "packages": ["apache2", "base-files"], "tools": []}
    plain = {
        **LOCK,
        "packages": packages,
        "archives": [archive],
        "requested": requested,
        "indexed": 1700000000,
    }
    return {**plain, **changes}


def fill(top: Path) -> None:
    """Write the project below ``top``."""
    files = {
        "common/recipe.yaml": COMMON,
        "common/greeting": "Hello, ${who}! $${not a variable}\n",
        "all/recipe.yaml": RECIPE,
        "all/recipe.lock": json.dumps(lock(), indent=1),
        "all/app/run": "#!/bin/sh\n",
        "all/files/tool": "#!/bin/sh\n",
        "all/files/example.asc": KEY.decode(),
        "on-ami/recipe.yaml": AMI_RECIPE,
        "on-ami/recipe.lock": json.dumps(AMI_LOCK, indent=1),
    }
    for name, text in files.items():
        path = top / "image_recipes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def fill_store(top: Path) -> None:
    """Write two images with a small disk, whose age is the same for as long as the tests run."""
    used = time.time() - 90.3 * 86400
    for digest in DIGESTS:
        directory = top / "store" / "images" / digest
        directory.mkdir(parents=True)
        make_image(directory, name="disk").disk.rename(directory / "disk.raw")
        (directory / "manifest.json").write_text(json.dumps(MANIFEST))
        os.utime(directory, (used, used))
