"""Private keys and credentials, by the names of files and by patterns in their contents."""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple, Pattern, Tuple

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.view import View
from ingot.bake.tree.tree import Entry
from ingot.bake.tree.volatile import BASELINE

# Keys and settings are small, and reading is what takes the time: a larger file is not searched.
LARGEST = 1 << 20
# A text has no zero byte at its beginning; git and grep decide so, too.
_HEAD = 1024


class ContentRule(NamedTuple):
    """What a credential looks like.

    ``word`` is in every text that ``pattern`` matches: looking for it is much faster.
    """

    name: str
    word: bytes
    pattern: Pattern[bytes]
    reason: str


def _rule(name: str, word: bytes, pattern: bytes, reason: str) -> ContentRule:
    return ContentRule(name, word, re.compile(pattern), reason)


# The armour with data behind it: programs that only look for the armour do not match, nor do certificates and
# public keys. In JSON, such as a service account of Google's, lines end with a backslash and n.
_PEM = (
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\n|\\r|\s)+"
    rb"(?:[A-Za-z-]+: [^\n]*\n\s*)*(?:\\n|\s)*[A-Za-z0-9+/=]{16}"
)
# As variables of the environment, settings, JSON and AWS's own answers name it; a quote and a bracket may
# follow the name.
_AWS_SECRET_NAMES = (b"secret_access_key", b"SECRET_ACCESS_KEY", b"ecretAccessKey")
_AWS_SECRET = (
    rb"(?i:secret_?access_?key)[\"']?\]?\s*[=:,]>?\s*[\"']?"
    rb"[A-Za-z0-9/+]{40}(?<!EXAMPLEKEY)(?![A-Za-z0-9/+=])"
)
# The forms are those that the issuers document, for their own secret scanning: AWS ("IAM identifiers", unique
# ids), GitHub ("About authentication", token formats), GitLab ("Token overview"), Slack, npm, PyPI, Stripe.
# AWS's documents end examples with EXAMPLE.
RULES: Tuple[ContentRule, ...] = (
    _rule("private-key", b"PRIVATE KEY", _PEM, "a private key (PEM)"),
    _rule("private-key", b"PuTTY-User-Key", rb"PuTTY-User-Key-File-[123]: \S", "a private key (PuTTY)"),
    _rule("private-key", b"AGE-SECRET-KEY-1", rb"AGE-SECRET-KEY-1[0-9A-Z]{40}", "a private key (age)"),
    _rule(
        "credential",
        b"AKIA",
        rb"(?<![A-Za-z0-9/+])AKIA[A-Z0-9]{16}(?<!EXAMPLE)(?![A-Za-z0-9/+=])",
        "an AWS access key",
    ),
    _rule(
        "credential",
        b"ASIA",
        rb"(?<![A-Za-z0-9/+])ASIA[A-Z0-9]{16}(?<!EXAMPLE)(?![A-Za-z0-9/+=])",
        "an AWS session's key",
    ),
    *(_rule("credential", word, _AWS_SECRET, "an AWS secret key") for word in _AWS_SECRET_NAMES),
    _rule("credential", b"github_pat_", rb"\bgithub_pat_[A-Za-z0-9_]{40}", "a GitHub token"),
    *(
        _rule("credential", kind, rb"\b" + kind + rb"[A-Za-z0-9]{36}", "a GitHub token")
        for kind in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
    ),
    _rule("credential", b"glpat-", rb"\bglpat-[A-Za-z0-9_-]{20}", "a GitLab token"),
    _rule("credential", b"xox", rb"\bxox[abprs]-[0-9]{8,}-[0-9A-Za-z-]{10}", "a Slack token"),
    _rule("credential", b"npm_", rb"\bnpm_[A-Za-z0-9]{36}\b", "an npm token"),
    _rule("credential", b"pypi-AgE", rb"\bpypi-AgE[A-Za-z0-9_-]{50}", "a PyPI token"),
    _rule("credential", b"k_live_", rb"\b[rs]k_live_[0-9A-Za-z]{20}", "a Stripe key"),
)
USER_IN_URL = rb"://[^/\s:@]+:[^/\s:@]+@"
# Files that are there for credentials: (path, content, what it is).
NAMED_FILES: Tuple[Tuple[Pattern[str], Pattern[bytes], str], ...] = tuple(
    (re.compile(path), re.compile(content, re.MULTILINE), what)
    for path, content, what in (
        (r".*/[._]netrc", rb"\bpassword\s+\S", "passwords for hosts"),
        (r".*/\.pgpass", rb"^[^#\n]+:[^#\n]+", "passwords of PostgreSQL"),
        (r".*/\.my\.cnf|/etc/mysql/debian\.cnf", rb"^\s*password\s*=\s*\S", "a password of MySQL"),
        (r".*/\.git-credentials|.*/\.git/config", USER_IN_URL, "a password of git"),
        (r".*/\.?npmrc", rb"_(authToken|password|auth)\s*=\s*(?!\$)\S", "a token of npm"),
        (r".*/\.pypirc", rb"^\s*password\s*[=:]\s*\S", "a password of PyPI"),
        (r".*/pip\.conf", USER_IN_URL, "a password in an address"),
        (r"/etc/apt/.*", USER_IN_URL + rb"|^\s*(machine\s.*)?\bpassword\s+\S", "a password of an archive"),
        (
            r".*/\.docker/config\.json|.*/\.dockercfg|.*/containers/auth\.json",
            rb'"auth"\s*:\s*"[^"]{4}',
            "a password of a registry",
        ),
        (r".*/\.aws/credentials", rb"^\s*aws_secret_access_key\s*=\s*\S", "an AWS secret key"),
        (r".*/\.kube/config", rb"^\s*-?\s*(client-key-data|token|password):\s*\S", "access to a cluster"),
        (r".*/\.config/gh/hosts\.yml", rb"oauth_token:\s*\S", "a GitHub token"),
        (r".*/\.vault-token", rb"\S", "a token of Vault"),
    )
)
# Key stores that are no text.
KEY_FILES = re.compile(r".*\.(p12|pfx|ppk)|.*/private-keys-v1\.d/[^/]+\.key")


def check(view: View) -> Iterator[Finding]:
    """Yield the files that hold private keys or credentials, a finding for each kind; and
    texts with a word of the builder.

    What a package brought unchanged is public: example keys of packages are no findings.
    """
    traces = tuple(
        (word, re.compile(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])"))
        for word in view.traces
        if word
    )
    for entry in view.unproven_files("contents"):
        if KEY_FILES.fullmatch(entry.path):
            if not view.is_packaged(entry.path, view.read(entry.path)):
                yield Finding("private-key", entry.path, "a file for private keys")
            continue
        if not _is_plausible(view, entry):
            continue
        content = view.read(entry.path)
        if not is_text(content):
            continue
        found = [*search(entry.path, content), *_search_traces(entry, content, traces)]
        if found and not view.is_packaged(entry.path, content):
            yield from found
    yield from _links(view)


def _links(view: View) -> Iterator[Finding]:
    """Yield the links by which a file is there under a name that is for credentials."""
    for entry in view.unproven_links("contents", is_watched):
        content = view.read(entry.path)
        if view.is_packaged(view.resolve(entry.path) or entry.path, content):
            continue
        if KEY_FILES.fullmatch(entry.path):
            yield Finding("private-key", entry.path, "a file for private keys")
        yield from _search_named(entry.path, content)


def is_text(content: bytes) -> bool:
    """Tell whether a file's content is searched: of no other the patterns mean anything."""
    return b"\0" not in content[:_HEAD]


def is_watched(path: str) -> bool:
    """Tell whether a file of this name is for keys or credentials."""
    return KEY_FILES.fullmatch(path) is not None or any(named.fullmatch(path) for named, _, _ in NAMED_FILES)


def _is_plausible(view: View, entry: Entry) -> bool:
    return (
        entry.size <= LARGEST
        # Names and digests of the image's files alone.
        and not entry.path.startswith((f"{BASELINE}/", "/var/lib/dpkg/info/"))
        and not view.is_untouched(entry.path)
    )


def search(path: str, content: bytes) -> Iterator[Finding]:
    """Yield what of keys and credentials is in a text that has this path in the image."""
    for rule in RULES:
        if rule.word in content and rule.pattern.search(content):
            yield Finding(rule.name, path, f"it holds {rule.reason}")
    yield from _search_named(path, content)


def _search_named(path: str, content: bytes) -> Iterator[Finding]:
    for named, pattern, what in NAMED_FILES:
        if named.fullmatch(path) and pattern.search(content):
            yield Finding("credential", path, f"it holds {what}")


def _search_traces(
    entry: Entry, content: bytes, traces: "Tuple[Tuple[str, Pattern[bytes]], ...]"
) -> Iterator[Finding]:
    for word, pattern in traces:
        if word.encode() in content and pattern.search(content):
            yield Finding("builder-trace", entry.path, f"it holds {word!r}, a name of the builder")
