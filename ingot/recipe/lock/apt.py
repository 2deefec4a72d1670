"""apt in a private root: it verifies the signed indexes, and solves the dependencies.

No root is needed: state, cache and sources are in a directory of our own, and dpkg's status is empty, so that
apt plans an installation from nothing.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from ingot.deb822 import names_in, parse_paragraphs
from ingot.errors import IngotError
from ingot.process import CommandError, require, run
from ingot.recipe.lock.archives import Archive
from ingot.recipe.lock.distribution import Distribution, Suite

# Settings of the machine that decide whether its mirrors can be reached, and no others.
_NETWORK_SETTING = re.compile(
    r"^Acquire::((https?|ftp|socks)::\S*|Retries|Check-Valid-Until|Check-Date|ForceIPv[46]) "
)
_INSTALLED = re.compile(r"^Inst (\S+) \((\S+) .*\[(\S+)\]\)")


@dataclass(frozen=True)
class IndexedPackage:
    """One package version of the signed indexes."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    path: str
    essential: bool
    provides: tuple[str, ...]
    suite: Suite


class AptRoot:
    """A private apt: ``update`` once, then look packages up and solve."""

    def __init__(self, directory: Path, distribution: Distribution, architecture: str) -> None:
        self.directory = directory
        self.distribution = distribution
        self.architecture = architecture
        self.suites: dict[tuple[str, str], Suite] = {}
        for tool in ("apt-get", "gpgv"):
            require(tool, needed_for="resolve packages from the distribution's signed index")
        for name in ("lists/partial", "cache/archives/partial", "etc"):
            (directory / name).mkdir(parents=True)
        self.environment = {**os.environ, "APT_CONFIG": str(directory / "apt.conf"), "LC_ALL": "C.UTF-8"}
        (directory / "apt.conf").write_text(self._configuration(), encoding="utf-8")

    def _configuration(self) -> str:
        """Return apt.conf(5): all of apt's places in our directory.

        Of the machine's, the network settings alone.
        """
        dump = run(["apt-config", "dump", "--no-empty"]).stdout.splitlines()
        network = [line for line in dump if _NETWORK_SETTING.match(line)]
        places = {
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::sourcelist": f"{self.directory}/etc/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": f"{self.directory}/etc/preferences",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::trusted": "/dev/null",
            "Dir::Etc::trustedparts": "/dev/null",
            "Dir::State": f"{self.directory}",
            "Dir::State::lists": f"{self.directory}/lists",
            "Dir::State::status": "/dev/null",
            "Dir::State::extended_states": f"{self.directory}/extended_states",
            "Dir::Cache": f"{self.directory}/cache",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            # Our directory is private (mode 0700), so apt's own user could not write to it.
            "APT::Sandbox::User": "root",
            # An image holds what its recipe names and what that needs: no recommendations.
            "APT::Install-Recommends": "false",
            "APT::Install-Suggests": "false",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::PDiffs": "false",
            "Acquire::Retries": "3",
        }
        return "\n".join([*network, *(f'{key} "{value}";' for key, value in places.items())]) + "\n"

    def update(self, mirrors: Mapping[str, str], keyring: Path, archives: Sequence[Archive] = ()) -> None:
        """Fetch and verify the indexes, those of a recipe's own ``archives`` with their own keys.

        Raises IngotError when one cannot be had or its signature is not good.
        """
        component = self.distribution.component
        lines = []
        for suite in self.distribution.suites:
            lines.append(f"deb [signed-by={keyring}] {mirrors[suite.archive]} {suite.name} {component}")
            self.suites[_place(mirrors[suite.archive], suite.name)] = suite
        for number, archive in enumerate(archives):
            key = self.directory / "etc" / f"archive-{number}.{'asc' if archive.armoured else 'gpg'}"
            shutil.copyfile(archive.key, key)
            components = " ".join(archive.components)
            lines.append(
                f"deb [signed-by={key}] {mirrors[archive.name]} {archive.suite} {components}".rstrip()
            )
            suite = Suite(archive.name, archive.suite)
            # The same place as the distribution's: its own packages count as its own.
            self.suites.setdefault(_place(mirrors[archive.name], archive.suite), suite)
        (self.directory / "etc" / "sources.list").write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            self._run("apt-get", "update", "-q")
        except CommandError as error:
            errors = [line for line in error.output.splitlines() if line.startswith(("E:", "W:"))]
            own = "".join(f" or {archive.name}" for archive in archives)
            raise IngotError(
                f"the index of {self.distribution.id} {self.distribution.suite}{own} cannot be had:\n    "
                + "\n    ".join(errors or [error.output.strip()]),
                hint=_hint(error.output, keyring),
            ) from error

    def epoch(self) -> int:
        """Return the newest date of the indexes, in Unix seconds."""
        dates = []
        # An archive without InRelease has the older pair of Release and Release.gpg.
        for file in (self.directory / "lists").glob("*Release"):
            found = re.search(r"^Date: (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            if found is None:
                raise IngotError(f"the index {file.name} has no date")
            dates.append(int(parsedate_to_datetime(found[1]).timestamp()))
        if not dates:
            raise IngotError("the archives have no Release file: Ingot takes signed indexes alone")
        return max(dates)

    def index(self) -> list[IndexedPackage]:
        """Return every package version of the indexes that were verified."""
        form = "$(REPO_URI)\t$(RELEASE)\t$(FILENAME)"
        listing = self._run("apt-get", "indextargets", "--format", form, "Created-By: Packages")
        packages: list[IndexedPackage] = []
        for line in listing.splitlines():
            uri, release, file = line.split("\t")
            # cat-file, because the machine's apt may keep its lists compressed.
            text = self._run("/usr/lib/apt/apt-helper", "cat-file", file)
            packages += _parse(text, self.suites[_place(uri, release)])
        return packages

    def solve(self, names: Sequence[str], pins: Mapping[str, str]) -> list[tuple[str, str, str]]:
        """Return (name, version, architecture) of all that an installation of ``names`` from nothing takes.

        ``pins`` are versions to keep. Raises CommandError when apt finds no solution.
        """
        stanzas = [
            f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n" for name, version in pins.items()
        ]
        (self.directory / "etc" / "preferences").write_text("\n".join(stanzas), encoding="utf-8")
        command = ["apt-get", "install", "--simulate", "-q", *names]
        done = run(command, env=self.environment, timeout=600, check=False)
        if done.returncode != 0:
            # apt explains itself on stdout, after its standing words about "some packages could not be
            # installed".
            reason = done.stdout.partition("The following packages have unmet dependencies:\n")[2]
            raise CommandError(command, done.returncode, f"{reason}{done.stderr}")
        return [(m[1], m[2], m[3]) for line in done.stdout.splitlines() if (m := _INSTALLED.match(line))]

    def _run(self, *command: str) -> str:
        return run(command, env=self.environment, timeout=600).stdout


def _hint(said: str, keyring: Path) -> str:
    """Return what helps: another key, or another mirror."""
    if "NO_PUBKEY" in said or "is not signed" in said or "signatures were invalid" in said:
        return (
            f"the index must be signed by a key of {keyring} (INGOT_KEYRING names another file), "
            "that of an apt source by its own key"
        )
    return "is the mirror reachable? INGOT_MIRROR names another one"


def _place(uri: str, suite: str) -> tuple[str, str]:
    """Return address and suite in one spelling: apt writes file:/x for file:///x, and a slash at the end."""
    return re.sub(r"^file:/+", "file:/", uri.rstrip("/")), suite.rstrip("/")


def _parse(text: str, suite: Suite) -> Iterator[IndexedPackage]:
    """Read a Packages index (deb-control syntax, Debian Policy 5.1); only the fields that a lock needs."""
    wanted = ("Package", "Version", "Architecture", "SHA256", "Size", "Filename", "Essential", "Provides")
    for fields in parse_paragraphs(text, only=wanted):
        yield IndexedPackage(
            name=fields["package"],
            version=fields["version"],
            architecture=fields["architecture"],
            sha256=fields["sha256"],
            size=int(fields["size"]),
            path=fields["filename"].removeprefix("./"),
            essential=fields.get("essential") == "yes",
            provides=tuple(names_in(fields.get("provides", ""))),
            suite=suite,
        )
