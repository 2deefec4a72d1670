"""Reads what the CDK wrote: which stacks there are, and which golden images each of them uses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class GoldenAsset:
    """The AMI of a recipe, as an asset of a stack. ``command`` publishes it."""

    stack: str
    recipe: str
    digest: str
    command: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows ``ingot publish`` in the command."""
        return self.command[4:]


@dataclass(frozen=True)
class Assembly:
    """A cloud assembly, the directory ``cdk.out``. ``bootstrap``: SSM parameters that tell where the CDK is bootstrapped.

    ``places``: the account and region of each stack, None where the app leaves them to the caller.
    """

    directory: Path
    stacks: tuple[str, ...]
    bootstrap: tuple[str, ...]
    images: tuple[GoldenAsset, ...]
    places: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def accounts(self, stacks: Iterable[str]) -> tuple[str, ...]:
        """Return the accounts that some of these stacks name."""
        return tuple(sorted({account for name in stacks if (account := self.places[name][0])}))

    def regions(self, stacks: Iterable[str]) -> tuple[str, ...]:
        """Return the regions that some of these stacks name."""
        return tuple(sorted({region for name in stacks if (region := self.places[name][1])}))


def read_assembly(directory: Path) -> Assembly:
    """Return what matters of the cloud assembly in ``directory``.

    Its format is the CDK's ``cloud-assembly-schema``: manifest.json names the stacks' artifacts and asset manifests.
    """
    artifacts: dict[str, Any] = json.loads((directory / "manifest.json").read_text())["artifacts"]
    stacks = {name: value for name, value in artifacts.items() if value["type"] == "aws:cloudformation:stack"}
    images: list[GoldenAsset] = []
    for artifact in artifacts.values():
        if artifact["type"] == "cdk:asset-manifest":
            file = directory / artifact["properties"]["file"]
            images += _images(file.name.removesuffix(".assets.json"), json.loads(file.read_text()))
    properties = {name: value.get("properties", {}) for name, value in stacks.items()}
    bootstrap = {
        found["bootstrapStackVersionSsmParameter"] for found in properties.values() if _bootstrapped(found)
    }
    names = tuple(found.get("stackName", name) for name, found in properties.items())
    places = {
        name: _place(stack.get("environment", "")) for name, stack in zip(names, stacks.values(), strict=True)
    }
    return Assembly(directory, names, tuple(sorted(bootstrap)), tuple(images), places)


def _place(environment: str) -> tuple[str | None, str | None]:
    """Return account and region of ``aws://ACCOUNT/REGION``; the CDK writes unknown-account and unknown-region for what is open."""
    account, _, region = environment.removeprefix("aws://").partition("/")
    return (
        None if account in ("", "unknown-account") else account,
        None if region in ("", "unknown-region") else region,
    )


def _bootstrapped(properties: dict[str, Any]) -> bool:
    """Whether the stack needs the CDK's bootstrap resources: it does unless its synthesizer is a special one."""
    return "bootstrapStackVersionSsmParameter" in properties


def _images(stack: str, manifest: dict[str, Any]) -> list[GoldenAsset]:
    found = []
    for asset in manifest.get("files", {}).values():
        command = asset["source"].get("executable", [])
        if command[1:4] == ["-m", "ingot.cli.main", "publish"]:
            digest = command[command.index("--digest") + 1]
            found.append(GoldenAsset(stack, command[4], digest, tuple(command)))
    return found
