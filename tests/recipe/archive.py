"""A small archive of a distribution on disk, signed with a throwaway key: what apt needs to resolve, no more."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from ingot.recipe.distribution import Distribution

DATE = "Tue, 14 Nov 2023 22:13:20 UTC"  # 1700000000
LATER = "Wed, 15 Nov 2023 22:13:20 UTC"


class Signer:
    """A GnuPG home with one key. The directory is short-lived and its path short: the agent's socket is in it."""

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
    root: Path, distribution: Distribution, signer: Signer, suites: dict[str, list[str]], date: str = DATE
) -> None:
    """Write all suites of a distribution below ``root``; those that are not in ``suites`` are empty."""
    for suite in distribution.suites:
        top = root / suite.archive / "dists" / suite.name
        index = top / "main" / "binary-amd64" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(suites.get(suite.name, []))
        index.write_text(text)
        release = (
            f"Origin: Test\nSuite: {suite.name}\nCodename: {suite.name}\nDate: {date}\nArchitectures: amd64\n"
            f"Components: main\nSHA256:\n {hashlib.sha256(text.encode()).hexdigest()} {len(text)} "
            "main/binary-amd64/Packages\n"
        )
        signer.clear_sign(release, top / "InRelease")
