"""GitHub's REST API, as far as Ingot uses it: one comment on a pull request, kept up to date.

Docs: https://docs.github.com/rest/issues/comments (a pull request is an issue there).
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingot.errors import IngotError, InputError

API = "https://api.github.com"
VERSION = "2022-11-28"
# Seconds for one answer.
TIMEOUT = 30
# The most that a page holds.
PAGE = 100


@dataclass(frozen=True)
class GitHub:
    """One repository, as one token sees it."""

    repository: str
    token: str
    server: str = API

    def __post_init__(self) -> None:
        """Raise InputError for a repository that is none: it becomes part of a URL."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", self.repository):
            raise InputError(
                f"{self.repository!r} is not the name of a repository", hint="give it as OWNER/NAME"
            )

    @classmethod
    def of(cls, repository: str | None, environ: Mapping[str, str]) -> GitHub:
        """Return the repository with the token and the server that ``environ`` names.

        Raises InputError for what is missing.
        """
        token = environ.get("GITHUB_TOKEN")
        for found, what in ((repository, "--repository"), (token, "GITHUB_TOKEN")):
            if not found:
                raise InputError(f"{what} is missing", hint="`--dry-run` works without it")
        return cls(str(repository), str(token), environ.get("GITHUB_API_URL") or API)

    def call(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return what GitHub answers to a request below the repository.

        Raises IngotError with what it refuses and why.
        """
        request = urllib.request.Request(  # noqa: S310 - the address is the caller's own
            f"{self.server.rstrip('/')}/repos/{self.repository}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "ingot",
                "X-GitHub-Api-Version": VERSION,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise self._explained(error, f"{method} {path.split('?')[0]}") from error
        except (OSError, ValueError) as error:
            raise IngotError(f"{self.server} does not answer: {error}") from error

    def _explained(self, error: urllib.error.HTTPError, what: str) -> IngotError:
        try:
            said = str(json.loads(error.read())["message"])
        except (ValueError, KeyError, TypeError):
            said = str(error.reason)
        hints = {
            401: "GITHUB_TOKEN is no valid token",
            403: "the token needs `pull-requests: write`; a pull request from a fork never has it",
            404: "is the repository's name right, and may the token see it?",
        }
        message = f"GitHub answers {error.code} to {what} of {self.repository}: {said}"
        return IngotError(message, hint=hints.get(error.code))


@dataclass(frozen=True)
class PullRequest:
    """A pull request. ``author``: who writes with the token."""

    github: GitHub
    number: int
    author: str = "github-actions[bot]"

    def comment(self, body: str, marker: str) -> str:
        """Write the comment, in place of the one before if there is one; return its URL.

        The one before is the first of ``author`` that begins with ``marker``: anybody can write the marker,
        and another's comment is never overwritten. Raises IngotError with what GitHub says.
        """
        known = next((found for found in self._comments() if self._is_ours(found, marker)), None)
        if known is None:
            comment = self.github.call("POST", f"issues/{self.number}/comments", {"body": body})
        elif known["body"] == body:
            comment = known
        else:
            comment = self.github.call("PATCH", f"issues/comments/{int(known['id'])}", {"body": body})
        return str(comment["html_url"])

    def _is_ours(self, comment: dict[str, Any], marker: str) -> bool:
        return comment["user"]["login"] == self.author and (comment["body"] or "").startswith(marker)

    def _comments(self) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            found = self.github.call("GET", f"issues/{self.number}/comments?per_page={PAGE}&page={page}")
            yield from found
            if len(found) < PAGE:
                return
            page += 1
