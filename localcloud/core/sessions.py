"""Credentials of sessions: who asked for them, and until when they are good.

Source: STS API reference, GetSessionToken ("permissions", and what a session may not call).
"""

from __future__ import annotations

import hmac
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_LETTERS = string.ascii_uppercase + "234567"
# "You cannot call any STS API except AssumeRole or GetCallerIdentity"; nor any of IAM without MFA.
STS_ACTIONS = frozenset({"AssumeRole", "GetCallerIdentity"})


@dataclass(frozen=True)
class Session:
    """Temporary credentials. ``owner``: the access key of who asked for them, with whose permissions they
    act."""

    access_key: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    owner: str = field(repr=False)
    expires: datetime


@dataclass
class Sessions:
    """The sessions of one cloud, by access key."""

    known: dict[str, Session] = field(default_factory=dict)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def issue(self, owner: str, seconds: int) -> Session:
        """Give out credentials that act as ``owner`` for so many seconds."""
        key = "ASIA" + "".join(secrets.choice(_LETTERS) for _ in range(16))
        expires = self.clock() + timedelta(seconds=seconds)
        session = Session(key, secrets.token_urlsafe(30), secrets.token_urlsafe(180), owner, expires)
        self.known[key] = session
        return session

    def owner_of(self, access_key: str, token: str) -> tuple[str, bool] | None:
        """Return who is behind a session's credentials and whether they have expired; None if they are
        unknown."""
        session = self.known.get(access_key)
        if session is None or not hmac.compare_digest(session.token.encode(), token.encode()):
            return None
        return session.owner, self.clock() >= session.expires
