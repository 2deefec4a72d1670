"""What a recipe can say: the keys of ``recipe.yaml``, their types, defaults and rules.

Each key is declared once, here; the JSON Schema, the messages of ``ingot check`` and the canonical form that is
digested follow from it. The types of single values are in ``names.py``, rules that need other keys or the disk are in ``references.py`` and ``files.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from ingot.errors import InputError, Problem
from ingot.recipe.document import Document
from ingot.recipe.names import (
    Comment,
    EnvironmentName,
    Glob,
    HostName,
    HttpPath,
    Id,
    KernelParameters,
    Locale,
    Name,
    OctalMode,
    PackageName,
    Reason,
    RecipeName,
    Size,
    SsmName,
    Target,
    TimeZone,
    UnitName,
    VariableName,
)
from ingot.recipe.values import exactly_one, step_from_text
from ingot.recipe.variables import Scalar, Variables


class Part(BaseModel):
    """A mapping of the recipe: immutable, exact types, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class AmiSource(Part):
    """Where the id of a base AMI comes from."""

    ssm: SsmName
    """The public or private SSM parameter that names the AMI."""


class Base(Part):
    """What the image is made of: exactly one of a Debian suite, an Ubuntu series, an AMI."""

    debian: Literal["bookworm", "trixie"] | None = None
    """A suite of Debian, baked from scratch."""
    ubuntu: Literal["noble"] | None = None
    """A series of Ubuntu, baked from scratch."""
    ami: AmiSource | None = None
    """A base AMI, baked on a builder instance."""

    choices: ClassVar[tuple[str, ...]] = ("debian", "ubuntu", "ami")
    _one = exactly_one(choices)


class RootVolume(Part):
    """The root volume."""

    size: Size
    """Size of the disk image and smallest size of the volume, such as 2GiB."""
    device: Literal["ebs"] = "ebs"
    """Kind of volume."""


class Group(Part):
    """A group that the image has."""

    name: Name
    gid: Id


class User(Part):
    """A user that the image has. It has no password and no key."""

    name: Name
    uid: Id
    group: Name
    """Primary group."""
    groups: tuple[Name, ...] = ()
    """Further groups."""
    shell: Target = "/usr/sbin/nologin"
    home: Target = "/nonexistent"
    """Home directory; it is made, with mode 0700, unless it is /nonexistent or there already."""
    comment: Comment = ""


class App(Part):
    """The app: a directory beside the recipe that is copied whole."""

    source: str
    """Directory, relative to the recipe's."""
    target: Target
    """Directory in the image."""
    owner: Name = "root"
    group: Name = "root"


class FileEntry(Part):
    """A file, directory or symbolic link of the image: exactly one of source, content, link, directory."""

    source: str | None = None
    """File or directory, relative to the recipe's directory."""
    content: str | None = None
    """The text of the file itself."""
    link: Annotated[str, Field(min_length=1)] | None = None
    """What the symbolic link at `target` points to."""
    directory: Literal[True] | None = None
    """True: `target` is a directory."""
    template: bool = False
    """Put the values of the recipe's variables into the source's text."""
    target: Target
    """Absolute path in the image."""
    owner: Name = "root"
    group: Name = "root"
    mode: OctalMode | None = None
    """Four octal digits in quotes. Default: 0644, or 0755 for a directory and a source that is executable."""

    choices: ClassVar[tuple[str, ...]] = ("source", "content", "link", "directory")
    _one = exactly_one(choices)


class Services(Part):
    """What systemd starts."""

    enable: tuple[UnitName, ...] = ()
    disable: tuple[UnitName, ...] = ()
    mask: tuple[UnitName, ...] = ()


class Step(Part):
    """A shell command that runs in the image, after files and app are in place."""

    run: Annotated[str, Field(min_length=1)]
    timeout: Annotated[int, Field(ge=1, le=86400)] = 600
    """Seconds."""


class HttpTest(Part):
    """An HTTP request to the clone, and the answer that is expected."""

    path: HttpPath
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: str | None = None
    """Text that the body holds."""
    port: Annotated[int, Field(ge=1, le=65535)] = 80


class Test(Part):
    """A test that a clone must pass before the AMI is registered: exactly one of http, service, command."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    http: HttpTest | None = None
    service: UnitName | None = None
    """A unit that must be active."""
    command: Annotated[str, Field(min_length=1)] | None = None
    """A shell command that must exit with 0 on the clone."""

    choices: ClassVar[tuple[str, ...]] = ("http", "service", "command")
    _one = exactly_one(choices)
    __test__ = False  # pytest: not a test class


class Drop(Part):
    """What is left out of the image although packages bring it."""

    docs: bool = True
    """/usr/share/doc (copyright files stay), info pages."""
    man: bool = True
    """/usr/share/man."""
    locales: bool = True
    """/usr/share/locale and translations."""


# The names of findings of the hygiene gate (ingot.bake.hygiene; a test compares them: recipes do not import the engine).
FindingName = Literal[
    "authorized-key", "broken-link", "builder-trace", "cache", "credential", "history", "host-key", "lease", "log",
    "machine-id", "password-hash", "private-key", "random-seed", "setuid", "unit", "world-writable",
]  # fmt: skip


class Allowance(Part):
    """A finding of the hygiene gate that belongs in the image."""

    finding: FindingName
    path: Glob
    """Where: a path of the image; * stands for any text, slashes as well."""
    reason: Reason
    """Why it belongs there. The manifest records it."""


class Hygiene(Part):
    """What the hygiene gate lets pass."""

    allow: tuple[Allowance, ...] = ()


class Recipe(Part):
    """A golden image as code."""

    name: RecipeName
    """Name of the recipe: that of its directory."""
    base: Base
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    root_volume: RootVolume
    packages: tuple[PackageName, ...] = ()
    groups: tuple[Group, ...] = ()
    users: tuple[User, ...] = ()
    app: App | None = None
    files: tuple[FileEntry, ...] = ()
    services: Services = Services()
    steps: tuple[
        Annotated[Step, BeforeValidator(step_from_text, json_schema_input_type=str | Step)], ...
    ] = ()
    tests: tuple[Test, ...] = ()
    kernel_command_line: KernelParameters = ""
    """Added to the kernel parameters that EC2 needs."""
    timezone: TimeZone = "Etc/UTC"
    locale: Locale = "C.UTF-8"
    hostname: HostName = "from-metadata"
    """A fixed host name, or from-metadata: the one that EC2 gives each clone."""
    drop: Drop = Drop()
    hygiene: Hygiene = Hygiene()
    variables: dict[VariableName, Scalar | None] = Field(default={}, exclude=True)
    """Values that the recipe and its template files use as ${name}; without a value one must be set by the environment."""
    environments: dict[EnvironmentName, dict[VariableName, Scalar | None] | None] = Field(
        default={}, exclude=True
    )
    """Environments by name, each with the values that are its own."""

    _document: Document | None = PrivateAttr(default=None)
    _variables: Variables = PrivateAttr(default=Variables())

    @property
    def document(self) -> Document:
        """The text that the recipe was read from, with the place of each value."""
        if self._document is None:
            raise InputError(f"the recipe {self.name} was not read from a file")
        return self._document

    @property
    def directory(self) -> Path:
        """The directory that holds recipe.yaml; all sources are relative to it."""
        return self.document.path.parent

    @property
    def lock_path(self) -> Path:
        """Where the recipe's lock is: the environment's own where it has one."""
        own = self.own_lock_path
        return own if own.is_file() else self.directory / "recipe.lock"

    @property
    def own_lock_path(self) -> Path:
        """Where the lock of this environment alone is, if there is one."""
        environment = self._variables.environment
        return self.directory / ("recipe.lock" if environment is None else f"recipe.{environment}.lock")

    @property
    def lock_command(self) -> str:
        """The command that makes the lock."""
        environment = self._variables.environment
        own = environment is not None and self.own_lock_path.is_file()
        return f"ingot lock {self.name}" + (f" --env {environment}" if own else "")

    @property
    def values(self) -> Variables:
        """The variables, with the values of the environment that the recipe was read for."""
        return self._variables

    def problem(
        self, at: tuple[str | int, ...], found: str, expected: str, hint: str | None = None
    ) -> Problem:
        """Return a Problem at the value ``at``, such as ``("users", 0, "uid")``."""
        return self.document.problem(at, found, expected, hint)

    def canonical(self) -> dict[str, Any]:
        """Return what the recipe says as plain data: defaults left out, sets sorted, no trace of its spelling."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        if "packages" in data:
            data["packages"] = sorted(data["packages"])
        return data
