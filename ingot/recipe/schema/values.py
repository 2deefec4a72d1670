"""The types of text, numbers and paths that the keys of a recipe take, and what errors say of them."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from ingot.quantities import MIB, SIZE_PATTERN, TIB, meant_size, parse_size
from ingot.recipe.schema.capabilities import check_capabilities
from ingot.recipe.syntax.explain import described, wrong
from ingot.recipe.syntax.variables import ENVIRONMENT_NAME, VARIABLE_NAME

T = TypeVar("T")
# Linux's limits, in bytes: PATH_MAX without its zero byte, NAME_MAX.
MAX_PATH, MAX_NAME = 4095, 255
# A superblock of ext4 has 16 bits for the number of its block group, of which each has 128 MiB.
_SMALLEST, _LARGEST = MIB, 8 * TIB
# What the kernel or systemd mounts over at boot, by all its names in an image: a file there would never be
# seen.
_VOLATILE = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/lock")  # noqa: S108 - named, not used


@dataclass(frozen=True)
class Text:
    """A rule for text: a regular expression that the whole text matches, and what an error says."""

    pattern: str
    expected: str
    example: str

    def check(self, value: str) -> str:
        """Return the text; raise when it does not match."""
        if re.fullmatch(self.pattern, value) is None:
            raise wrong(f"text {_short(value)}", f"{self.expected}, such as {self.example}")
        return value

    def __get_pydantic_core_schema__(
        self, source: type, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.pattern})$", "examples": [self.example]}


def _short(value: str) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def size_in_bytes(value: object) -> int:
    """Return a size such as ``2GiB`` in bytes; raise when it is not one, or too large."""
    text = value if isinstance(value, str) else ""
    size = parse_size(text)
    if size is not None and _SMALLEST <= size <= _LARGEST:
        return size
    meant = meant_size(text) if size is None else None
    hint = None if meant is None else f"did you mean {meant}?"
    found = described(value) if isinstance(value, dict | tuple) else f"size {value!r}"
    raise wrong(found, "a whole number of MiB, GiB or TiB, at most 8TiB, such as 2GiB", hint)


def target_in_root(value: str) -> str:
    """Return an absolute path below ``/`` in its shortest spelling; raise when it is relative or escapes."""
    if ".." in value.split("/"):
        raise wrong(f"{value!r}, which climbs with '..'", "an absolute path that stays in the image's root")
    if not value.startswith("/"):
        raise wrong(f"{value!r}, a relative path", "an absolute path in the image", f"did you mean /{value}?")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise wrong(f"{value!r}, with a control character", "a printable path")
    path = posixpath.normpath("/" + value.lstrip("/"))
    if len(path.encode()) > MAX_PATH or any(len(part.encode()) > MAX_NAME for part in path.split("/")):
        raise wrong(
            f"a path of {len(path.encode())} bytes", f"at most {MAX_PATH}, and {MAX_NAME} for each name in it"
        )
    if path == "/":
        raise wrong("'/', the root itself", "a path below it")
    if is_volatile(path):
        raise wrong(
            f"{value!r}",
            "a path that is kept: /dev, /proc, /run (also as /var/run and /var/lock), /sys and /tmp are "
            "recreated at every boot",
        )
    return path


# What a clone runs and how it is configured, as a whole: `ingot verify fleet` holds it.
_HELD = (
    "/bin",
    "/boot",
    "/etc",
    "/lib",
    "/lib64",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
)


def state_in_root(value: str) -> str:
    """Return the path of what a clone may change while it runs.

    Raise for the directories that hold its programs and their configuration.
    """
    path = target_in_root(value)
    if path in _HELD:
        raise wrong(
            f"{value!r}, which holds programs or configuration",
            "the directory of a service's own data, such as /srv/uploads",
        )
    return path


def is_volatile(path: str) -> bool:
    """Tell whether what is at ``path`` is recreated at each boot."""
    return any(path == top or path.startswith(top + "/") for top in _VOLATILE)


def argument(value: str) -> str:
    """Return a text that can be an argument of a program or the kernel.

    Raise for a zero byte, at which it would end.
    """
    if "\0" in value:
        raise wrong(f"text {_short(value)}", "text without a zero byte")
    return value


def archive_uri(value: str) -> str:
    """Return the address of an apt archive without a slash at the end.

    Raise when it is none, or holds a password.
    """
    parts = urlsplit(value)
    if (
        parts.scheme not in ("http", "https", "file")
        or (parts.scheme != "file" and not parts.hostname)
        or any(character.isspace() or character in "[]?#" for character in value)
    ):
        raise wrong(f"{value!r}", "the address of an archive: http://…, https://… or file:///…")
    if parts.username or parts.password:
        raise wrong("an address with a user or password", "one without: a recipe is read by many")
    return value.rstrip("/")


def artifact_url(value: str) -> str:
    """Return the address of an artifact; raise when it is none, or holds a password."""
    parts = urlsplit(value)
    known = parts.scheme in ("http", "https", "s3") and parts.hostname and parts.path.strip("/")
    if not known or any(not "!" <= character <= "~" for character in value):
        raise wrong(f"{_short(value)}", "the address of a file: https://…, http://… or s3://BUCKET/KEY")
    if parts.username or parts.password:
        hint = "INGOT_CREDENTIALS has them: docs/recipe.md, Artifacts"
        raise wrong("an address with a user or password", "one without: a recipe is read by many", hint)
    return value


def step_from_text(value: object) -> object:
    """Let a step be a plain command: ``a2ensite site`` is ``{run: a2ensite site}``."""
    return {"run": value} if isinstance(value, str) else value


def exactly_one(choices: tuple[str, ...]) -> object:
    """Return a validator which holds that exactly one of the keys ``choices`` is given."""

    def check(self: T) -> T:
        given = [key for key in choices if getattr(self, key) is not None]
        if len(given) != 1:
            found = "none of them" if not given else " and ".join(given) + " together"
            raise wrong(found, f"exactly one of the keys {', '.join(choices)}")
        return self

    return model_validator(mode="after")(check)


def needs(key: str, other: str) -> object:
    """Return a validator which holds that ``other`` is given where ``key`` is."""

    def check(self: T) -> T:
        if getattr(self, key) is not None and getattr(self, other) is None:
            raise wrong(f"{key} without {other}", f"the key {other}, too")
        return self

    return model_validator(mode="after")(check)


# What becomes an argument of a program or the kernel.
ArgumentText = Annotated[str, Field(min_length=1), AfterValidator(argument)]
# Names as adduser(8) and systemd accept them; 32 bytes is utmp's limit (useradd(8)).
Name = Annotated[str, Text(r"[a-z_][a-z0-9_-]{0,31}", "a name of lower case letters, digits, - and _", "app")]
# Debian Policy 5.6.1: lower case letters, digits, plus, minus and full stops, two characters at least.
NAME_OF_PACKAGE = r"[a-z0-9][a-z0-9+.-]+"
PackageName = Annotated[str, Text(NAME_OF_PACKAGE, "the name of a package", "apache2")]
# Debian Policy 5.6.12: an epoch, the upstream version, the Debian revision. No slash, no blank.
VERSION_OF_PACKAGE = r"([0-9]{1,10}:)?[A-Za-z0-9][A-Za-z0-9.+~:-]{0,250}"
PackageVersion = Annotated[str, Text(VERSION_OF_PACKAGE, "a Debian version", "1:2.4-1")]
QuestionName = Annotated[
    str,
    Text(
        r"[A-Za-z0-9][A-Za-z0-9+.-]*(/[A-Za-z0-9_+.:-]+)+", "a debconf question", "postfix/main_mailer_type"
    ),
]


def _answer(value: str | bool) -> str | bool:
    if isinstance(value, str) and not value.isprintable():
        raise wrong(f"text {_short(value)}", "text in one line, such as Internet Site")
    return value


AnswerValue = Annotated[str | bool, AfterValidator(_answer)]
UnitName = Annotated[str, Text(r"[A-Za-z0-9:_.@\\-]{1,255}", "the name of a systemd unit", "apache2")]
SecretName = Annotated[
    str,
    Text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "a name of letters, digits, ., - and _", "database-password"),
]
OctalMode = Annotated[str, Text(r"[0-7]{4}", "four octal digits", '"0644"')]
HttpPath = Annotated[str, Text(r"/[!-~]*", "a path that begins with / and has no blanks", "/healthz")]
KernelParameters = Annotated[str, Text(r"[!-~ ]*", "kernel parameters in one line", "quiet")]
TimeZone = Annotated[
    str, Text(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", "a time zone of tzdata", "Europe/Berlin")
]
Locale = Annotated[str, Text(r"[A-Za-z0-9_.@-]+", "a locale", "C.UTF-8")]
HostName = Annotated[
    str, Text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a host name without dots", "from-metadata")
]
StageName = Annotated[
    str, Text(r"[a-z][a-z0-9-]{0,39}", "a name of lower case letters, digits and -", "build")
]
RecipeName = Annotated[
    str, Text(r"[a-z][a-z0-9-]{0,39}", "a name of lower case letters, digits and -", "web")
]
SsmName = Annotated[str, Text(r"/[A-Za-z0-9_.\-/]+", "the full name of an SSM parameter", "/aws/service/…")]
AmiId = Annotated[str, Text(r"ami-[0-9a-f]{8,17}", "the id of an AMI", "ami-0123456789abcdef0")]
# DescribeImages takes account ids and these aliases as owners.
AmiOwner = Annotated[
    str,
    Text(
        r"[0-9]{12}|self|amazon|aws-marketplace",
        "an account id of 12 digits, in quotes, or self, amazon, aws-marketplace",
        "amazon",
    ),
]
AmiName = Annotated[
    str, Text(r"[ -~]{3,128}", "the name of an AMI, * and ? allowed", "al2023-ami-2023.*-x86_64")
]
Comment = Annotated[str, Text(r"[^:\n,]*", "one line without colon and comma", "The app")]
# Debian Policy 9.2.2: 0-99 are allocated by Debian itself, 65534 is nobody, 65535 is invalid.
Id = Annotated[int, Field(ge=100, le=65533)]
Target = Annotated[str, AfterValidator(target_in_root), WithJsonSchema({"type": "string", "pattern": "^/.+"})]
State = Annotated[str, AfterValidator(state_in_root), WithJsonSchema({"type": "string", "pattern": "^/.+"})]
Size = Annotated[
    int,
    BeforeValidator(size_in_bytes),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["2GiB"]}),
]
Glob = Annotated[
    str, Text(r"/[^\x00-\x1f\x7f]+", "an absolute path, * and ? allowed", "/etc/ssl/private/*.key")
]
Reason = Annotated[str, Text(r"[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*", "why, in one line", "a key for tests")]
VariableName = Annotated[str, Text(VARIABLE_NAME, "a name of letters, digits and _", "greeting")]
EnvironmentName = Annotated[str, Text(ENVIRONMENT_NAME, "a name of lower case letters, digits and -", "prod")]
Capabilities = Annotated[
    str,
    AfterValidator(check_capabilities),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^cap_[a-z_,]+[+=][eip]+( cap_[a-z_,]+[+=][eip]+)*$",
            "examples": ["cap_net_bind_service+ep"],
        }
    ),
]
# xattr(7): a name has at most 255 bytes; of its classes only this one is the recipe's to use.
XattrName = Annotated[
    str, Text(r"user\.(?!overlay\.)[!-~]{1,250}", "a name that begins with user.", "user.origin")
]
# deb(5) names of archives as a lock says them; "debian" and "ubuntu" are the distributions' own.
ArchiveName = Annotated[
    str, Text(r"[a-z0-9][a-z0-9.-]{0,63}", "a name of lower case letters, digits, - and .", "example")
]
ArchiveUri = Annotated[
    str,
    AfterValidator(archive_uri),
    WithJsonSchema(
        {"type": "string", "pattern": "^(https?|file)://", "examples": ["https://deb.example.com/"]}
    ),
]
ArtifactUrl = Annotated[
    str,
    AfterValidator(artifact_url),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(https?|s3)://",
            "examples": ["https://downloads.example.com/tool-1.2.tar.gz"],
        }
    ),
]
# validate-npm-package-name, "Naming Rules".
NpmName = Annotated[
    str, Text(r"(@[a-z0-9~][a-z0-9._~-]*/)?[A-Za-z0-9~][A-Za-z0-9._~-]{0,213}", "an npm package", "express")
]
Digest = Annotated[str, Text(r"[0-9a-f]{64}", "a SHA-256 of 64 hex digits", "ab…")]
SuiteName = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9._/+-]*/?|\./", "the name of a suite", "bookworm")]
ComponentName = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", "the name of a component", "main")]
