"""The peers' cases, with the same packages, all of them already on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from bench.measure import Case, differing_blocks
from bench.subject import ROOT
from ingot.bake.packages.cache import package_file
from ingot.process import run
from ingot.recipe.lock.file import Lock, LockedPackage
from ingot.recipe.lock.mirrors import discover

# A little less than the root partition of a 2 GiB disk has, in which the boot's measurement puts it.
ROOT_SIZE = "1900M"


def repository(lock: Lock, packages: Path, directory: Path) -> list[LockedPackage]:
    """Make ``directory`` a flat repository of the packages that are installed: what apt
    takes without a network. Returns them.
    """
    directory.mkdir(parents=True)
    index = []
    installed = [package for package in lock.packages if package.role == "install"]
    for package in installed:
        file = package_file(packages, package.sha256)
        name = f"{package.name}_{package.version.replace(':', '%3a')}_{package.architecture}.deb"
        shutil.copyfile(file, directory / name)
        control = run(["dpkg-deb", "--field", file])
        rest = f"Filename: ./{name}\nSize: {package.size}\nSHA256: {package.sha256}\n"
        index.append(control.stdout.rstrip("\n") + "\n" + rest)
    text = "\n".join(index).encode()
    (directory / "Packages").write_bytes(text)
    sums = f"SHA256:\n {hashlib.sha256(text).hexdigest()} {len(text)} Packages\n"
    (directory / "Release").write_text(
        f"Suite: {lock.distribution.suite}\nCodename: {lock.distribution.suite}\n{sums}"
    )
    return installed


def mmdebstrap(lock: Lock, repo: Path, names: list[str], targets: dict[str, Path]) -> list[Case]:
    """Return a case for each of ``targets``: what kind of file system, and a directory on it."""
    cases = []
    for kind, directory in targets.items():
        directory.mkdir(parents=True, exist_ok=True)
        command = [
            "mmdebstrap",
            "--mode=root",
            "--variant=essential",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            f"--include={','.join(names)}",
            "--aptopt=Acquire::Check-Valid-Until false",
            lock.distribution.suite,
            str(directory / "root.tar"),
            f"deb [trusted=yes] copy://{repo} ./",
        ]
        cases.append(Case(f"mmdebstrap, tar only, {kind}", command, environment={"TMPDIR": str(directory)}))
    return cases


def can_boot() -> bool:
    """Tell whether mkosi can make a bootable disk here: it mounts the boot partition."""
    run(["modprobe", "vfat"], check=False)
    return "\tvfat\n" in Path("/proc/filesystems").read_text(encoding="utf-8")


def _bootable() -> list[str]:
    return ["--bootable"] if can_boot() else []


class Mkosi:
    """mkosi as Debian has it, on disk; packages come from its cache, which the first build fills."""

    def __init__(self, work: Path, lock: Lock, names: list[str], app: Path) -> None:
        self.work = work
        self.image = work / "image.raw"
        self._before = work / "before.raw"
        self._changing = work / "extra" / "srv" / "web" / "bench.bin"
        shutil.copytree(app, self._changing.parent)
        network = work / "extra" / "etc" / "systemd" / "network" / "80-dhcp.network"
        network.parent.mkdir(parents=True)
        shutil.copyfile(ROOT / "ingot" / "bake" / "image" / "rootfs" / "80-ingot.network", network)
        self._changing.write_bytes(os.urandom(4096))
        script = work / "mkosi.postinst"
        script.write_text("#!/bin/sh\nsystemctl enable systemd-networkd apache2\n")
        script.chmod(0o755)
        (work / "cache").mkdir()
        mirror = discover(lock.distribution.model_dump())["debian"]
        self._command = [
            "mkosi",
            "--force",
            "--distribution",
            "debian",
            "--release",
            lock.distribution.suite,
            "--mirror",
            mirror,
            "--format",
            "gpt_ext4",
            *_bootable(),
            "--root-size",
            ROOT_SIZE,
            "--output",
            str(self.image),
            "--cache",
            "cache",
            "--package",
            ",".join(names),
            "--extra-tree",
            "extra",
            "--postinst-script",
            str(script),
            "--nspawn-keep-unit",
            "--kernel-command-line",
            "console=ttyS0 net.ifnames=0 nvme_core.io_timeout=4294967295",
        ]

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they have to run."""
        return [
            Case("mkosi, cold", [*self._command, "build"], directory=self.work),
            self._app("mkosi, only the app changed, --incremental", "--incremental"),
            self._app(
                "mkosi, only the app changed, --incremental --cache-initrd", "--incremental", "--cache-initrd"
            ),
        ]

    def build(self) -> None:
        """Build once."""
        run(self.cases()[0].command, cwd=self.work)

    def set_up(self) -> None:
        """Build once each way: afterwards its caches are filled."""
        for case in self.cases():
            run(case.command, cwd=self.work)  # its error has the end of what mkosi said

    def _app(self, name: str, *options: str) -> Case:
        return Case(name, [*self._command, *options, "build"], self._change, None, self._changed, self.work)

    def _change(self) -> None:
        self._before.unlink(missing_ok=True)
        self.image.rename(self._before)
        self._changing.write_bytes(os.urandom(4096))

    def _changed(self) -> int:
        return differing_blocks(self._before, self.image)


def floors(repo: Path, disk: Path, work: Path) -> list[Case]:
    """Return what no tool can do without: every package unpacked, two at a time; a disk
    written and hashed.
    """
    root, copy = work / "root", work / "copy.raw"

    def clear() -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        copy.unlink(missing_ok=True)

    # Directories that are links (/bin) stay links, as every bootstrap has to see to.
    unpack = 'dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink --directory="$0"'
    every = f"ls {repo}/*.deb | xargs -P 2 -I @ sh -c '{unpack}' {root} @"
    return [
        Case("floor: unpack all packages, two at a time", ["sh", "-c", every], clear),
        Case(
            "floor: write and hash the disk",
            ["sh", "-c", f"cp --sparse=always {disk} {copy} && sha256sum {copy}"],
            clear,
        ),
    ]
