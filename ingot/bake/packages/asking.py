"""Asking a server for a file: again where that may help, and not before the time that the server asks for."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
from email.utils import parsedate_to_datetime
from typing import Callable, NamedTuple, Optional, TypeVar, Union

from ingot.retry import LONGEST_WAIT, Backoff, pause, wall

T = TypeVar("T")

TIMEOUT = 30.0  # seconds without a byte, as apt's Acquire::http::Timeout
# Why a file cannot be had: the server has it no more, nothing answers there, it answers that it cannot now,
# or it answers something else.
GONE, SILENT, BUSY, WRONG = "gone", "silent", "busy", "wrong"


class FetchFailure(NamedTuple):
    """A file that cannot be fetched: what is to be said of it, and which kind of failure it is.

    ``exhausted``: the server was asked as often as is worth it.
    """

    said: str
    kind: str = WRONG
    exhausted: bool = False


def ask(
    once: Callable[[], T], backoff: Backoff, stop: Optional[threading.Event] = None
) -> Union[T, FetchFailure]:
    """Return what ``once`` returns, which asks a server; a FetchFailure when it gives nothing.

    Failures that may pass are tried again; ``stop`` ends the pauses between them. Whatever ``once`` raises
    that is no failure of the server or of the way to it ends the tries.
    """
    failure, asked = FetchFailure(""), 0.0
    for failures in range(backoff.attempts):
        pause(max(backoff.limit(failures), asked), stop)
        asked = 0.0
        try:
            return once()
        except urllib.error.HTTPError as error:
            failure = FetchFailure(f"HTTP status {error.code} {error.reason}", _kind(error.code))
            asked = _asked_for(error.headers.get("Retry-After", ""))
            if failure.kind != BUSY:
                return failure
            if asked > LONGEST_WAIT:
                return failure._replace(said=f"{failure.said}: it asks to wait {asked:.0f} s")
        except urllib.error.URLError as error:
            gone = isinstance(error.reason, FileNotFoundError)  # of file://
            failure = FetchFailure(str(error.reason), GONE if gone else SILENT)
        except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
            failure = FetchFailure(str(error) or type(error).__name__, BUSY)
    return failure._replace(exhausted=True)


def _kind(status: int) -> str:
    if status in (404, 410):
        return GONE
    return BUSY if status >= 500 or status == 429 else WRONG


def _asked_for(text: str) -> float:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); 0 without one."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall())
    except (TypeError, ValueError):
        return 0.0
