"""A small archive of a distribution on disk, signed with a throwaway key: what apt needs
to resolve, no more.
"""

import contextlib
import hashlib
import http.server
import shutil
import subprocess
import tempfile
import threading
from functools import partial
from pathlib import Path

from ingot.recipe.lock.distribution import Distribution

DATE = "Tue, 14 Nov 2023 22:13:20 UTC"  # 1700000000
LATER = "Wed, 15 Nov 2023 22:13:20 UTC"


class Signer:
    """A GnuPG home with one key.

    The directory is short-lived and its path short: the agent's socket is in it.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ingot-gpg-"))
        self.home.chmod(0o700)
        self.keyring = self.home / "keyring.gpg"
        self.gpg("--quick-generate-key", "Test <test@example.com>", "ed25519", "sign", "never")
        self.gpg("--output", str(self.keyring), "--export")

    def gpg(self, *arguments: str) -> None:
        command = [
            "gpg",
            "--homedir",
            str(self.home),
            "--batch",
            "--yes",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
        ]
        subprocess.run([*command, *arguments], check=True, capture_output=True)

    def fingerprint(self) -> str:
        """The fingerprint of the key, as gpg lists it."""
        command = ["gpg", "--homedir", str(self.home), "--batch", "--list-keys", "--with-colons"]
        listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))

    def clear_sign(self, text: str, output: Path) -> None:
        plain = self.home / "plain"
        plain.write_text(text)
        self.gpg("--output", str(output), "--clearsign", str(plain))

    def close(self) -> None:
        subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True, capture_output=True
        )
        shutil.rmtree(self.home, ignore_errors=True)


def stanza(name: str, version: str = "1.0", **fields: str) -> str:
    """One package of an index. Nothing fetches its file, so its hash is made up of its name and version."""
    more = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.com>\n{more}"
        f"Filename: pool/main/{name[0]}/{name}/{name}_{version.replace(':', '%3a')}_amd64.deb\nSize: 100\n"
        f"SHA256: {hashlib.sha256(f'{name} {version}'.encode()).hexdigest()}\nDescription: x\n\n"
    )


def write_archive(
    root: Path,
    distribution: Distribution,
    signer: Signer,
    suites: dict[str, list[str]],
    date: str = DATE,
    architecture: str = "amd64",
) -> None:
    """Write all suites of a distribution below ``root``; those that are not in ``suites`` are empty."""
    for suite in distribution.suites:
        text = "".join(suites.get(suite.name, [])).replace("amd64", architecture)
        write_suite(root / suite.archive, suite.name, text, signer, date, architecture)


def write_suite(
    archive: Path,
    suite: str,
    text: str,
    signer: Signer,
    date: str = DATE,
    architecture: str = "amd64",
    *,
    others: dict[str, str] | None = None,
    fields: str = "",
) -> None:
    """Write one suite of an archive: the index ``text`` of its component main, ``others`` by component, and
    its signed release, with more ``fields``.
    """
    top = archive / "dists" / suite
    components = {"main": text, **(others or {})}
    digests = ""
    for name, packages in components.items():
        index = top / name / f"binary-{architecture}" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text(packages)
        digest = hashlib.sha256(packages.encode()).hexdigest()
        digests += f" {digest} {len(packages)} {name}/binary-{architecture}/Packages\n"
    release = (
        f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {date}\nArchitectures: {architecture}\n"
        f"{fields}Components: {' '.join(components)}\nSHA256:\n{digests}"
    )
    signer.clear_sign(release, top / "InRelease")


def write_flat_archive(archive: Path, text: str, signer: Signer, date: str = DATE) -> None:
    """Write an archive without suites and components: ``deb URI ./``."""
    archive.mkdir(parents=True, exist_ok=True)
    (archive / "Packages").write_text(text)
    release = f"Date: {date}\nSHA256:\n {hashlib.sha256(text.encode()).hexdigest()} {len(text)} Packages\n"
    signer.clear_sign(release, archive / "InRelease")


def build_package(
    directory: Path,
    name: str,
    files: dict[str, str],
    version: str = "1.0",
    *,
    fields: str = "",
    control_files: dict[str, str] | None = None,
) -> str:
    """Build a real package with ``files`` into ``directory``; return its stanza, its path
    relative to the archive's root. ``fields`` are more lines of its control file, ``control_files`` the
    scripts and other files beside it.
    """
    tree = Path(tempfile.mkdtemp(prefix="ingot-deb-", dir=directory))
    (tree / "DEBIAN").mkdir()
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T"
        f" <t@example.com>\n{fields}Description: x\n"
    )
    (tree / "DEBIAN" / "control").write_text(control)
    for path, text in (control_files or {}).items():
        (tree / "DEBIAN" / path).write_text(text)
        (tree / "DEBIAN" / path).chmod(0o755 if text.startswith("#!") else 0o644)
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    pool = directory / "pool"
    pool.mkdir(exist_ok=True)
    deb = pool / f"{name}_{version}_all.deb"
    tree.chmod(0o755)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)], check=True, capture_output=True
    )
    shutil.rmtree(tree)
    data = deb.read_bytes()
    return (
        f"{control}Filename: pool/{deb.name}\nSize: {len(data)}\nSHA256:"
        f" {hashlib.sha256(data).hexdigest()}\n\n"
    )


@contextlib.contextmanager
def served(directory):
    """Serve a directory on loopback; yields its address."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
