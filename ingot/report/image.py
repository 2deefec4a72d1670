"""What is in an image, as text for a terminal of 80 columns: what `ingot show` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ingot.escape import plain
from ingot.quantities import size
from ingot.store import Image
from ingot.store.sizes import DirectorySize, PackageSize, directory_sizes, package_sizes

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 80
LABEL = 14
LARGEST = 8
# User ids from here on are no distribution's own: Debian's static ones end at 99, those of its packages at
# 999 (Debian Policy 9.2.2).
SYSTEM = 100
NOBODY = 65534
# The share of the whole below which a directory is not worth a line.
SMALL = 0.005


def summary(image: Image) -> str:
    """Return what is in an image."""
    manifest = image.manifest
    return "\n".join(
        [
            *_identity(manifest),
            *_contents(image),
            *_people(manifest),
            *_proof(manifest),
            *_label("disk file", [_place(image)]),
        ]
    )


def package_table(sizes: list[PackageSize]) -> Table:
    """Return packages with what their files occupy, the largest first."""
    table = _table()
    whole = sum(package.size for package in sizes)
    table.add_row(size(whole), "", f"in {len(sizes) - 1} packages and outside")
    for package in sizes:
        name = f"{package.name} {package.version}".strip() or "(files of no package)"
        table.add_row(size(package.size), f"{package.files} files", plain(name))
    return table


def tree_table(sizes: list[DirectorySize]) -> Table:
    """Return directories with the bytes below them, as a tree, the largest first; small ones are added up."""
    children: dict[str, list[DirectorySize]] = {}
    for directory in sizes:
        if directory.path != "/":
            children.setdefault(directory.path.rpartition("/")[0] or "/", []).append(directory)
    root = next(directory for directory in sizes if directory.path == "/")
    least = max(int(root.size * SMALL), 1)
    table = _table()

    def add(directory: DirectorySize, name: str) -> None:
        indent = "  " * directory.depth
        table.add_row(size(directory.size), f"{directory.files} files", f"{indent}{plain(name)}")

    def add_all(directory: DirectorySize) -> None:
        add(directory, directory.path)
        below = sorted(children.get(directory.path, ()), key=lambda child: (-child.size, child.path))
        for child in below:
            if child.size >= least:
                add_all(child)
        rest = [child for child in below if child.size < least]
        if rest and len(rest) < len(below):
            whole, files = sum(child.size for child in rest), sum(child.files for child in rest)
            added = DirectorySize(f"{directory.path.rstrip('/')}/…", whole, files)
            add(added, f"… {len(rest)} smaller ones")

    add_all(root)
    return table


def _table() -> Table:
    """Return an empty table of sizes, numbers of files, and names."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    return table


def _identity(manifest: Mapping[str, Any]) -> list[str]:
    system, bytes_of = manifest["os"], manifest["size"]
    of = datetime.fromtimestamp(int(manifest["epoch"]), UTC)
    boot = manifest["boot"]  # nothing in a manifest that was made again from its disk
    return [
        *_label("image", [f"{manifest['name']} {manifest['version']}"]),
        *_label("recipe digest", [manifest["recipe_digest"]]),
        *_label("root digest", [manifest["disk"]["root_digest"]]),
        *_label(
            "system", [f"{system['pretty_name']}, {manifest['architecture']}, packages of {of:%Y-%m-%d}"]
        ),
        *_base(manifest),
        *_label(
            "kernel",
            [f"{system['kernel']}, {boot.get('mode', 'uefi')}: {boot.get('kernel_command_line', '')}"],
        ),
        *_label("disk", [f"{size(bytes_of['disk'])}, {size(bytes_of['used'])} of it in use"]),
    ]


def _base(manifest: Mapping[str, Any]) -> list[str]:
    """Say what an image on a base AMI cannot promise; nothing of one that was baked from scratch."""
    if "base" not in manifest:
        return []
    amis = [
        f"{ami['id']} ({ami['name']}, of {ami['owner']}) in {region}"
        for region, ami in sorted(manifest["base"].items())
    ]
    return _label(
        "base AMI", [*amis, "rebuilding it would take the packages of that day: not the same bytes"]
    )


def _place(image: Image) -> str:
    return str(image.disk) if image.disk.exists() else "not on this machine: a builder instance baked it"


def _contents(image: Image) -> list[str]:
    manifest = image.manifest
    sizes = package_sizes(image)
    inside = sum(package.size for package in sizes if package.name)
    files = [file for file in manifest["files"] if file["type"] == "file"]
    total = sum(int(file["size"]) for file in files)
    directories = [directory for directory in directory_sizes(manifest) if directory.depth == 2]
    largest = sorted(directories, key=lambda directory: -directory.size)[:LARGEST]
    width = WIDTH - LABEL - 12
    shown = [package for package in sizes if package.name][:LARGEST]
    worth = [directory for directory in largest if directory.size >= total * SMALL]
    return [
        *_label("packages", [f"{len(sizes) - 1} with {size(inside)}; the largest:"]),
        *_label("", [f"{size(p.size):>11}  {_cut(f'{p.name} {p.version}', width)}" for p in shown]),
        *_label("files", [f"{len(files)} with {size(total)}; most of it in:"]),
        *_label("", [f"{size(d.size):>11}  {_cut(d.path, width)}" for d in worth]),
    ]


def _people(manifest: Mapping[str, Any]) -> list[str]:
    users = [user for user in manifest["users"] if SYSTEM <= user["uid"] != NOBODY]
    members = {
        user["name"]: [group["name"] for group in manifest["groups"] if user["name"] in group["members"]]
        for user in users
    }
    people = [
        f"{user['name']} ({user['uid']}), {user['home']}, {user['shell']}"
        + (f", in {' '.join(members[user['name']])}" if members[user["name"]] else "")
        for user in users
    ]
    services = manifest["services"]
    return [
        *_label("users", people or ["none but the distribution's own"]),
        *_label("enabled", [", ".join(services["enabled"]) or "nothing"]),
        *_label("masked", [", ".join(services["masked"]) or "nothing"]),
    ]


def _proof(manifest: Mapping[str, Any]) -> list[str]:
    hygiene = manifest.get("hygiene")
    if hygiene is None:
        found = ["not examined"]
    else:
        findings, allowances = (hygiene.get(key, ()) for key in ("findings", "allowed"))
        bad = [f"{one['name']} {one['path']}: {one['reason']}" for one in findings]
        allowed = [f"allowed: {one['finding']} {one['path']}: {one['reason']}" for one in allowances]
        found = [*bad, *allowed] or ["nothing was found"]
    tests = [f"{test['name']}: {_test(test)}" for test in manifest["tests"]]
    return [*_label("hygiene", found), *_label("tests", tests or ["none"])]


def _test(test: Mapping[str, Any]) -> str:
    if "http" in test:
        contains = f" with {test['http']['contains']!r}" if test["http"].get("contains") else ""
        return f"GET {test['http']['path']} gives {test['http']['status']}{contains}"
    return f"service {test['service']}" if "service" in test else f"command {test['command']}"


def _label(name: str, values: Iterable[str]) -> list[str]:
    """Return values below each other beside their name, wrapped.

    A digest or a path is not broken, as a cell of rich's tables would break it: people copy it from here.
    """
    lines: list[str] = []
    for value in values:
        lines += textwrap.wrap(
            value, WIDTH - LABEL, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ) or [""]
    heads = [name, *[""] * (len(lines) - 1)]
    return [f"{head:<{LABEL}}{line}".rstrip() for head, line in zip(heads, lines, strict=True)]


def _cut(text: str, width: int) -> str:
    """Return text that is no wider than ``width`` and moves no cursor."""
    shown = plain(text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"
