"""Keeps one comment on a pull request up to date, by GitHub's REST API.

Docs: https://docs.github.com/rest/issues/comments (a pull request is an issue there).
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
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
class PullRequest:
    """A pull request of a repository, as one token sees it. ``author``: who writes with that token."""

    repository: str
    number: int
    token: str
    api: str = API
    author: str = "github-actions[bot]"

    def __post_init__(self) -> None:
        """Raise InputError for a repository that is none: it becomes part of a URL."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", self.repository):
            raise InputError(f"the repository {self.repository!r}; expected OWNER/NAME")

    def comment(self, body: str, marker: str) -> str:
        """Write the comment, in place of the one before if there is one; return its URL.

        The one before is the first of ``author`` that begins with ``marker``: anybody can write the marker, and another's comment is never
        overwritten. Raises IngotError with what GitHub says.
        """
        known = next((found for found in self._comments() if self._is_ours(found, marker)), None)
        if known is None:
            made = self._call("POST", f"issues/{self.number}/comments", {"body": body})
        elif known["body"] == body:
            made = known
        else:
            made = self._call("PATCH", f"issues/comments/{int(known['id'])}", {"body": body})
        return str(made["html_url"])

    def _is_ours(self, comment: dict[str, Any], marker: str) -> bool:
        return comment["user"]["login"] == self.author and (comment["body"] or "").startswith(marker)

    def _comments(self) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            found = self._call("GET", f"issues/{self.number}/comments?per_page={PAGE}&page={page}")
            yield from found
            if len(found) < PAGE:
                return
            page += 1

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(  # noqa: S310 - the address is the caller's own
            f"{self.api.rstrip('/')}/repos/{self.repository}/{path}",
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
            raise self._explained(error, method) from error
        except (OSError, ValueError) as error:
            raise IngotError(f"{self.api} does not answer: {error}") from error

    def _explained(self, error: urllib.error.HTTPError, method: str) -> IngotError:
        try:
            said = str(json.loads(error.read())["message"])
        except (ValueError, KeyError, TypeError):
            said = error.reason
        what = f"GitHub answers {error.code} to {method} for pull request {self.number} of {self.repository}: {said}"
        hints = {
            401: "GITHUB_TOKEN is no valid token",
            403: "the token needs `pull-requests: write`; a pull request from a fork never has it",
            404: "is the repository's name right, and may the token see it?",
        }
        return IngotError(what, hint=hints.get(error.code))
