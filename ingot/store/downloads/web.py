"""Fetching an artifact by its address, over HTTP or from S3, into the store.

The file is read in pieces and hashed as it comes, so it takes no memory however large it is, and nothing is
in the store under its name before it is whole. A redirect to another host is followed, for most download
pages are made of them, but never from https to http; what protects the content is its digest.
"""

from __future__ import annotations

import base64
import os
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from ingot.bake.packages.asking import TIMEOUT, FetchFailure, ask
from ingot.bake.packages.cache import download_file, package_file
from ingot.bake.packages.receiving import Body
from ingot.errors import IngotError, InputError
from ingot.files import keep, unfinished
from ingot.progress import Progress
from ingot.retry import MIRROR

REDIRECTS = 5
CREDENTIALS = "INGOT_CREDENTIALS"


class S3Opener(Protocol):
    """Opens an object of S3 with the caller's credentials: (bucket, key) gives its size and its content."""

    def __call__(self, bucket: str, key: str) -> AbstractContextManager[tuple[int, BinaryIO]]:
        """Return a context manager. Raises IngotError for an object that cannot be read."""


@dataclass(frozen=True)
class Wanted:
    """A file to fetch, of at most ``limit`` bytes. ``name`` is for messages; no ``sha256``: what is there."""

    name: str
    url: str
    limit: int
    sha256: str | None = None
    is_package: bool = False


@dataclass(frozen=True)
class Fetched:
    """A file that is in the store now."""

    sha256: str
    size: int
    file: Path


class _GoneError(Exception):
    """Another try cannot help."""


def fetch(wanted: Wanted, directory: Path, open_s3: S3Opener | None, progress: Progress) -> Fetched:
    """Fetch a file into ``directory``, under its digest.

    Raises IngotError that names it and its address, also when the content is not the one that is wanted.
    """
    try:
        answer = ask(lambda: _once(wanted, directory, open_s3, progress), MIRROR)
    except _GoneError as error:
        answer = FetchFailure(str(error))
    if isinstance(answer, Fetched):
        return answer
    hint = "is the address right, and reached from here?"
    if answer.said.startswith(("HTTP status 401", "HTTP status 403")):
        hint = f'{CREDENTIALS}="HOST=USER:PASSWORD" in the environment has what a private host wants'
    raise IngotError(f"{wanted.name} cannot be fetched from {wanted.url}: {answer.said}", hint=hint)


def _once(wanted: Wanted, directory: Path, open_s3: S3Opener | None, progress: Progress) -> Fetched:
    parts = urlsplit(wanted.url)
    if parts.scheme == "s3":
        if open_s3 is None:
            raise _GoneError("nothing here can read from S3")
        with open_s3(parts.netloc, parts.path.lstrip("/")) as (size, body):
            return _receive(wanted, directory, Body(body.read, size))
    # http and https alone: see ArtifactUrl.
    request = urllib.request.Request(wanted.url, headers={"User-Agent": "ingot"})  # noqa: S310
    if authorization := _authorization(parts.hostname or ""):
        # "Unredirected": it is not sent on when the host is another one.
        request.add_unredirected_header("Authorization", authorization)
    opener = urllib.request.build_opener(_Redirects(progress))
    with opener.open(request, timeout=TIMEOUT) as answer:
        return _receive(wanted, directory, Body.of(answer))


def _receive(wanted: Wanted, directory: Path, body: Body) -> Fetched:
    if body.announced is not None and body.announced > wanted.limit:
        expected = f"the lock says {wanted.limit}" if wanted.sha256 else f"at most {wanted.limit} are taken"
        raise _GoneError(f"it has {body.announced} bytes; {expected}")
    # Beside packages that are being fetched: what a killed process leaves there is swept.
    place = directory / (wanted.sha256 or "00")[:2]
    place.mkdir(parents=True, exist_ok=True)
    with unfinished(place) as unnamed:
        with unnamed.open("wb") as file:
            came = body.receive(file, wanted.limit, lambda _: None)
        if came.size > wanted.limit:
            raise _GoneError(f"it is larger than {wanted.limit} bytes")
        if wanted.sha256 not in (None, came.sha256):
            raise _GoneError(f"its content has changed: SHA-256 {came.sha256}, expected {wanted.sha256}")
        target = (package_file if wanted.is_package else download_file)(directory, came.sha256)
        keep(unnamed, target)
        return Fetched(came.sha256, came.size, target)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and says when one leads to another host."""

    max_redirections = REDIRECTS

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: object,
        code: int,
        msg: str,
        headers: object,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request for the new address."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise _GoneError(f"it redirects to {new.scheme}://{new.hostname}, which is not as safe")
        if new.hostname != old.hostname:
            self._progress(f"{old.hostname} redirects to {new.hostname}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _authorization(host: str) -> str | None:
    pair = _credentials().get(host)
    return None if pair is None else f"Basic {base64.b64encode(pair.encode()).decode()}"


def _credentials() -> Mapping[str, str]:
    """Return user and password by host. Raises InputError, which does not show them."""
    found = {}
    for word in os.environ.get(CREDENTIALS, "").split():
        host, sign, pair = word.partition("=")
        if not (host and sign and ":" in pair):
            raise InputError(f"{CREDENTIALS} cannot be read", hint=f'{CREDENTIALS}="HOST=USER:PASSWORD …"')
        found[host] = pair
    return found
