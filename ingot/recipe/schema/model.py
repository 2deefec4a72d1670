"""What a recipe can say: the keys of ``recipe.yaml``, their types, defaults and rules.

Each key is declared once, here or in ``parts.py``; the JSON Schema, the messages of ``ingot check`` and the
canonical form that is digested follow from it. The types of single values are in ``values.py``; rules that
need other keys or the disk are in ``references.py`` and ``files.py``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, WithJsonSchema

from ingot.errors import InputError, Problem
from ingot.recipe.schema.configuration import Configuration
from ingot.recipe.schema.dependencies import Artifact, Node, Python
from ingot.recipe.schema.packages import PackageText
from ingot.recipe.schema.parts import (
    App,
    AptSource,
    Base,
    Drop,
    FileEntry,
    Group,
    Hygiene,
    Part,
    Preseed,
    RootVolume,
    Services,
    Test,
    User,
)
from ingot.recipe.schema.stages import Stage, StepOrText
from ingot.recipe.schema.storage import DEVICES, InstanceStore, Volume
from ingot.recipe.schema.values import (
    EnvironmentName,
    HostName,
    KernelParameters,
    Locale,
    RecipeName,
    Size,
    StageName,
    State,
    TimeZone,
    VariableName,
)
from ingot.recipe.syntax.document import At, Document, part_of
from ingot.recipe.syntax.variables import Scalar, Variables

# One path or a list of them. `include.py` reads and removes the key: here it is for editors and for the list
# of keys.
_PATHS = {"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}]}
# What a stage has of its recipe.
_OF_THE_RECIPE = ("name", "base", "architecture", "root_volume", "apt_sources")


@dataclass(frozen=True)
class RecipeSource:
    """What a recipe was read from: the context in which its model is validated."""

    document: Document
    """The text of all its files, with the place of each value."""
    variables: Variables
    """The variables, with the values of the environment that the recipe was read for."""
    environment: str | None
    """The environment that the recipe stands for; None: all of them."""


class Recipe(Part):
    """A golden image as code."""

    include: Annotated[tuple[str, ...], WithJsonSchema(_PATHS)] = Field(default=(), exclude=True)
    """Other recipes, whole or in part: paths relative to this file.

    They are merged before anything else is read.
    """

    name: RecipeName
    """Name of the recipe: that of its directory."""
    base: Base
    """What the image is made of: a Debian suite, an Ubuntu series, or an AMI."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    """The processor architecture of the image and its clones."""
    root_volume: RootVolume
    """The root volume."""
    packages: tuple[PackageText, ...] = ()
    """Names of packages, each alone, with a version (`nginx=1.22.1-9`) or with the suite of backports
    (`nginx/bookworm-backports`)."""
    apt_sources: tuple[AptSource, ...] = ()
    """Archives of packages beside the distribution's own."""
    debconf: tuple[Preseed, ...] = ()
    """Answers to questions that packages ask while they are installed."""
    artifacts: tuple[Artifact, ...] = ()
    """Files from the web or S3, pinned by SHA-256 in the lock."""
    python: Python | None = None
    """A virtual environment with the wheels of a requirements file or a uv.lock."""
    node: Node | None = None
    """The packages of a package-lock.json, installed by npm."""
    stages: dict[StageName, Stage] = Field(default={})
    """Throwaway roots by name, in which what `app` and `files` take by `from` is built."""
    groups: tuple[Group, ...] = ()
    """Groups that the image has."""
    users: tuple[User, ...] = ()
    """Users that the image has."""
    app: App | None = None
    """The app: a directory that is copied whole into the image."""
    files: tuple[FileEntry, ...] = ()
    """Files, directories and links of the image."""
    services: Services = Services.model_construct()
    """What systemd starts."""
    configuration: Configuration | None = None
    """What clones are told when they boot: environment variables and secret files."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=len(DEVICES))] = ()
    """Data volumes that each clone has beside its root volume."""
    instance_store: InstanceStore | None = None
    """What disks of the instance store are for, on types that have them."""
    swap: Size | None = None
    """A swap file of this size on the root volume, made at the first boot."""
    steps: tuple[StepOrText, ...] = ()
    """Shell commands that run in the image, after files and app are in place, without a network."""
    tests: tuple[Test, ...] = ()
    """What a clone must pass before the AMI is registered."""
    kernel_command_line: KernelParameters = ""
    """Added to the kernel parameters that EC2 needs."""
    timezone: TimeZone = "Etc/UTC"
    """The system's time zone, such as Europe/Berlin."""
    locale: Locale = "C.UTF-8"
    """The system's locale."""
    hostname: HostName = "from-metadata"
    """A fixed host name, or from-metadata: the one that EC2 gives each clone."""
    volatile: tuple[State, ...] = ()
    """Paths that running clones change, with all below them: `ingot verify fleet` does not compare them."""
    drop: Drop = Drop.model_construct()
    """What is left out of the image although packages bring it."""
    hygiene: Hygiene = Hygiene.model_construct()
    """What the hygiene gate lets pass."""
    variables: dict[VariableName, Scalar | None] = Field(default={}, exclude=True)
    """Values that the recipe and its template files use as ${name}; without a value one must be set by the
    environment."""
    environments: dict[EnvironmentName, dict[VariableName, Scalar | None] | None] = Field(
        default={}, exclude=True
    )
    """Environments by name, each with the values that are its own."""

    _source: RecipeSource | None = PrivateAttr(default=None)
    _whole: Recipe | None = PrivateAttr(default=None)
    _stage: str | None = PrivateAttr(default=None)

    def model_post_init(self, context: object) -> None:
        """Keep what the recipe was read from: the validation's context, where it has one."""
        self._source = context if isinstance(context, RecipeSource) else None

    @property
    def source(self) -> RecipeSource:
        """What the recipe was read from."""
        if self._source is None:
            raise InputError(f"the recipe {self.name} was not read from a file")
        return self._source

    @property
    def document(self) -> Document:
        """The text that the recipe was read from, with the place of each value."""
        return self.source.document

    @property
    def variables_in_use(self) -> Variables:
        """The variables, with the values of the environment that the recipe was read for."""
        return self.source.variables

    @property
    def environment(self) -> str | None:
        """The environment that the recipe was read for; None: no one in particular."""
        return self.source.environment

    @property
    def directory(self) -> Path:
        """The directory that holds recipe.yaml."""
        return self.document.path.parent

    @property
    def whole(self) -> Recipe | None:
        """The recipe that this is a stage of (:meth:`stage`); None: it is one itself."""
        return self._whole

    @property
    def stage_name(self) -> str | None:
        """The name of the stage that this is; None: it is a recipe itself."""
        return self._stage

    def stage(self, name: str) -> Recipe:
        """Return a stage as a recipe: on the same base and of the same files, for whatever works on recipes.

        Its places are those of its keys.
        """
        stage, source = self.stages[name], self.source
        recipe = Recipe.model_construct(
            **{key: getattr(self, key) for key in _OF_THE_RECIPE},
            **{key: getattr(stage, key) for key in type(stage).model_fields},
        )
        document = part_of(source.document, ("stages", name), _OF_THE_RECIPE)
        recipe._source = replace(source, document=document)
        recipe._whole, recipe._stage = self, name
        return recipe

    @property
    def source_root(self) -> Path:
        """The directory that sources are relative to: the recipe's, or one above it and what it includes."""
        if self._whole is not None:
            return self._whole.source_root
        holders: list[tuple[At, Recipe | Stage]] = [((), self)]
        holders += [(("stages", name), stage) for name, stage in self.stages.items()]
        places: list[At] = []
        for at, holder in holders:
            places += [(*at, "files", number, "source") for number in range(len(holder.files))]
            places.append((*at, "app", "source"))
        named = [at for at in places if at in self.document.values]
        directories = {self.directory, *(self.document.place(at).file.parent for at in named)}
        return Path(os.path.commonpath([directory.resolve() for directory in directories]))

    @property
    def lock_path(self) -> Path:
        """Where the recipe's lock is: the environment's own where it has one."""
        own = self.own_lock_path
        return own if own.is_file() else self.directory / "recipe.lock"

    @property
    def own_lock_path(self) -> Path:
        """Where the lock of this environment alone is, if there is one."""
        name = "recipe.lock" if self.environment is None else f"recipe.{self.environment}.lock"
        return self.directory / name

    @property
    def lock_command(self) -> str:
        """The command that makes the lock."""
        own = self.environment is not None and self.own_lock_path.is_file()
        return f"ingot lock {self.name}" + (f" --env {self.environment}" if own else "")

    def problem(self, at: At, found: str, expected: str = "", hint: str | None = None) -> Problem:
        """Return a Problem at the value ``at``, such as ``("users", 0, "uid")``."""
        return self.document.problem(at, found, expected, hint)

    def canonical(self) -> dict[str, Any]:
        """Return what the recipe says as plain data, without defaults and without a trace of its spelling."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for stage in data.get("stages", {}).values():
            stage.get("packages", []).sort()
        for key in ("groups", "users"):
            if key in data:
                data[key].sort(key=lambda entry: entry["name"])
        if "debconf" in data:
            data["debconf"].sort(key=lambda answer: (answer["package"], answer["question"]))
        for holder, keys in (
            (data, ("packages", "volatile")),
            (data.get("services", {}), ("enable", "disable", "mask", "may_fail")),
        ):
            for key in keys:
                if key in holder:
                    holder[key].sort()
        return data
