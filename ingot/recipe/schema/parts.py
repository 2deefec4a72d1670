"""The parts of a recipe: each mapping under a key of ``recipe.yaml``, with its keys, types and defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingot.recipe.schema.packages import ALWAYS, COMPONENTS
from ingot.recipe.schema.values import (
    AmiId,
    AmiName,
    AmiOwner,
    AnswerValue,
    ArchiveName,
    ArchiveUri,
    ArgumentText,
    Capabilities,
    Comment,
    ComponentName,
    Glob,
    HttpPath,
    Id,
    Name,
    OctalMode,
    PackageName,
    QuestionName,
    Reason,
    Size,
    SsmName,
    StageName,
    SuiteName,
    Target,
    UnitName,
    XattrName,
    exactly_one,
    needs,
    target_in_root,
)
from ingot.recipe.syntax.explain import wrong
from ingot.spec import FindingName


class Part(BaseModel):
    """A mapping of the recipe: immutable, exact types, unknown keys are errors."""

    # Built when it is first used, most of them as a part of the recipe alone: every command that reads a
    # recipe waits for that.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class AmiSource(Part):
    """Which AMI is the base: exactly one of an id, an SSM parameter, a name.

    The lock pins what it is, and whose.
    """

    id: AmiId | None = None
    """The AMI itself: it is there in one region alone."""
    ssm: SsmName | None = None
    """The public or private SSM parameter that names the AMI."""
    name: AmiName | None = None
    """The newest AMI of this name; * and ? stand for other characters. It needs `owner`."""
    owner: AmiOwner | None = None
    """Whose AMI it has to be: an account id, self, amazon or aws-marketplace."""

    choices: ClassVar[tuple[str, ...]] = ("id", "ssm", "name")
    _one = exactly_one(choices)
    _owned = needs("name", "owner")


class Base(Part):
    """What the image is made of: exactly one of a Debian suite, an Ubuntu series, an AMI."""

    debian: Literal["bookworm", "trixie"] | None = None
    """A suite of Debian, baked from scratch."""
    ubuntu: Literal["noble"] | None = None
    """A series of Ubuntu, baked from scratch."""
    ami: AmiSource | None = None
    """A base AMI, baked on a builder instance."""
    components: tuple[ComponentName, ...] = ()
    """More of the distribution's own archive: contrib, non-free, non-free-firmware; of Ubuntu's multiverse,
    restricted."""

    choices: ClassVar[tuple[str, ...]] = ("debian", "ubuntu", "ami")
    _one = exactly_one(choices)

    @model_validator(mode="after")
    def _check_components(self) -> Base:
        distribution = next((name for name in COMPONENTS if getattr(self, name) is not None), None)
        if distribution is None:
            if self.components:
                raise wrong("components on a base AMI", "them beside debian or ubuntu")
            return self
        for component in self.components:
            if component in ALWAYS[distribution]:
                raise wrong(f"the component {component!r}", "others", f"{component} is always there")
            if component not in COMPONENTS[distribution]:
                *first, last = COMPONENTS[distribution]
                raise wrong(f"the component {component!r}", f"{', '.join(first)} or {last}")
        if len({*self.components}) != len(self.components):
            raise wrong("a component a second time", "each once")
        return self


class AptSource(Part):
    """An archive of packages beside the distribution's own. It is not configured in the image."""

    name: ArchiveName | None = None
    """What the lock calls it. Default: the host of `uri`."""
    uri: ArchiveUri
    """Address of the archive: https:// or http://."""
    suite: SuiteName
    """With a slash at the end for an archive without components, such as ./"""
    components: tuple[ComponentName, ...] = ()
    """Components of the suite, such as main."""
    key: Annotated[str, Field(min_length=1)]
    """File with the OpenPGP public key that signs the archive, relative to the recipe's directory."""

    @model_validator(mode="after")
    def _check_components(self) -> AptSource:
        if self.suite.endswith("/") == bool(self.components):
            found = "components for a suite that ends with /" if self.components else "no components"
            raise wrong(found, "components, or a suite that ends with /, as in deb lines")
        return self


class Preseed(Part):
    """An answer to a question that a package asks through debconf while it is installed."""

    package: PackageName
    """The package that asks."""
    question: QuestionName
    """Its name, such as postfix/main_mailer_type."""
    type: Literal["boolean", "multiselect", "select", "string"] = "string"
    """As the package's template has it: debconf-devel(7)."""
    value: AnswerValue
    """The answer: true or false for a boolean, text for the others."""

    @model_validator(mode="after")
    def _check_value(self) -> Preseed:
        if (self.type == "boolean") != isinstance(self.value, bool):
            raise wrong(
                f"a {self.type} with the value {self.value!r}", "true or false for a boolean, text for others"
            )
        return self


class RootVolume(Part):
    """The root volume."""

    size: Size
    """Size of the disk image and smallest size of the volume, such as 2GiB."""
    device: Literal["ebs", "instance-store"] = "ebs"
    """Kind of volume. AWS calls AMIs for an instance store end of life."""

    @model_validator(mode="before")
    @classmethod
    def _explain_encryption(cls, value: object) -> object:
        if isinstance(value, dict) and "encrypted" in value and value.get("device") == "instance-store":
            raise wrong(
                "an encrypted root on an instance store",
                "ebs, whose root volumes are always encrypted",
                "the disks of types that start from an instance store are not encrypted",
            )
        return value


class Group(Part):
    """A group that the image has."""

    name: Name
    """Its name."""
    gid: Id
    """Its id, from 100 on: those below are the distribution's."""


class User(Part):
    """A user that the image has. It has no password and no key."""

    name: Name
    """Its name."""
    uid: Id
    """Its id, from 100 on: those below are the distribution's."""
    group: Name
    """Primary group."""
    groups: tuple[Name, ...] = ()
    """Further groups."""
    shell: Target = "/usr/sbin/nologin"
    """Its login shell."""
    home: Target = "/nonexistent"
    """Home directory; it is made, with mode 0700, unless it is /nonexistent or there already."""
    comment: Comment = ""
    """The comment field of /etc/passwd: the full name."""


class App(Part):
    """The app: a directory beside the recipe, or of a stage, that is copied whole."""

    from_: StageName | None = Field(default=None, alias="from")
    """The stage that `source` is in."""
    source: str
    """Directory, relative to the recipe's; with `from` the absolute path in the stage."""
    target: Target
    """Directory in the image."""
    owner: Name = "root"
    """Owner of all its files."""
    group: Name = "root"
    """Group of all its files."""

    @model_validator(mode="after")
    def _check_source(self) -> App:
        _check_path_of_stage(self.from_, self.source)
        return self


class FileEntry(Part):
    """A file, directory or link of the image: exactly one of source, content, link, hardlink, directory."""

    from_: StageName | None = Field(default=None, alias="from")
    """The stage that `source` is in."""
    source: str | None = None
    """File or directory, relative to the recipe's directory; with `from` the absolute path in the stage."""
    content: str | None = None
    """The text of the file itself."""
    link: ArgumentText | None = None
    """What the symbolic link at `target` points to."""
    hardlink: Target | None = None
    """Path of a file in the image: `target` becomes another name of it."""
    directory: Literal[True] | None = None
    """True: `target` is a directory."""
    template: bool = False
    """Put the values of the recipe's variables into the source's text."""
    target: Target
    """Absolute path in the image."""
    owner: Name = "root"
    """Owner of the file, or of all files of a directory."""
    group: Name = "root"
    """Group of the file, or of all files of a directory."""
    mode: OctalMode | None = None
    """Four octal digits in quotes. Default: 0644, or 0755 for a directory and a source that is executable."""
    capabilities: Capabilities | None = None
    """File capabilities, as setcap(8) takes them: cap_net_bind_service+ep."""
    xattrs: dict[XattrName, str] = {}
    """Extended attributes: names that begin with `user.`, and their text."""

    choices: ClassVar[tuple[str, ...]] = ("source", "content", "link", "hardlink", "directory")
    _one = exactly_one(choices)

    @model_validator(mode="after")
    def _check_source(self) -> FileEntry:
        if self.from_ is not None and self.source is None:
            raise wrong("from without source", "the path in the stage as source")
        _check_path_of_stage(self.from_, self.source)
        return self


def _check_path_of_stage(stage: str | None, path: str | None) -> None:
    """Raise unless what is taken from a stage is named as a stage can have it."""
    if stage is not None and path is not None and target_in_root(path) != path:
        raise wrong(f"the path {path!r} of a stage", f"its shortest spelling, {target_in_root(path)}")


class Services(Part):
    """What systemd starts."""

    enable: tuple[UnitName, ...] = ()
    """Units that are started at boot."""
    disable: tuple[UnitName, ...] = ()
    """Units that are not started at boot although their package enables them."""
    mask: tuple[UnitName, ...] = ()
    """Units that cannot be started at all."""
    may_fail: tuple[UnitName, ...] = ()
    """Units whose failure does not fail a test clone."""


class Step(Part):
    """A shell command that runs in the image, after files and app are in place."""

    run: ArgumentText
    """The command, run by /bin/sh."""
    timeout: Annotated[int, Field(ge=1, le=86400)] = 600
    """Seconds."""


class HttpTest(Part):
    """An HTTP request to the clone, and the answer that is expected."""

    path: HttpPath
    """Path of the request, with its query."""
    status: Annotated[int, Field(ge=100, le=599)] = 200
    """Status of the answer."""
    contains: str | None = None
    """Text that the body holds."""
    port: Annotated[int, Field(ge=1, le=65535)] = 80
    """TCP port on the clone."""


class Test(Part):
    """A test that a clone must pass before the AMI is registered: exactly one of http, service, command."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What reports and messages call it."""
    http: HttpTest | None = None
    """A request that the clone must answer."""
    service: UnitName | None = None
    """A unit that must be active."""
    command: ArgumentText | None = None
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
    """Translations in /usr/share/locale."""
    hwdb: bool = True
    """udev's database of hardware that an instance does not have."""


class Allowance(Part):
    """A finding of the hygiene gate that belongs in the image."""

    finding: FindingName
    """The name of the finding, as the gate reports it."""
    path: Glob
    """Where: a path of the image; * stands for any text, slashes as well."""
    reason: Reason
    """Why it belongs there. The manifest records it."""


class Hygiene(Part):
    """What the hygiene gate lets pass."""

    allow: tuple[Allowance, ...] = ()
    """Findings that belong in the image, each with a reason."""
