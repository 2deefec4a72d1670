"""apt in a private root: it verifies the signed indexes, and solves the dependencies.

No root is needed: state, cache and sources are in a directory of our own, and dpkg's status is empty, so that
apt plans an installation from nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote

from ingot.deb822 import parse_paragraphs
from ingot.errors import IngotError
from ingot.files import sha256_of
from ingot.process import CommandError, require, run, run_binary
from ingot.progress import Progress, silent
from ingot.recipe.lock.archives import Archive
from ingot.recipe.lock.distribution import Distribution, Suite
from ingot.recipe.lock.index import Key, PackageList
from ingot.recipe.lock.index_cache import Entries, IndexCache

# Settings of the machine that decide whether its mirrors can be reached, and no others.
_NETWORK_SETTING = re.compile(
    r"^Acquire::((https?|ftp|socks)::\S*|Retries|Check-Valid-Until|Check-Date|ForceIPv[46]) "
)
# A line of `apt-get --print-uris`: the address, the name of the file that apt would keep, whose parts are
# quoted as in an address (pkgAcqArchive, apt-pkg/acquire-item.cc), its size and a digest.
_FETCHED = re.compile(r"^'[^']+' (?P<name>[^\s_]+)_(?P<version>[^\s_]+)_(?P<architecture>[^\s_.]+)\.\S+ \d+ ")


# What apt says of a signature that is not good, or of a signed file that is damaged
# (apt-pkg/acquire-item.cc).
_FORGED = re.compile(r"GPG error|[Ss]ignature|is not signed|[Cc]learsigned|NO_PUBKEY|NODATA")


@dataclass(frozen=True)
class _SuiteIndex:
    """One suite of an archive at one address. ``release``: the name of its signed file among apt's lists, but
    for "InRelease" or "Release" at its end.
    """

    suite: Suite
    release: str
    contents: tuple[str, ...] = ()
    """What of it is asked for, and the digests of the keys that may sign it."""

    def key(self, architecture: str) -> str:
        """Return the name of its entry in the cache."""
        inputs = [self.release, self.suite.name, architecture, *self.contents]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


@dataclass(frozen=True)
class _PackagesFile:
    """A Packages file: its source, the name that the signed file has for it, and the file."""

    source: _SuiteIndex
    name: str
    file: Path


class AptRoot:
    """A private apt: ``update`` once, then look packages up and solve."""

    def __init__(
        self, directory: Path, distribution: Distribution, architecture: str, cache: IndexCache
    ) -> None:
        self.directory = directory
        self.distribution = distribution
        self.architecture = architecture
        self.cache = cache
        self.lists = directory / "lists"
        self._sources: dict[tuple[str, str], _SuiteIndex] = {}
        self._lists: list[PackageList] = []
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
            "Dir::State::lists": str(self.lists),
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
            # Its digest is the one that the Release file names, and nothing has to be unpacked.
            "Acquire::GzipIndexes": "false",
            "Acquire::PDiffs": "false",
            "Acquire::Retries": "3",
        }
        return "\n".join([*network, *(f'{key} "{value}";' for key, value in places.items())]) + "\n"

    def update(
        self,
        mirrors: Mapping[str, str],
        keyring: Path,
        archives: Sequence[Archive] = (),
        progress: Progress = silent,
    ) -> None:
        """Get and verify the indexes, those of a recipe's own ``archives`` with their own keys.

        What the cache has is fetched again only when the mirror has something newer, or when it is not what
        was signed. Raises IngotError when an index cannot be fetched or its signature is not good.
        """
        self._write_sources(mirrors, keyring, archives)
        name = f"{self.distribution.id} {self.distribution.suite}"
        keys = [source.key(self.architecture) for source in self._sources.values()]
        with self.cache.open(keys, progress) as entries:
            known = entries.lend(keys, self.lists)
            if not (known and entries.asked(keys)):
                doing = "asking for changes in" if known else "fetching"
                progress(f"{doing} the indexes of {name}")
                failure = self._fetch()
                if failure is not None and known and _FORGED.search(failure):
                    failure = self._fetch_anew(entries, keys, progress)
                if failure is not None:
                    raise self._failed(failure, keyring, archives)
            with ThreadPoolExecutor() as pool:
                # apt reads the lists on one processor, and they are verified on another.
                pool.submit(self._run, "apt-cache", "gencaches")
                damaged = self._damaged()
            if damaged:
                failure = self._fetch_anew(entries, keys, progress)
                if failure is not None or self._damaged():
                    raise self._failed(failure or "E: an index is not what was signed", keyring, archives)
            entries.keep(self._verifiable())

    def _write_sources(self, mirrors: Mapping[str, str], keyring: Path, archives: Sequence[Archive]) -> None:
        """Write apt's sources.list."""
        component = self.distribution.component
        lines = []
        for suite in self.distribution.suites:
            uri = mirrors[suite.archive]
            lines.append(f"deb [signed-by={keyring}] {uri} {suite.name} {component}")
            self._add(uri, suite, component, sha256_of(keyring))
        for archive in archives:
            # By its content: of one suite at one address apt takes one file with keys alone.
            name = f"archive-{archive.key_sha256}.{'asc' if archive.armoured else 'gpg'}"
            key = self.directory / "etc" / name
            shutil.copyfile(archive.key, key)
            uri, components = mirrors[archive.name], " ".join(archive.components)
            lines.append(f"deb [signed-by={key}] {uri} {archive.suite} {components}".rstrip())
            # At the same place as the distribution's, its own packages count as the distribution's.
            self._add(uri, Suite(archive.name, archive.suite), components, archive.key_sha256)
        (self.directory / "etc" / "sources.list").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _add(self, uri: str, suite: Suite, *contents: str) -> None:
        place = _place(uri, suite.name)
        source = self._sources.get(place) or _SuiteIndex(suite, _release(*place, suite.name))
        self._sources[place] = replace(source, contents=(*source.contents, *contents))

    def _fetch(self) -> str | None:
        """Let apt update its lists; return what it says when it cannot."""
        try:
            self._run("apt-get", "update", "-q", "-o", "pkgCacheFile::Generate=false")
        except CommandError as error:
            return error.output
        return None

    def _fetch_anew(self, entries: Entries, keys: Sequence[str], progress: Progress) -> str | None:
        progress("the cached indexes do not match their signatures: fetching them again")
        entries.drop(keys)
        for file in self.lists.iterdir():
            if not file.is_dir():
                file.unlink()
        return self._fetch()

    def _failed(self, output: str, keyring: Path, archives: Sequence[Archive]) -> IngotError:
        errors = [line for line in output.splitlines() if line.startswith(("E:", "W:"))]
        own = "".join(f" or {archive.name}" for archive in archives)
        return IngotError(
            f"the index of {self.distribution.id} {self.distribution.suite}{own} cannot be fetched:\n    "
            + "\n    ".join(errors or [output.strip()]),
            hint=_hint(output, keyring),
        )

    def _targets(self) -> list[_PackagesFile]:
        form = "$(REPO_URI)\t$(RELEASE)\t$(METAKEY)\t$(FILENAME)"
        listing = self._run("apt-get", "indextargets", "--format", form, "Created-By: Packages")
        targets = []
        for line in listing.splitlines():
            uri, release, name, file = line.split("\t")
            targets.append(_PackagesFile(self._sources[_place(uri, release)], name, Path(file)))
        return targets

    def _damaged(self) -> bool:
        """Tell whether a list is not the one that its signed Release file names.

        apt compares what it fetches, and what it has with nothing.
        """
        self._lists = []
        for target in self._targets():
            text = self._read(target.file)
            signed = self._signed_digest(target)
            if signed is not None and hashlib.sha256(text).hexdigest() != signed:
                return True
            self._lists.append(PackageList(target.source.suite, text))
        return False

    def _read(self, file: Path) -> bytes:
        if file.name.endswith("Packages"):
            return file.read_bytes()
        # An archive on this machine may have compressed files alone, which apt takes as they are.
        return run_binary(["/usr/lib/apt/apt-helper", "cat-file", file]).stdout

    def _signed(self, source: _SuiteIndex) -> Path | None:
        """Return the signed file of a source; an archive without InRelease has the older pair of Release and
        Release.gpg.
        """
        files = (self.lists / f"{source.release}{name}" for name in ("InRelease", "Release"))
        return next((file for file in files if file.is_file()), None)

    def _signed_digest(self, target: _PackagesFile) -> str | None:
        """Return the SHA-256 of a list that the signed file names, None when it names none.

        apt has verified the signature, and refuses a file with unsigned lines in it.
        """
        signed = self._signed(target.source)
        text = "" if signed is None else signed.read_text(encoding="utf-8")
        section = re.search(r"^SHA256:[ \t]*\n((?:[ \t].*\n?)+)", text, re.MULTILINE)
        for line in section[1].splitlines() if section else ():
            words = line.split()
            if len(words) == 3 and words[2].removeprefix("./") == target.name:
                return words[0].lower()
        return None

    def _verifiable(self) -> dict[str, list[Path]]:
        """Return the files of each source that the cache may keep: those that can be verified again."""
        targets = self._targets()
        found = {}
        for source in self._sources.values():
            signed = self._signed(source)
            own = [target for target in targets if target.source is source]
            # Of an archive on this machine apt keeps links into it.
            if signed is None or not all(
                self._signed_digest(target) and not target.file.is_symlink() for target in own
            ):
                continue
            signature = signed.with_name(f"{signed.name}.gpg")
            files = [signed, *(target.file for target in own), *([signature] if signature.exists() else [])]
            found[source.key(self.architecture)] = files
        return found

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
            raise IngotError("the archives have no Release file: Ingot accepts signed indexes only")
        return max(dates)

    def packages(self) -> Sequence[PackageList]:
        """Return the lists that :meth:`update` verified."""
        return self._lists

    def pin(self, versions: Mapping[str, str]) -> None:
        """Let apt keep these versions."""
        stanzas = [
            f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n"
            for name, version in versions.items()
        ]
        (self.directory / "etc" / "preferences").write_text("\n".join(stanzas), encoding="utf-8")

    def solve(self, names: Sequence[str]) -> list[Key]:
        """Return all that an installation of ``names`` from nothing takes.

        Raises CommandError when apt finds no solution.
        """
        # --simulate would also find the order of installation, which takes three times as long.
        command = ["apt-get", "install", "--print-uris", "-q", *names]
        done = run(command, env=self.environment, timeout=600, check=False)
        if done.returncode != 0:
            # apt explains itself on stdout, after its standing words about "some packages could not be
            # installed".
            reason = done.stdout.partition("The following packages have unmet dependencies:\n")[2]
            raise CommandError(command, done.returncode, f"{reason}{done.stderr}")
        files = [match for line in done.stdout.splitlines() if (match := _FETCHED.match(line))]
        return [(unquote(m["name"]), unquote(m["version"]), unquote(m["architecture"])) for m in files]

    def candidates(self, names: Iterable[str]) -> list[Key]:
        """Return the version of each package that apt would install, whatever it depends on.

        Raises CommandError for a package that does not exist.
        """
        listing = self._run("apt-cache", "--no-all-versions", "show", *names)
        fields = ("package", "version", "architecture")
        found = parse_paragraphs(listing, only=fields)
        return [(each["package"], each["version"], each["architecture"]) for each in found]

    def _run(self, *command: str) -> str:
        return run(command, env=self.environment, timeout=600).stdout


def read_fields(package: Path) -> Mapping[str, str]:
    """Return the fields of a package file's control file that tell which package it is.

    Raises CommandError when it is none.
    """
    wanted = ("Package", "Version", "Architecture")
    text = run(["dpkg-deb", "--field", package, *wanted]).stdout
    return next(iter(parse_paragraphs(text, only=wanted)), {})


def _hint(said: str, keyring: Path) -> str:
    """Return what helps: another key, or another mirror."""
    if "Conflicting values set for option Signed-By" in said:
        return "apt sources with the same uri and suite need the same key"
    if "NO_PUBKEY" in said or "is not signed" in said or "signatures were invalid" in said:
        return (
            f"the index must be signed by a key of {keyring} (INGOT_KEYRING names another file), "
            "that of an apt source by its own key"
        )
    return "is the mirror reachable? INGOT_MIRROR names another one"


def _release(uri: str, suite: str, spelt: str) -> str:
    """Return the name that apt gives the signed file of a suite, without "InRelease" at its end: its address
    without protocol and user (URItoFileName, apt-pkg/contrib/strutl.cc).
    """
    address = re.sub(r"^[a-z0-9+]+:(//)?([^/@]*@)?", "", uri)
    address = f"{address}/{suite}/" if spelt.endswith("/") else f"{address}/dists/{suite}/"
    quoted = "".join(
        f"%{ord(c):02x}" if c in '\\|{}[]<>"^~_=!@#$%^&*' or not "\x20" < c < "\x7f" else c for c in address
    )
    return quoted.replace("/", "_")


def _place(uri: str, suite: str) -> tuple[str, str]:
    """Return address and suite in one spelling: apt writes file:/x for file:///x, and a slash at the end."""
    return re.sub(r"^file:/+", "file:/", uri.rstrip("/")), suite.rstrip("/")
