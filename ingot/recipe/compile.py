"""Compiles a locked recipe into the bake spec, which the engine executes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from pydantic import BaseModel

from ingot.recipe.digest import digest_of, stage_digest, used_files
from ingot.recipe.lock.ami import AmiLock
from ingot.recipe.lock.archives import archives_of
from ingot.recipe.lock.distribution import distribution_of
from ingot.recipe.lock.file import Lock, load_lock
from ingot.recipe.lock.node import npm_files
from ingot.recipe.schema.configuration import Configuration
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.parts import Preseed, Test
from ingot.recipe.schema.storage import devices_of
from ingot.recipe.sources.expander import ImageFile
from ingot.spec import (
    AllowanceSpec,
    AnswerSpec,
    AptSourceSpec,
    ArtifactSpec,
    BakeSpec,
    BaseAmiSpec,
    CloneTestSpec,
    ConfigurationSpec,
    DistributionSpec,
    DropSpec,
    FileSpec,
    GroupSpec,
    HttpSpec,
    NodeSpec,
    NpmSpec,
    PackageSpec,
    PythonSpec,
    ScratchSpec,
    SecretSpec,
    ServicesSpec,
    StepSpec,
    StorageSpec,
    UserSpec,
    VolumeSpec,
    WheelSpec,
)

# For EC2's serial console and NVMe root volumes (EC2 user guide, "Amazon EBS volumes and NVMe": the I/O
# timeout is set to its maximum; "net.ifnames=0" keeps the first interface eth0 on every instance type).
KERNEL_COMMAND_LINE = "console=tty0 console=ttyS0,115200n8 net.ifnames=0 nvme_core.io_timeout=4294967295"
# While Linux starts, it measures the timer interrupt against the clock and panics when interrupts are late,
# as they can be in a machine that is emulated on a busy host. Under KVM it skips this by itself:
# kernel-parameters.txt and arch/x86/kernel/kvm.c.
KERNEL_PARAMETERS_OF = {"x86_64": " no_timer_check"}
Spec = TypeVar("Spec")
# A version for people: enough of the digest to be unique among the images that one ever sees.
VERSION_LENGTH = 12
# Bytes that an archive may unpack to in a stage, which has no volume: compilers and their caches are large.
STAGE_SIZE = 32 << 30


def compile_spec(recipe: Recipe) -> BakeSpec:
    """Return the bake spec of a recipe.

    Raises InputError when the lock is missing or stale, or a file is missing.
    """
    lock = load_lock(recipe)
    files = used_files(recipe)
    digest = digest_of(recipe, lock, files)
    return BakeSpec(
        name=recipe.name,
        recipe_digest=digest,
        version=digest[:VERSION_LENGTH],
        architecture=recipe.architecture,
        epoch=lock.epoch,
        root_volume_size=recipe.root_volume.size,
        bios=recipe.root_volume.device == "instance-store",
        apt_sources=tuple(AptSourceSpec(archive.name, archive.uri) for archive in archives_of(recipe)),
        artifacts=_artifacts(recipe, lock),
        python=_python(recipe, lock),
        node=_node(recipe, lock),
        stages=tuple(_stage(recipe, name) for name in recipe.stages),
        debconf=tuple(sorted(_answer(answer) for answer in recipe.debconf)),
        groups=tuple(GroupSpec(group.name, group.gid) for group in recipe.groups),
        users=tuple(spec_of(UserSpec, user) for user in recipe.users),
        files=tuple(_file(recipe, file) for file in files),
        services=spec_of(ServicesSpec, recipe.services),
        configuration=_configuration(recipe.configuration),
        storage=_storage(recipe),
        steps=_steps(recipe),
        tests=tuple(_test(test) for test in recipe.tests),
        kernel_command_line=_command_line(recipe),
        timezone=recipe.timezone,
        locale=recipe.locale,
        hostname=recipe.hostname,
        volatile=tuple(sorted(recipe.volatile)),
        drop=spec_of(DropSpec, recipe.drop),
        allowances=tuple(spec_of(AllowanceSpec, allowance) for allowance in recipe.hygiene.allow),
        **_origin(recipe, lock),
    )


def spec_of(
    kind: Callable[..., Spec], model: BaseModel, *, without: Collection[str] = (), **own: object
) -> Spec:
    """Return a part of the spec: fields of the model by their names, but those in ``without``, and ``own``.

    What is in both is as in ``own``. A field that the spec does not have is an error.
    """
    fields = {name: getattr(model, name) for name in type(model).model_fields if name not in without}
    return kind(**{**fields, **own})


def _stage(whole: Recipe, name: str) -> BakeSpec:
    """Return the bake spec of a stage: the tree alone counts."""
    recipe = whole.stage(name)
    lock = load_lock(recipe)
    digest = stage_digest(whole, name)
    return BakeSpec(
        name=name,
        recipe_digest=digest,
        version=digest[:VERSION_LENGTH],
        architecture=recipe.architecture,
        epoch=lock.epoch,
        root_volume_size=STAGE_SIZE,
        machine=False,
        apt_sources=tuple(AptSourceSpec(archive.name, archive.uri) for archive in archives_of(recipe)),
        artifacts=_artifacts(recipe, lock),
        python=_python(recipe, lock),
        node=_node(recipe, lock),
        files=tuple(_file(recipe, file) for file in used_files(recipe)),
        steps=_steps(recipe),
        drop=spec_of(DropSpec, recipe.drop),
        **_origin(recipe, lock),
    )


def _origin(recipe: Recipe, lock: Lock | AmiLock) -> dict[str, Any]:
    """Return what the image is made from, as fields of the spec."""
    if isinstance(lock, AmiLock):
        base = {region: spec_of(BaseAmiSpec, ami) for region, ami in lock.ami.items()}
        return {"base": base, "install": tuple(sorted(recipe.packages))}
    return {
        "distribution": DistributionSpec(lock.distribution.id, lock.distribution.suite),
        "indexed": lock.index_date(),
        "packages": tuple(spec_of(PackageSpec, package) for package in lock.packages),
        "system": tuple(sorted({*distribution_of(recipe).base_packages} & lock.versions().keys())),
    }


def _artifacts(recipe: Recipe, lock: Lock | AmiLock) -> tuple[ArtifactSpec, ...]:
    """Return the artifacts in the recipe's order: what comes later may replace what came before."""
    locked = {artifact.url: artifact for artifact in lock.artifacts}
    return tuple(
        spec_of(
            ArtifactSpec,
            artifact,
            without={"install"},
            size=locked[artifact.url].size,
            sha256=locked[artifact.url].sha256,
        )
        for artifact in recipe.artifacts
    )


def _python(recipe: Recipe, lock: Lock | AmiLock) -> PythonSpec | None:
    if recipe.python is None or isinstance(lock, AmiLock) or lock.python is None:
        return None
    locked = lock.python
    return PythonSpec(
        target=recipe.python.target,
        interpreter=recipe.python.interpreter,
        python=locked.python,
        installer=spec_of(WheelSpec, locked.installer),
        wheels=tuple(spec_of(WheelSpec, wheel) for wheel in locked.wheels),
    )


def _node(recipe: Recipe, lock: Lock | AmiLock) -> NodeSpec | None:
    if recipe.node is None or isinstance(lock, AmiLock) or lock.node is None:
        return None
    files = npm_files(recipe)
    return NodeSpec(
        target=recipe.node.target,
        omit=tuple(sorted(recipe.node.omit)),
        scripts=recipe.node.scripts,
        manifest=files.manifest,
        lock=files.lock,
        installer=spec_of(NpmSpec, lock.node.installer),
        packages=tuple(spec_of(NpmSpec, package) for package in lock.node.packages),
    )


def _command_line(recipe: Recipe) -> str:
    of_architecture = KERNEL_PARAMETERS_OF.get(recipe.architecture, "")
    return f"{KERNEL_COMMAND_LINE}{of_architecture} {recipe.kernel_command_line}".strip()


def _answer(answer: Preseed) -> AnswerSpec:
    value = answer.value if isinstance(answer.value, str) else str(answer.value).lower()
    return AnswerSpec(answer.package, answer.question, answer.type, value)


def _file(recipe: Recipe, file: ImageFile) -> FileSpec:
    fields = {name: value for name, value in vars(file).items() if name not in ("at", "xattrs")}
    if file.kind == "taken":
        place = recipe.document.place((*file.at, "source"))
        fields["place"] = f"{os.path.relpath(place.file, recipe.directory)}:{place.line}:{place.column}"
    return FileSpec(**fields, xattrs=file.xattrs)


def _configuration(given: Configuration | None) -> ConfigurationSpec | None:
    if given is None:
        return None
    secrets = (spec_of(SecretSpec, secret, name=name) for name, secret in sorted(given.secrets.items()))
    return spec_of(
        ConfigurationSpec,
        given,
        without={"environment"},
        variables=tuple(sorted(given.environment.items())),
        secrets=tuple(secrets),
        services=tuple(sorted(given.services)),
    )


def _storage(recipe: Recipe) -> StorageSpec | None:
    store = recipe.instance_store
    if not (recipe.volumes or store or recipe.swap):
        return None
    volumes = tuple(
        spec_of(VolumeSpec, volume, device=device, services=tuple(sorted(volume.services)))
        for volume, device in zip(recipe.volumes, devices_of(recipe.volumes), strict=True)
    )
    scratch = None
    if store is not None and store.mount is not None:
        scratch = spec_of(ScratchSpec, store, without={"swap"}, services=tuple(sorted(store.services)))
    return StorageSpec(volumes, scratch, bool(store and store.swap), recipe.swap)


def _steps(recipe: Recipe) -> tuple[StepSpec, ...]:
    """Return the steps, each with its file and line for the message when it fails."""
    steps = []
    for number, step in enumerate(recipe.steps):
        place = recipe.document.place(("steps", number))
        file = os.path.relpath(place.file, recipe.directory)
        steps.append(StepSpec(step.run, step.timeout, place.line, file))
    return tuple(steps)


def _test(test: Test) -> CloneTestSpec:
    http = None if test.http is None else spec_of(HttpSpec, test.http)
    return CloneTestSpec(test.name, http, test.service, test.command)
