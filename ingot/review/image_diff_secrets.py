"""Masks secrets in texts before they are compared, so that no diff shows one.

A mask is a number: the same secret has the same number in both texts, so a change of it shows, and nothing else of it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ingot.bake.hygiene.contents import KEY_FILES, NAMED_FILES, RULES

# A key whose value is a secret, and the value: in ini files, environment files, YAML, JSON, and Apache's own form with a blank.
_WORDS = (
    r"(?:passw(?:or)?d|passphrase|secret|token(?!s|i)|api[_-]?key|access[_-]?key|private[_-]?key|encryption[_-]?key"
    r"|credentials?|signing[_-]?key|(?<![a-z])pwd|(?<![a-z])auth(?![a-z]))"
)
# Names have an end: without the bounds a long text of such words alone would take hours.
_KEY = rf"(?<![\w.-])[\w.-]{{0,60}}{_WORDS}[\w.-]{{0,60}}"
_QUOTED = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
_VALUE = re.compile(
    rf"(?im)(?P<head>{_KEY}[\"']?[ \t]*(?:=>|:=|[=:])[ \t]*)"
    rf"(?P<value>{_QUOTED}|[^\s,;&#\"']+(?:[ \t]+(?![#;])[^\s,;}}]+)*)"
)
_BLANK = re.compile(
    rf"(?im)^(?P<head>[ \t]*(?:\w+[ \t]+)?{_KEY}[ \t]+)(?P<value>{_QUOTED}|[^\s=:]\S*)[ \t]*$"
)
# Options of commands, elements of XML, and keys and values with a comma between them: define('DB_PASSWORD', '…').
_OPTION = re.compile(
    rf"(?i)(?P<head>(?<![\w-])--?[\w-]{{0,60}}{_WORDS}[\w-]{{0,60}}[ \t]+)(?P<value>{_QUOTED}|[^\s\"'-]\S*)"
)
_ELEMENT = re.compile(
    rf"(?i)(?P<head><[\w:.-]{{0,60}}{_WORDS}[\w:.-]{{0,60}}(?:\s[^<>]{{0,200}})?>)(?P<value>[^<>]+)(?=</)"
)
_COMMA = re.compile(rf"(?i)(?P<head>[\"']{_KEY}[\"'][ \t]*,[ \t]*)(?P<value>{_QUOTED})")
_SQL = re.compile(rf"(?i)(?P<head>\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+)(?P<value>{_QUOTED})")
# A block of YAML below such a key: its lines are indented further than the key.
_BLOCK = re.compile(
    rf"(?im)^(?P<head>(?P<indent>[ \t]*)(?:- )?[\"']?{_KEY}[\"']?:[ \t]*[|>][-+0-9]*[ \t]*\n)(?P<value>(?:(?P=indent)[ \t]+\S.*\n?)+)"
)
_HEADER = re.compile(r"(?i)(?P<head>\b(?:bearer|basic)\s+)(?P<value>[A-Za-z0-9+/=._~-]{12,})")
_URL = re.compile(r"(?P<head>://[^/\s:@]*:)(?P<value>[^/\s@]+)(?=@)")
# crypt(5): $id$…; the yescrypt of shadow(5) has the same form. LDAP's: {SSHA}….
_HASH = re.compile(
    r"(?P<head>^|[\s:\"'=])(?P<value>\$[0-9a-z]{1,8}\$[^\s:\"']{8,}|\{(?:S?SHA|CRYPT|PLAIN|MD5)[0-9]*\}[^\s\"']+)",
    re.MULTILINE,
)
_PEM = re.compile(
    r"(?P<head>-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\n?)(?P<value>.*?)(?=-----END |\Z)",
    re.DOTALL,
)
_JWT = re.compile(r"(?P<head>)(?P<value>\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)")
# The second field of these is a password's hash: shadow(5), gshadow(5). Marks such as "*" and "!" are none.
_SHADOW = re.compile(r"(?m)^(?P<head>[^:\n]*:!?)(?P<value>[^:\n!*][^:\n]*)")
# sudoers(5), pam.d(5), nsswitch.conf(5)
_KEYWORDS = ("/etc/sudoers", "/etc/pam.d/", "/etc/nsswitch.conf")
_MASKED = re.compile(r"(?:\w+ )?‹masked \d+›")
_PLAIN = re.compile(
    r"(?i)[|>][-+0-9]*|\"\"|''|true|false|yes|no|on|off|null|none|\d{1,4}|\$\{?\w+\}?|%\(\w+\)s|<.*>"
)


class Mask:
    """Masks the texts of one file; one object for both of its versions."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many secrets were masked."""
        return len(self._numbers)

    def hides_all(self, content: bytes) -> bool:
        """Tell whether the file is there for credentials, so that nothing of it is shown."""
        if KEY_FILES.fullmatch(self._path):
            return True
        return any(path.fullmatch(self._path) and held.search(content) for path, held, _ in NAMED_FILES)

    def __call__(self, text: str) -> str:
        """Return ``text`` with its secrets masked. No line is added or removed but inside of keys."""
        text = _PEM.sub(self._replace, text)
        if self._path.rpartition("/")[2].rstrip("-") in ("shadow", "gshadow"):
            text = _SHADOW.sub(self._replace, text)
        for rule in RULES:
            if rule.word in text.encode("utf-8", "surrogatepass"):
                text = re.sub(rule.pattern.pattern.decode(), self._whole, text)
        for pattern in (_URL, _HASH, _JWT, _HEADER, _SQL, *self._by_key()):
            text = pattern.sub(self._replace, text)
        return text

    def _by_key(self) -> tuple[re.Pattern[str], ...]:
        """Return the patterns that go by a key's name, but for files in which such names are keywords."""
        return () if self._path.startswith(_KEYWORDS) else (_BLOCK, _VALUE, _COMMA, _OPTION, _ELEMENT, _BLANK)

    def _whole(self, match: re.Match[str]) -> str:
        return self._mark(match[0])

    def _replace(self, match: re.Match[str]) -> str:
        value = match["value"]
        if _PLAIN.fullmatch(value) or _MASKED.fullmatch(value):
            return match[0]
        return (
            match["head"]
            + self._mark(value)
            + ("\n" if value.endswith("\n") else "")
            + match[0][len(match["head"]) + len(value) :]
        )

    def _mark(self, secret: str) -> str:
        number = self._numbers.setdefault(secret, len(self._numbers) + 1)
        return f"‹masked {number}›"


def masked(mask: Mask, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with all of its texts masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: masked(mask, item) for key, item in value.items()}
    return [masked(mask, item) for item in value] if isinstance(value, list | tuple) else value
