"""Compiles a locked recipe into the plan: the plain JSON that the bake executes."""

from __future__ import annotations

import os
from typing import Any

from ingot.recipe.digest import digest_of, used_files
from ingot.recipe.lock.ami import AmiLock
from ingot.recipe.lock.archives import archives_of
from ingot.recipe.lock.distribution import distribution_of
from ingot.recipe.lock.file import Lock, load_lock
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.parts import Test

PLAN_FORMAT = 1
# For EC2's serial console and NVMe root volumes (EC2 user guide, "Amazon EBS volumes and NVMe": the I/O timeout is
# set to its maximum; "net.ifnames=0" keeps the first interface eth0 on every instance type).
KERNEL_COMMAND_LINE = "console=tty0 console=ttyS0,115200n8 net.ifnames=0 nvme_core.io_timeout=4294967295"
# Linux measures the timer interrupt against the clock while it starts, and panics when the interrupts come late, as they can in a machine
# that is emulated on a busy host. Under KVM it leaves this out by itself: kernel-parameters.txt and arch/x86/kernel/kvm.c.
KERNEL_PARAMETERS_OF = {"x86_64": " no_timer_check"}
# A version for people: enough of the digest to be unique among the images that one ever sees.
VERSION_LENGTH = 12


def compile_plan(recipe: Recipe) -> dict[str, Any]:
    """Return the plan of a recipe.

    Raises InputError when the lock is missing or stale, or a file is missing. A plan with the key ``base`` is for a builder instance
    that boots that AMI: ``base`` is the lock's AMI by region, ``install`` the names of the packages that its package manager installs.
    """
    lock = load_lock(recipe)
    files = used_files(recipe)
    digest = digest_of(recipe, lock, files)
    return {
        "format": PLAN_FORMAT,
        "name": recipe.name,
        "recipe_digest": digest,
        "version": digest[:VERSION_LENGTH],
        "architecture": recipe.architecture,
        **_origin(recipe, lock),
        "epoch": lock.epoch,
        "root_volume": recipe.root_volume.model_dump(),
        "apt_sources": [{"archive": archive.name, "uri": archive.uri} for archive in archives_of(recipe)],
        "groups": [group.model_dump() for group in recipe.groups],
        "users": [{**user.model_dump(), "groups": list(user.groups)} for user in recipe.users],
        "files": [file.plain() for file in files],
        "services": recipe.services.model_dump(mode="json"),
        "steps": _steps(recipe),
        "tests": [_test(test) for test in recipe.tests],
        "kernel_command_line": _command_line(recipe),
        "timezone": recipe.timezone,
        "locale": recipe.locale,
        "hostname": recipe.hostname,
        "drop": recipe.drop.model_dump(),
        "hygiene": recipe.hygiene.model_dump(mode="json"),
    }


def _origin(recipe: Recipe, lock: Lock | AmiLock) -> dict[str, Any]:
    """Return what the image is made from."""
    if isinstance(lock, AmiLock):
        return {"base": lock.plain()["ami"], "install": sorted(recipe.packages), "packages": []}
    return {
        "distribution": lock.distribution.model_dump(),
        "indexed": lock.index_date(),
        "packages": [package.model_dump() for package in lock.packages],
        "system": sorted(distribution_of(recipe).base_packages),
    }


def _command_line(recipe: Recipe) -> str:
    return f"{KERNEL_COMMAND_LINE}{KERNEL_PARAMETERS_OF.get(recipe.architecture, '')} {recipe.kernel_command_line}".strip()


def _steps(recipe: Recipe) -> list[dict[str, Any]]:
    """Return the steps, each with its file and line for the message when it fails."""
    steps = []
    for number, step in enumerate(recipe.steps):
        place = recipe.document.place(("steps", number))
        file = os.path.relpath(place.file, recipe.directory)
        steps.append({**step.model_dump(), "file": file, "line": place.line})
    return steps


def _test(test: Test) -> dict[str, Any]:
    return test.model_dump(mode="json", exclude_none=True)
