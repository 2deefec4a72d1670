"""Small manifests, made by hand, and disks, written by the bake's own writer."""

from __future__ import annotations

import hashlib
from typing import Any


def file(
    path: str, content: str = "", *, mode: str = "0644", uid: int = 0, gid: int = 0, **more: Any
) -> dict[str, Any]:
    digest = hashlib.sha256(content.encode()).hexdigest()
    plain = {
        "path": path,
        "type": "file",
        "mode": mode,
        "uid": uid,
        "gid": gid,
        "size": len(content),
        "sha256": digest,
    }
    return {**plain, **more}


def package(name: str, version: str, kib: int = 100, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "architecture": "amd64",
        "installed_kib": kib,
        "source": name,
        **more,
    }


def user(name: str, uid: int, shell: str = "/usr/sbin/nologin") -> dict[str, Any]:
    return {"name": name, "uid": uid, "gid": uid, "home": "/", "shell": shell}


def manifest(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "format": 1,
        "name": "web",
        "recipe_digest": "ab" * 32,
        "version": "ab" * 6,
        "architecture": "x86_64",
        "epoch": 1700000000,
        "os": {
            "id": "debian",
            "version_id": "12",
            "codename": "bookworm",
            "pretty_name": "Debian 12",
            "kernel": "6.1",
        },
        "packages": [],
        "users": [user("root", 0, "/bin/bash")],
        "groups": [{"name": "root", "gid": 0, "members": []}],
        "services": {"enabled": [], "masked": []},
        "files": [],
        "tests": [],
        "hygiene": {"allowed": [], "findings": [], "unused": []},
        "boot": {"mode": "uefi", "kernel_command_line": "quiet"},
        "size": {"disk": 4 << 20, "used": 1 << 20},
        "disk": {
            "size": 4 << 20,
            "block_size": 524288,
            "root_digest": "0" * 64,
            "blocks": ["a", None, "b", None],
        },
    }
    return {**plain, **changes}
