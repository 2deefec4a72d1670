"""The bake spec: all that the engine must know to bake an image, as one typed value.

:mod:`ingot.recipe.compile` makes it from a locked recipe. It travels as JSON to the worker process and, as
``spec.json``, to builder instances, so this module needs the standard library alone and runs on Python 3.9.
The one writer is :meth:`BakeSpec.text`, the one reader :func:`read_spec`. The parts are named tuples: the
classes of as many dataclasses take several milliseconds to make, in every process of every bake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Literal, Mapping, NamedTuple, Optional, Tuple

from ingot.errors import BakeError

# Raised when an engine could misread what an older or newer Ingot wrote.
SPEC_FORMAT = 4
# The format of the manifests that bakes write and the store reads.
MANIFEST_FORMAT = 1


class DistributionSpec(NamedTuple):
    """The release that the packages are of: ``debian`` or ``ubuntu``, and its suite."""

    id: str
    suite: str


class PackageSpec(NamedTuple):
    """One package file. ``path`` is relative to the root of ``archive``; ``size`` counts its bytes.

    ``role``: ``install`` for what the image has, ``tool`` for what only the bake uses.
    """

    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    path: str
    archive: str
    suite: str
    essential: bool
    role: str


class AptSourceSpec(NamedTuple):
    """An archive of the recipe's own."""

    archive: str
    uri: str


class ArtifactSpec(NamedTuple):
    """A file from the web or from S3; ``size`` counts its bytes.

    With ``unpack``, ``tar`` or ``zip``, ``target`` is the directory to unpack it into, and ``strip`` counts
    the directories at the beginning of each name that are left out; else the file itself. ``mode`` is octal.
    None as the ``target``: it is a package, and among the packages of the spec.
    """

    url: str
    sha256: str
    size: int
    target: Optional[str] = None
    unpack: Optional[str] = None
    strip: int = 0
    owner: str = "root"
    group: str = "root"
    mode: Optional[str] = None


class WheelSpec(NamedTuple):
    """A wheel: ``file`` is its name in an index, ``size`` counts bytes."""

    name: str
    version: str
    file: str
    sha256: str
    size: int


class PythonSpec(NamedTuple):
    """A virtual environment at ``target`` with ``wheels``, made by ``interpreter`` of the version ``python``.

    ``installer`` is pip's own wheel, which the image does not keep.
    """

    target: str
    interpreter: str
    python: str
    installer: WheelSpec
    wheels: Tuple[WheelSpec, ...]


class NpmSpec(NamedTuple):
    """A package of the npm registry; ``size`` counts the bytes of its archive."""

    name: str
    version: str
    sha512: str
    sha256: str
    size: int


class NodeSpec(NamedTuple):
    """The npm ``packages`` below ``target``. ``manifest``: package.json; ``lock``: package-lock.json.

    ``installer`` is npm's own archive, which the image does not keep. ``scripts``: whose install scripts run.
    """

    target: str
    omit: Tuple[str, ...]
    scripts: Tuple[str, ...]
    manifest: str
    lock: str
    installer: NpmSpec
    packages: Tuple[NpmSpec, ...]


class BaseAmiSpec(NamedTuple):
    """The base AMI of one region. ``owner`` is an account id, ``root_size`` GiB."""

    id: str
    owner: str
    name: str
    created: str
    root_device: str
    root_size: int
    boot_mode: str


class AnswerSpec(NamedTuple):
    """An answer to a question that a package asks through debconf; ``type`` is that of its template."""

    package: str
    question: str
    type: str
    value: str


class GroupSpec(NamedTuple):
    """A group of the image."""

    name: str
    gid: int


class UserSpec(NamedTuple):
    """A user of the image. ``group`` is the primary group, ``groups`` are further ones."""

    name: str
    uid: int
    group: str
    groups: Tuple[str, ...] = ()
    shell: str = "/usr/sbin/nologin"
    home: str = "/nonexistent"
    comment: str = ""


class FileSpec(NamedTuple):
    """One name in the image. ``kind``: ``file``, ``directory``, ``symlink``, ``hardlink`` or ``taken``.

    A file has a ``content``, or a ``source`` relative to the directory of the sources; ``sha256`` and
    ``size`` are the content's. A symbolic link leads to ``link``; a hard link is another name of the file
    ``link``. ``mode`` is octal; ``xattrs`` are names with their values in hex. What is taken is at ``path``
    in the stage ``stage``, a file or a directory with all in it; ``place`` of the recipe says so.
    """

    kind: str
    target: str
    owner: Optional[str] = None
    group: Optional[str] = None
    mode: Optional[str] = None
    source: Optional[str] = None
    content: Optional[str] = None
    link: Optional[str] = None
    sha256: Optional[str] = None
    size: Optional[int] = None
    xattrs: Tuple[Tuple[str, str], ...] = ()
    stage: Optional[str] = None
    path: Optional[str] = None
    place: Optional[str] = None


class ServicesSpec(NamedTuple):
    """Units to enable, disable and mask, and those whose failure a test clone lets pass."""

    enable: Tuple[str, ...] = ()
    disable: Tuple[str, ...] = ()
    mask: Tuple[str, ...] = ()
    may_fail: Tuple[str, ...] = ()


class SecretSpec(NamedTuple):
    """A secret of a clone: whose the file is, and what it holds in a test clone."""

    name: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0400"
    example: str = ""


class ConfigurationSpec(NamedTuple):
    """What a clone fetches at boot.

    ``variables`` are names with the values of a test clone; ``refresh`` is in seconds; ``owner``, ``group``
    and ``mode`` are those of the variables' file.
    """

    variables: Tuple[Tuple[str, str], ...] = ()
    secrets: Tuple[SecretSpec, ...] = ()
    services: Tuple[str, ...] = ()
    owner: str = "root"
    group: str = "root"
    mode: str = "0400"
    refresh: Optional[int] = None
    on_change: str = "nothing"


class VolumeSpec(NamedTuple):
    """A data volume of each clone, attached as ``device``; ``size`` is in bytes.

    Its root belongs to ``owner`` and ``group``, with ``mode``; None: as the directory that it is mounted at.
    ``services`` wait for it.
    """

    name: str
    device: str
    mount: str
    size: int
    filesystem: str = "ext4"
    owner: Optional[str] = None
    group: Optional[str] = None
    mode: Optional[str] = None
    services: Tuple[str, ...] = ()


class ScratchSpec(NamedTuple):
    """A file system on a disk of the instance store; the fields are those of a volume."""

    mount: str
    filesystem: str = "ext4"
    owner: Optional[str] = None
    group: Optional[str] = None
    mode: Optional[str] = None
    services: Tuple[str, ...] = ()


class StorageSpec(NamedTuple):
    """What clones have beside their root volume.

    ``swap``: bytes of a file on the root volume. ``instance_swap``: swap on all disks of the instance store.
    """

    volumes: Tuple[VolumeSpec, ...] = ()
    scratch: Optional[ScratchSpec] = None
    instance_swap: bool = False
    swap: Optional[int] = None

    @property
    def mounts(self) -> Tuple[str, ...]:
        """Where something is mounted."""
        scratch = () if self.scratch is None else (self.scratch.mount,)
        return (*(volume.mount for volume in self.volumes), *scratch)


class StepSpec(NamedTuple):
    """A shell command of the recipe.

    ``file`` and ``line`` say where it is, for messages; ``timeout`` is in seconds.
    """

    run: str
    timeout: int
    line: int
    file: str = "recipe.yaml"


class HttpSpec(NamedTuple):
    """An HTTP request to a clone, and the answer that is expected."""

    path: str = "/"
    status: int = 200
    contains: Optional[str] = None
    port: int = 80


class CloneTestSpec(NamedTuple):
    """A test that a clone must pass: exactly one of an HTTP request, a unit that is
    active, a command that exits with 0.
    """

    name: str
    http: Optional[HttpSpec] = None
    service: Optional[str] = None
    command: Optional[str] = None

    def plain(self) -> Dict[str, Any]:
        """Return it as the manifest has it: keys that do not apply are left out."""
        plain = {key: value for key, value in self._asdict().items() if value is not None}
        if self.http is not None:
            plain["http"] = {key: value for key, value in self.http._asdict().items() if value is not None}
        return plain


class DropSpec(NamedTuple):
    """What of the packages is left out of the image."""

    docs: bool = False
    man: bool = False
    locales: bool = False
    hwdb: bool = False


# What the hygiene gate finds; a recipe allows it by its name.
FindingName = Literal[
    "authorized-key",
    "broken-link",
    "builder-trace",
    "cache",
    "clone-identity",
    "credential",
    "history",
    "host-key",
    "install-secret",
    "lease",
    "log",
    "machine-id",
    "password-hash",
    "private-key",
    "random-seed",
    "setuid",
    "unit",
    "world-writable",
]


class AllowanceSpec(NamedTuple):
    """A finding of the hygiene gate that may be in the image, and why."""

    finding: str
    path: str
    reason: str


class DownloadSpec(NamedTuple):
    """A file that comes from elsewhere than an archive of packages. ``name`` is for messages.

    ``url`` may be a package URL (pkg:pypi/…), for what is in a registry that this machine knows.
    ``size`` counts bytes; ``is_package``: it is a package as well.
    """

    name: str
    sha256: str
    size: int
    url: str
    is_package: bool = False


class Addresses(NamedTuple):
    """Where the packages of an archive are: base URLs, which are tried in turn.

    ``mirrors`` keep the current versions; ``snapshots`` are an archive of all versions, each at one time, and
    are asked for what a mirror does not have any more.
    """

    mirrors: Tuple[str, ...] = ()
    snapshots: Tuple[str, ...] = ()


NO_SERVICES, NOTHING_DROPPED = ServicesSpec(), DropSpec()


@dataclass(frozen=True)
class BakeSpec:
    """A whole bake spec. ``epoch`` is Unix seconds, the time of every file; ``root_volume_size`` is in bytes.

    From scratch: ``distribution``, ``packages``, ``system`` (the names of the packages of every image) and
    ``indexed`` (the date of the index that has all packages). On a base AMI: ``base`` is the AMI by region,
    ``install`` names the packages that its own package manager installs. ``unit_places``: where the recipe
    names a unit, ``enable apache2`` → ``recipe.yaml:19:21``.

    ``bios``: the disk boots by BIOS, too, and has Xen's drivers: its root will be on an instance store.

    ``stages`` are bake specs, too, of which no disk is made: each with its own name, the digest of what it is
    made of, and nothing of a ``machine``, such as Ingot's own programs.
    """

    name: str
    recipe_digest: str
    version: str
    architecture: str
    epoch: int
    root_volume_size: int
    distribution: Optional[DistributionSpec] = None
    indexed: Optional[int] = None
    packages: Tuple[PackageSpec, ...] = ()
    system: Tuple[str, ...] = ()
    apt_sources: Tuple[AptSourceSpec, ...] = ()
    artifacts: Tuple[ArtifactSpec, ...] = ()
    python: Optional[PythonSpec] = None
    node: Optional[NodeSpec] = None
    stages: Tuple["BakeSpec", ...] = ()
    machine: bool = True
    bios: bool = False
    base: Optional[Mapping[str, BaseAmiSpec]] = None
    install: Tuple[str, ...] = ()
    debconf: Tuple[AnswerSpec, ...] = ()
    groups: Tuple[GroupSpec, ...] = ()
    users: Tuple[UserSpec, ...] = ()
    files: Tuple[FileSpec, ...] = ()
    services: ServicesSpec = NO_SERVICES
    configuration: Optional[ConfigurationSpec] = None
    storage: Optional[StorageSpec] = None
    steps: Tuple[StepSpec, ...] = ()
    tests: Tuple[CloneTestSpec, ...] = ()
    kernel_command_line: str = ""
    timezone: str = "Etc/UTC"
    locale: str = "C.UTF-8"
    hostname: str = "from-metadata"
    volatile: Tuple[str, ...] = ()
    drop: DropSpec = NOTHING_DROPPED
    allowances: Tuple[AllowanceSpec, ...] = ()
    unit_places: Mapping[str, str] = field(default_factory=dict)
    format: int = SPEC_FORMAT

    def downloads(self) -> Tuple[DownloadSpec, ...]:
        """Return the files that come from elsewhere than the archives of packages, each once."""
        found = {}
        for artifact in self.artifacts:
            name = f"the artifact {artifact.url}"
            key = (artifact.sha256, artifact.target is None)
            found[key] = DownloadSpec(
                name, artifact.sha256, artifact.size, artifact.url, artifact.target is None
            )
        wheels = (self.python.installer, *self.python.wheels) if self.python is not None else ()
        for wheel in wheels:
            url = f"pkg:pypi/{wheel.name}@{wheel.version}?file_name={wheel.file}"
            found[wheel.sha256, False] = DownloadSpec(wheel.file, wheel.sha256, wheel.size, url)
        for package in (self.node.installer, *self.node.packages) if self.node is not None else ():
            url = f"pkg:npm/{package.name.replace('@', '%40')}@{package.version}"
            name = f"{package.name} {package.version}"
            found[package.sha256, False] = DownloadSpec(name, package.sha256, package.size, url)
        return tuple(found.values())

    def with_stages(self) -> Tuple["BakeSpec", ...]:
        """Return this spec and those of its stages."""
        return (self, *self.stages)

    def part(self, stage: Optional[str]) -> "BakeSpec":
        """Return the spec of a stage; for None this one."""
        return self if stage is None else next(one for one in self.stages if one.name == stage)

    def text(self) -> str:
        """Return it as JSON, the same text for the same value."""
        return json.dumps(plain(self), sort_keys=True)


def plain(value: object) -> Any:  # noqa: ANN401 - any JSON
    """Return a bake spec or a part of it as JSON data: objects by the names of their fields."""
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        if fields is None:
            return [plain(item) for item in value]
        named = zip(fields, value)  # noqa: B905 - not in Python 3.9
        return {name: plain(item) if isinstance(item, tuple) else item for name, item in named}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return plain(vars(value)) if isinstance(value, BakeSpec) else value


def read_spec(text: str) -> BakeSpec:
    """Return the bake spec that :meth:`BakeSpec.text` wrote. Raises BakeError for one of another format."""
    return spec_from_json(json.loads(text))


def spec_from_json(value: Mapping[str, Any]) -> BakeSpec:
    """Return the bake spec of parsed JSON. Raises BakeError for one of another format."""
    if value.get("format") != SPEC_FORMAT:
        raise BakeError(
            f"the bake spec has format {value.get('format')}; this version of Ingot reads format"
            f" {SPEC_FORMAT}",
            hint="make and bake it with the same version of Ingot",
        )
    parts: Dict[str, Any] = {
        "distribution": None if value["distribution"] is None else DistributionSpec(**value["distribution"]),
        "packages": tuple(PackageSpec(**package) for package in value["packages"]),
        "apt_sources": tuple(AptSourceSpec(**source) for source in value["apt_sources"]),
        "artifacts": tuple(ArtifactSpec(**artifact) for artifact in value["artifacts"]),
        "python": _python_from_json(value["python"]),
        "node": _node_from_json(value["node"]),
        "stages": tuple(spec_from_json(stage) for stage in value["stages"]),
        "base": (
            None
            if value["base"] is None
            else {region: BaseAmiSpec(**ami) for region, ami in value["base"].items()}
        ),
        "debconf": tuple(AnswerSpec(**answer) for answer in value["debconf"]),
        "groups": tuple(GroupSpec(**group) for group in value["groups"]),
        "users": tuple(UserSpec(**{**user, "groups": tuple(user["groups"])}) for user in value["users"]),
        "files": tuple(
            FileSpec(**{**file, "xattrs": tuple((name, data) for name, data in file["xattrs"])})
            for file in value["files"]
        ),
        "services": ServicesSpec(**{verb: tuple(units) for verb, units in value["services"].items()}),
        "configuration": _configuration(value["configuration"]),
        "storage": _storage(value["storage"]),
        "steps": tuple(StepSpec(**step) for step in value["steps"]),
        "tests": tuple(
            CloneTestSpec(**{**test, "http": None if test["http"] is None else HttpSpec(**test["http"])})
            for test in value["tests"]
        ),
        "drop": DropSpec(**value["drop"]),
        "allowances": tuple(AllowanceSpec(**allowance) for allowance in value["allowances"]),
        "system": tuple(value["system"]),
        "install": tuple(value["install"]),
        "volatile": tuple(value["volatile"]),
    }
    return BakeSpec(**{**value, **parts})


def _configuration(value: Optional[Mapping[str, Any]]) -> Optional[ConfigurationSpec]:
    if value is None:
        return None
    parts = {
        "variables": tuple((name, example) for name, example in value["variables"]),
        "secrets": tuple(SecretSpec(**secret) for secret in value["secrets"]),
        "services": tuple(value["services"]),
    }
    return ConfigurationSpec(**{**value, **parts})


def _storage(value: Optional[Mapping[str, Any]]) -> Optional[StorageSpec]:
    if value is None:
        return None
    volumes = (VolumeSpec(**{**volume, "services": tuple(volume["services"])}) for volume in value["volumes"])
    scratch = value["scratch"]
    if scratch is not None:
        scratch = ScratchSpec(**{**scratch, "services": tuple(scratch["services"])})
    return StorageSpec(**{**value, "volumes": tuple(volumes), "scratch": scratch})


def _python_from_json(value: Optional[Mapping[str, Any]]) -> Optional[PythonSpec]:
    if value is None:
        return None
    wheels = tuple(WheelSpec(**wheel) for wheel in value["wheels"])
    return PythonSpec(**{**value, "installer": WheelSpec(**value["installer"]), "wheels": wheels})


def _node_from_json(value: Optional[Mapping[str, Any]]) -> Optional[NodeSpec]:
    if value is None:
        return None
    parts: Dict[str, Any] = {
        "omit": tuple(value["omit"]),
        "scripts": tuple(value["scripts"]),
        "installer": NpmSpec(**value["installer"]),
        "packages": tuple(NpmSpec(**package) for package in value["packages"]),
    }
    return NodeSpec(**{**value, **parts})
