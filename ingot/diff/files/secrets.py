"""Masks secrets in texts before they are compared, so that no diff shows one.

A mask is a number: the same secret has the same number in both texts, so a change of it shows, and nothing
else of it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ingot.bake.hygiene.contents import KEY_FILES, NAMED_FILES, RULES

# A key whose value is a secret, and the value: in ini files, environment files, YAML, JSON, programs, and
# Apache's own form with a blank. "pass" is also what nginx and Apache do with a request, and a part of other
# words.
_WORDS = (
    r"(?:passw(?:or)?d|passphrase|passcode|secret|token(?!s|i)|api[_.-]?key|access[_-]?key|private[_-]?key"
    r"|encryption[_-]?key|credentials?|signing[_-]?key|pre[_-]?shared[_-]?key|masterauth"
    r"|(?<![a-z])(?:pwd|psk)(?![a-z])|(?<![a-z])auth(?![a-z])"
    r"|(?<!by)(?<!com)(?<!proxy)(?<!proxy_)(?<!cgi_)(?<!grpc_)(?<!memcached_)"
    r"pass(?![a-z]|_(?:max|min|warn)_))"
)
# Names have an end: without the bounds a long text of such words alone would take hours.
_KEY = rf"(?<![\w.-])[\w.-]{{0,60}}{_WORDS}[\w.-]{{0,60}}"
# The key's own quote and bracket: config["SECRET_KEY"], and "\"password\"" within a text.
_END = r"(?:\\?[\"'])?\]?"
_PREFIX = r"(?:[$@]|[bfru]{1,2})?"
# Quotes may span lines. What stands right behind them belongs to the value: 'it''s', "a" + "b", and a shell's
# "a"b. Going back into repetitions could take for ever, so those of one character are possessive and those of
# groups are atomic: Python before 3.11.5 takes too much in a possessive group that gives up halfway.
_QUOTED = (
    rf"{_PREFIX}(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''"
    r"|\"(?:[^\"\\]|\\[\s\S])*\"|'(?:[^'\\]|\\[\s\S])*'|`[^`]*`)"
    r"(?>(?:[ \t]*+(?:[+.\\]\s*+)?(?:\"(?>(?:[^\"\\\n]|\\.)*)\"|'(?>(?:[^'\\\n]|\\.)*)')"
    r"|(?!/>)[^\s,;:.()\[\]{}<>\"'&|\\]++)*)"
)
# Without quotes a value ends with its line, unless a backslash goes on with it: a comment behind a blank, or
# another secret of a query, is none of it.
_TOKEN = rf"(?:\\\n[ \t]*+|[^\s&]|&(?!{_KEY}=))+"
_BARE = rf"(?!#(?:\s|$)){_TOKEN}(?:[^\S\n]+(?!#(?:\s|$)){_TOKEN})*"
_VALUE = re.compile(
    rf"(?im)(?P<head>{_KEY}{_END}[ \t]*(?:=>|:=|[?+]?=|:)[ \t]*(?:\\?\n\s*(?={_PREFIX}[\"'`]))?)"
    rf"(?P<value>{_QUOTED}|\[[^\[\]]*\]|\([^()]*\)|(?!{{[ \t]*$)(?:\{{[^{{}}]*\}}|{_BARE}))"
)
_BLANK = re.compile(
    rf"(?im)^(?P<head>[ \t]*(?:\w+[ \t]+)?{_KEY}[ \t]+)(?P<value>{_QUOTED}|[^\s=:#]\S*)[ \t]*+(?:;["
    r" \t]*+)?(?:(?<=[ \t])#.*)?$"
)
# Options of commands, elements of XML, and keys and values with a comma between them: define('DB_PASSWORD',
# '…').
_OPTION = re.compile(
    rf"(?i)(?P<head>(?<![\w-])--?[\w-]{{0,60}}{_WORDS}[\w-]{{0,60}}[ \t]+)(?P<value>{_QUOTED}|[^\s\"'-]\S*)"
)
_ELEMENT = re.compile(
    rf"(?i)(?P<head><[\w:.-]{{0,60}}{_WORDS}[\w:.-]{{0,60}}(?:\s[^<>]{{0,200}})?>)"
    r"(?P<value><!\[CDATA\[[^<>]*\]\]>|[^<>]+)(?=</)"
)
_COMMA = re.compile(rf"(?i)(?P<head>[\"']{_KEY}[\"']\s*,\s*)(?P<value>{_QUOTED})(?!\s*:)")
# A name and its value beside it: environments of containers, settings in XML.
_NAMED = rf"\b(?:name|key)[\"']?\s*[=:]\s*[\"']?{_KEY}[\"']?"
_PAIR = re.compile(
    rf"(?i)(?P<head>{_NAMED}\s*,?\s*[\"']?value[\"']?[ \t]*[=:][ \t]*)(?P<value>{_QUOTED}|{_BARE})"
)
_NAMED_ELEMENT = re.compile(rf"(?i)(?P<head>{_NAMED}[^<>]{{0,200}}>)(?P<value>[^<>]+)(?=</)")
# SQL, and ipsec.secrets(5)
_WORDED = re.compile(
    r"(?i)(?P<head>(?:\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)|:["
    rf" \t]*(?:psk|xauth|eap))\s+)(?P<value>{_QUOTED})"
)
# YAML below such a key: a block, whose lines are indented further than the key, a list, or a single word.
_ABOVE = rf"(?P<head>(?P<indent>[ \t]*)(?:- )?[\"']?{_KEY}[\"']?:[ \t]*"
_BLOCK = re.compile(
    rf"(?im)^{_ABOVE}(?:[!&]\S+[ \t]+)*[|>][-+0-9]*[ \t]*\n)(?P<value>(?:(?>(?:[ \t]*+\n)*)(?P=indent)["
    r" \t]+\S.*\n?+)+)"
)
_LIST = re.compile(
    rf"(?im)^{_ABOVE}(?:#.*)?\n(?>(?:[ \t]*+\n)*))"
    r"(?P<value>(?P=indent)[ \t]*-[ \t].*\n?+(?:(?>(?:[ \t]*+\n)*)(?P=indent)(?:-[ \t]|[ \t]+\S).*\n?+)*)"
)
_WORD = re.compile(rf"(?im)^{_ABOVE}(?:#.*)?\n(?P=indent)[ \t]+)(?P<value>[^\s:\"'-](?:[^\n:]|:(?!\s))*)$")
_HEADER = re.compile(r"(?i)(?P<head>\b(?:bearer|basic)\s+)(?P<value>[A-Za-z0-9+/=._~-]{12,})")
# Up to the last "@": a password may hold one. With a slash in it, it is told from a port and a path.
_URL = re.compile(r"(?P<head>://[^/\s:@]*:)(?P<value>[^/\s]+|(?!\d{1,5}/)[^\s\"'<>]{1,500})(?=@)")
# crypt(5): $id$…; the yescrypt of shadow(5) has the same form. LDAP's: {SSHA}….
_HASH = re.compile(
    r"(?P<head>^|[\s:\"'=])"
    r"(?P<value>\$[0-9a-z]{1,8}\$[^\s:\"']{8,}|\{(?:S?SHA|CRYPT|PLAIN|MD5)[0-9]*\}[^\s\"']+)",
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
# No secrets. A variable has braces: $ecret may be a password.
_PLAIN = re.compile(
    r"(?i)(?:[!&]\S+["
    r" \t]+)*[|>][-+0-9]*|(?:\"\"|''|true|false|yes|no|on|off|null|none|\d{1,4}"
    r"|(?P<quote>[\"']?)\$\{\w+\}(?P=quote)|%\(\w+\)s|<[^<>!\n]*>)[,;)}\]]*"
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
        for pattern in (_URL, _HASH, _JWT, _HEADER, _WORDED):
            text = pattern.sub(self._replace, text)
        # In these files such names are keywords.
        if self._path.startswith(_KEYWORDS):
            return text
        for pattern in (_BLOCK, _LIST, _WORD):
            text = pattern.sub(self._replace, text)
        for pattern in (_PAIR, _NAMED_ELEMENT, _VALUE, _COMMA, _OPTION, _ELEMENT, _BLANK):
            text = pattern.sub(self._replace_lines, text)
        return text

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

    def _replace_lines(self, match: re.Match[str]) -> str:
        """Mask a value line by line, so that a quote that is never closed hides no line without a trace."""
        value, head, string = match["value"], match["head"], match.string
        if _PLAIN.fullmatch(value) or _MASKED.fullmatch(value):
            return match[0]
        start = match.start("value")
        line = string.rfind("\n", 0, start) + 1
        # Environment="API_KEY=abc": the last quote is not the value's.
        quoted = value[-1] in "\"'" and value[0] not in "\"'" and string.count(value[-1], line, start) % 2
        secret = value[:-1] if quoted else value
        rest = match[0][len(head) + len(secret) :]
        return head + "\n".join([self._mark(secret)] * (secret.count("\n") + 1)) + rest

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
