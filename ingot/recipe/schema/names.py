"""The types of text, numbers and paths that the keys of a recipe take: one line for each."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ingot.recipe.schema.capabilities import check_capabilities
from ingot.recipe.schema.values import Text, archive_uri, argument, parse_size, target_in_root
from ingot.recipe.syntax.variables import ENVIRONMENT_NAME, VARIABLE_NAME

# What becomes an argument of a program or the kernel.
ArgumentText = Annotated[str, Field(min_length=1), AfterValidator(argument)]
# Names as adduser(8) and systemd accept them; 32 bytes is utmp's limit (useradd(8)).
Name = Annotated[str, Text(r"[a-z_][a-z0-9_-]{0,31}", "a name of lower case letters, digits, - and _", "app")]
# Debian Policy 5.6.1: lower case letters, digits, plus, minus and full stops, two characters at least.
PackageName = Annotated[str, Text(r"[a-z0-9][a-z0-9+.-]+", "the name of a package", "apache2")]
UnitName = Annotated[str, Text(r"[A-Za-z0-9:_.@\\-]{1,255}", "the name of a systemd unit", "apache2")]
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
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9][0-9]*(MiB|GiB|TiB)$", "examples": ["2GiB"]}),
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
SuiteName = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9._/+-]*/?|\./", "the name of a suite", "bookworm")]
ComponentName = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", "the name of a component", "main")]
