"""The tree that mmdebstrap makes of the packages of a lock: apt and dpkg at work, nothing of Ingot's."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from email.utils import formatdate
from pathlib import Path

from ingot.bake.packages.cache import package_file
from ingot.bake.packages.deb import LockedDeb, read_control
from ingot.bake.tree.tree import Entry, Kind
from ingot.recipe.lock.file import Lock

# As debootstrap makes it before the first package.
MERGED = (
    'for name in bin sbin lib lib64; do mkdir -p "$1/usr/$name"; ln -s "usr/$name" "$1/$name"; done;'
    ' chmod 755 "$1/usr" "$1"/usr/*'
)
# Text files that are compared by what they say, so their content is kept.
KEPT = 4 << 20
KINDS = {
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.FIFOTYPE: Kind.FIFO,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
}


def repository(lock: Lock, packages: Path, place: Path) -> None:
    """Make a flat archive that has the packages of the lock which are installed, and no others."""
    place.mkdir()
    index = []
    for locked in lock.packages:
        if locked.role != "install":
            continue
        file = package_file(packages, locked.sha256)
        control = read_control(LockedDeb(locked.name, locked.version, locked.architecture, file))
        name = Path(locked.path).name
        (place / name).symlink_to(file)
        index.append(f"{control.text}Filename: ./{name}\nSize: {locked.size}\nSHA256: {locked.sha256}\n")
    text = "\n".join(index)
    (place / "Packages").write_text(text)
    suite, digest = lock.distribution.suite, hashlib.sha256(text.encode()).hexdigest()
    # mmdebstrap takes as essential what the archive of the suite calls so.
    (place / "Release").write_text(
        f"Suite: {suite}\nCodename: {suite}\nDate: {formatdate(lock.epoch, usegmt=True)}\n"
        f"SHA256:\n {digest} {len(text.encode())} Packages\n"
    )


def bootstrap(lock: Lock, packages: Path, work: Path, options: tuple[str, ...] = ()) -> Path:
    """Have mmdebstrap install the packages of the lock; return the tar with the tree."""
    archive, target = work / "archive", work / "tree.tar"
    repository(lock, packages, archive)
    names = {*lock.requested.base, *lock.requested.packages}
    command = [
        "mmdebstrap", "--mode=root", "--variant=essential", "--format=tar",
        f"--architectures={lock.architecture}", f"--setup-hook={MERGED}",
        f"--include={','.join(sorted(names))}",
        "--aptopt=APT::Install-Recommends \"false\"", "--dpkgopt=force-unsafe-io", *options,
        lock.distribution.suite, str(target), f"deb [trusted=yes] copy://{archive} ./",
    ]  # fmt: skip
    # Debian's kernel hooks make no initramfs: the engine writes its own.
    environment = {"PATH": os.environ["PATH"], "INITRD": "No", "SOURCE_DATE_EPOCH": str(lock.epoch)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", check=False, cwd=work
    )
    assert done.returncode == 0, done.stderr[-6000:]
    shutil.rmtree(archive)
    return target


def entries(tar: Path) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """What is in the tar: entries by path with digests, and the contents of small files."""
    found: dict[str, Entry] = {}
    contents: dict[str, bytes] = {}
    with tarfile.open(tar, "r|", errors="surrogateescape") as archive:
        for member in archive:
            path = "/" + member.name.removeprefix("./").strip("/") if member.name != "." else "/"
            if member.islnk():
                first = "/" + member.linkname.removeprefix("./")
                group = found[first].group or first
                found[first] = found[first]._replace(group=group)
                found[path] = found[first]._replace(path=path)
                continue
            found[path] = Entry(
                path,
                KINDS.get(member.type, Kind.FILE),
                member.mode & 0o7777,
                member.uid,
                member.gid,
                size=member.size,
                link=member.linkname or None,
                xattrs=_xattrs(member),
                device=(member.devmajor, member.devminor) if member.isdev() else (0, 0),
            )
            if member.isreg():
                data = archive.extractfile(member).read()
                found[path] = found[path]._replace(sha256=hashlib.sha256(data).hexdigest())
                if len(data) <= KEPT:
                    contents[path] = data
    return found, contents


def _xattrs(member: tarfile.TarInfo) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes, as GNU tar and bsdtar write them (``SCHILY.xattr.NAME``)."""
    prefix = "SCHILY.xattr."
    return tuple(
        sorted(
            (name.removeprefix(prefix), value.encode("utf-8", "surrogateescape"))
            for name, value in member.pax_headers.items()
            if name.startswith(prefix)
        )
    )
