"""node_modules, made by npm in the image without a network.

npm runs from its own archive, by the image's Node.js, so the image does not have it. It finds every package
by the hash that package-lock.json says, in a cache that has no index (npm's cacache keeps contents by their
digests), and it runs no scripts but those that the recipe allows.
"""

from __future__ import annotations

import json
from pathlib import Path

from ingot.bake.dependencies.artifacts import put_file
from ingot.bake.dependencies.python import show
from ingot.bake.packages.cache import download_file
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.bake.runtime.kernel import kernel_release
from ingot.errors import BakeError
from ingot.spec import BakeSpec, NodeSpec

# In the image's /tmp, which is memory.
_PLACE = "/tmp/ingot-node"  # noqa: S108
_OPTIONS = (
    "--offline",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
    "--logs-max=0",
)
# npm asks the registry for the address of a package that has none, which lock files leave out where
# omit-lockfile-registry-resolved is set. Which one does not matter: the content is found by its hash.
_ADDRESS = "https://registry.invalid/{name}/-/{file}-{version}.tgz"
# npm looks for package.json where it is started.
_IN = ["/bin/sh", "-euc", 'cd "$1" && shift && exec "$@"', "sh"]
_ENVIRONMENT = {"HOME": _PLACE, "npm_config_cache": f"{_PLACE}/cache"}


def install_node(root: Path, spec: BakeSpec, packages: Path) -> None:
    """Make node_modules of ``spec`` in ``root``, of the archives in the directory ``packages``.

    Raises BakeError with npm's last words.
    """
    node = spec.node
    if node is None:
        return
    if not in_root(root, "/usr/bin/node", follow=True).is_file():
        raise BakeError("the image has no /usr/bin/node", hint="packages: [nodejs]")
    chroot = Chroot(root, epoch=spec.epoch, kernel=kernel_release(spec))
    chroot.mount()
    try:
        _offer(root, node, packages, spec.root_volume_size)
        npm = [*_IN, node.target, "/usr/bin/node", f"{_PLACE}/npm/bin/npm-cli.js"]
        omit = [f"--omit={kind}" for kind in node.omit]
        install = [*npm, "ci", "--ignore-scripts", *_OPTIONS, *omit]
        chroot.run(install, env=_ENVIRONMENT, what="npm cannot install the packages")
        _write(in_root(root, f"{node.target}/package-lock.json"), node.lock)
        if node.scripts:
            rebuild = [*npm, "rebuild", *_OPTIONS, *node.scripts]
            chroot.run(rebuild, env=_ENVIRONMENT, what="the install scripts of npm packages failed")
    finally:
        chroot.unmount()


def _offer(root: Path, node: NodeSpec, packages: Path, limit: int) -> None:
    """Put the two files where node_modules is to be, npm and its cache into memory."""
    target = in_root(root, node.target, follow=True)
    target.mkdir(mode=0o755, parents=True, exist_ok=True)
    _write(target / "package.json", node.manifest)
    _write(target / "package-lock.json", with_addresses(node.lock))
    contents = Path(f"{root}{_PLACE}/cache/_cacache/content-v2/sha512")
    for package in node.packages:
        place = contents / package.sha512[:2] / package.sha512[2:4] / package.sha512[4:]
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            show(download_file(packages, package.sha256), place)
    put_file(root, download_file(packages, node.installer.sha256), f"{_PLACE}/npm", limit)


def _write(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)


def with_addresses(lock: str) -> str:
    """Return a lock file in which every package of the registry has an address."""
    data = json.loads(lock)
    for place, entry in data["packages"].items():
        if "integrity" in entry and "resolved" not in entry:
            name = entry.get("name") or place.rpartition("node_modules/")[2]
            file = name.rpartition("/")[2]
            entry["resolved"] = _ADDRESS.format(name=name, file=file, version=entry["version"])
    return json.dumps(data, indent=2) + "\n"
