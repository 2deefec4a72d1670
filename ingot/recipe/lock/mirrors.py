"""Where the archives of a distribution are. The machine says it, never the project or a lock.

In this order:

1. ``INGOT_MIRROR``: the URL of the main archive (``http://mirror.example/debian``: the security archive is
   then ``http://mirror.example/debian-security``, beside it), or one ``archive=URL`` for each, separated by
   blanks;
2. the machine's own apt sources for the same distribution;
3. what mmdebstrap uses when it is given no mirror.

A bake that does not find a package there asks the distribution's public snapshot archive next, which keeps
what mirrors drop. ``INGOT_SNAPSHOT`` names another one, as the URL of one archive at one time, with
``{archive}`` and ``{date}`` (``20260131T120000Z``) in it, or is ``off``. There is no look-up by SHA-256 in
such an archive: a path and a time lead to a package, and the lock has both.

``INGOT_MIRROR`` may name the archives of a recipe's own apt sources as well: ``example=URL``.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from ingot.deb822 import parse_paragraphs
from ingot.errors import InputError, MissingToolError
from ingot.process import require, run
from ingot.retry import wall
from ingot.spec import Addresses, BakeSpec

ARCHIVES = {"debian": ("debian", "debian-security"), "ubuntu": ("ubuntu",)}
# https://snapshot.debian.org and https://snapshot.ubuntu.com, "Usage".
SNAPSHOTS = {
    "debian": "https://snapshot.debian.org/archive/{archive}/{date}",
    "ubuntu": "https://snapshot.ubuntu.com/{archive}/{date}",
}
OFF = "off"
# Seconds after an index's own date at which a snapshot is sure to have what it lists: snapshot.debian.org
# takes one about every six hours, and answers for any time with the latest one before it. Packages stay in
# an archive for a day and more after the last index that has them.
LAG = 12 * 3600
_SOURCE = re.compile(r"^deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)")


def discover(distribution: Mapping[str, str], *, etc: Path = Path("/etc/apt")) -> dict[str, str]:
    """Return the base URL of each archive of a distribution, without a slash at the end.

    ``distribution`` is the lock's or plan's ``{"id", "suite"}``; ``etc`` is where apt's sources are. Raises
    InputError when no mirror is found.
    """
    archives = ARCHIVES[distribution["id"]]
    if named := os.environ.get("INGOT_MIRROR", "").strip():
        return _from_environment(named, archives)
    found = _among(archives, _host_sources(etc))
    if len(found) < len(archives):
        found = _among(archives, _sources_of_mmdebstrap(distribution["suite"])) | found
    missing = [archive for archive in archives if archive not in found]
    if missing:
        raise InputError(
            f"no mirror known for {', '.join(missing)}",
            hint=f"set INGOT_MIRROR to the URL of a mirror of {distribution['id']}",
        )
    return {archive: found[archive] for archive in archives}


def addresses(spec: BakeSpec, *, elsewhere: bool = False) -> dict[str, Addresses]:
    """Return where the packages of each archive of a spec may be fetched from.

    ``elsewhere``: by another machine. It does not get this machine's own apt sources, which it may not reach,
    nor files and servers of this machine; an archive may then have no address. Raises InputError when no
    mirror is known, or ``INGOT_SNAPSHOT`` is not as it should be.
    """
    distribution = spec.distribution
    find = _public if elsewhere else discover
    mirrors = {} if distribution is None else find(distribution._asdict())
    own = own_archives({source.archive: source.uri for source in spec.apt_sources})
    known = SNAPSHOTS.get(distribution.id) if distribution is not None else None
    named = _named_snapshot()
    return {
        name: Addresses(
            (url,) if not (elsewhere and _only_here(url)) else (),
            _snapshots(named or (None if name in own else known), name, spec.indexed),
        )
        for name, url in (mirrors | own).items()
    }


def _public(distribution: Mapping[str, str]) -> dict[str, str]:
    """Return the base URLs that ``INGOT_MIRROR`` names, else the distribution's public ones, where known."""
    archives = ARCHIVES[distribution["id"]]
    if named := os.environ.get("INGOT_MIRROR", "").strip():
        return _from_environment(named, archives)
    try:
        return _among(archives, _sources_of_mmdebstrap(distribution["suite"]))
    except MissingToolError:
        return {}


def _only_here(url: str) -> bool:
    """Tell whether a URL leads nowhere on another machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    local = host == "localhost" or host.endswith(".localhost")
    with suppress(ValueError):
        local = local or ip_address(host).is_loopback
    return local or parts.scheme not in ("http", "https")


def own_archives(uris: Mapping[str, str]) -> dict[str, str]:
    """Return the URL of each of a recipe's own archives: ``INGOT_MIRROR``'s, else the recipe's."""
    named = _pairs(os.environ.get("INGOT_MIRROR", ""))
    return {name: named.get(name, uri).rstrip("/") for name, uri in uris.items()}


def _named_snapshot() -> str | None:
    text = os.environ.get("INGOT_SNAPSHOT", "").strip().rstrip("/")
    if text in ("", OFF):
        return text or None
    if "://" not in text or "{archive}" not in text or "{date}" not in text:
        raise InputError(
            f"INGOT_SNAPSHOT is {text!r}: it has to be {OFF}, or a URL with {{archive}} and {{date}} in it",
            hint="such as https://snapshot.example/archive/{archive}/{date}",
        )
    return text


def _snapshots(template: str | None, archive: str, indexed: int | None) -> tuple[str, ...]:
    """Return the addresses of an archive at the times when it had the packages of an index of that date."""
    if template is None or template == OFF or indexed is None:
        return ()
    times = dict.fromkeys((max(indexed, min(indexed + LAG, int(wall()))), indexed))
    return tuple(
        template.replace("{archive}", archive).replace(
            "{date}", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
        )
        for moment in times
    )


def _pairs(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.split() if re.match(r"[a-z0-9.-]+=", word))


def _from_environment(text: str, archives: tuple[str, ...]) -> dict[str, str]:
    words = text.split()
    pairs = _pairs(text)
    if not pairs and len(words) == 1:
        main = words[0].rstrip("/")
        pairs = {archives[0]: main} | {name: _beside(main, name) for name in archives[1:]}
    wrong = [archive for archive in archives if "://" not in pairs.get(archive, "")]
    if wrong:
        raise InputError(
            f"INGOT_MIRROR is {text!r}: it has to be one URL, or "
            f"{' '.join(f'{name}=URL' for name in archives)}"
        )
    return {archive: pairs[archive].rstrip("/") for archive in archives}


def _beside(main: str, archive: str) -> str:
    return f"{main.rsplit('/', 1)[0]}/{archive}"


def _among(archives: tuple[str, ...], urls: Iterator[str]) -> dict[str, str]:
    """Return the first URL for each archive: mirrors keep the archive's name as the last part of their path.

    A wrong guess cannot do harm: what an archive says counts only with the distribution's signature.
    """
    found: dict[str, str] = {}
    for url in urls:
        url = url.rstrip("/")
        archive = url.rsplit("/", 1)[-1]
        if archive in archives:
            found.setdefault(archive, url)
    return found


def _host_sources(etc: Path) -> Iterator[str]:
    """Yield the URLs of apt's sources, in both formats of sources.list(5)."""
    for file in (etc / "sources.list", *sorted(etc.glob("sources.list.d/*"))):
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.suffix == ".list":
            lines = text.splitlines()
            urls = [match[1] for line in lines if (match := _SOURCE.match(line.strip()))]
        elif file.suffix == ".sources":
            urls = _deb822_urls(text)
        else:
            continue
        for url in urls:
            yield from _resolved(url)


def _deb822_urls(text: str) -> list[str]:
    urls: list[str] = []
    for fields in parse_paragraphs(text):
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            urls += fields.get("uris", "").split()
    return urls


def _resolved(url: str) -> Iterator[str]:
    """Follow ``mirror+file:`` (apt-transport-mirror(1)), which Debian's own cloud images use."""
    if not url.startswith("mirror+file:"):
        yield url
        return
    file = Path("/" + url.removeprefix("mirror+file:").lstrip("/"))
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        yield from (line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


def _sources_of_mmdebstrap(suite: str) -> Iterator[str]:
    """Ask mmdebstrap for its default: its setup hook copies the sources.list that it wrote, and ends it."""
    require("mmdebstrap", needed_for="find the distribution's default mirror")
    with tempfile.TemporaryDirectory(prefix="ingot-mirror-") as work:
        copy = Path(work) / "sources.list"
        hook = f'cat "$1"/etc/apt/sources.list > {copy}; exit 1'
        command = ["mmdebstrap", "--variant=custom", f"--setup-hook={hook}", suite, f"{work}/root"]
        run(command, check=False, timeout=120)
        text = copy.read_text(encoding="utf-8") if copy.is_file() else ""
    yield from (match[1] for line in text.splitlines() if (match := _SOURCE.match(line.strip())))
