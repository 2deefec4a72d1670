"""Reads a cloud assembly, the directory that ``cdk synth`` writes: stacks, templates, assets, golden images.

The format is the CDK's ``cloud-assembly-schema``: manifest.json names the artifacts of one assembly, and each
``Stage`` is an assembly of its own in a directory inside it. The CDK's own reader, ``aws_cdk.cx_api``, would
start Node.js for every command.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ingot.errors import InputError
from ingot.recipe.asset import PublishCommand, is_publish_command

_UNKNOWN = ("", "unknown-account", "unknown-region")


@dataclass(frozen=True)
class GoldenAsset:
    """The AMI of a recipe, as an asset of a stack, and the command that publishes it."""

    stack: str
    """The stack's key in :attr:`Assembly.stacks`."""
    command: PublishCommand

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return self.command.name

    @property
    def digest(self) -> str:
        """The recipe digest."""
        return self.command.digest


@dataclass(frozen=True)
class Stack:
    """One stack. ``name`` is CloudFormation's, ``selector`` the CDK CLI's, such as ``Stage/Stack``."""

    name: str
    selector: str
    environment: str
    """Account and region, as ``aws://ACCOUNT/REGION``; unknown-account and unknown-region where open."""
    template: dict[str, Any]
    assets: dict[str, str] = field(default_factory=dict)
    """Hash of each asset but golden images and the template itself → its name for people."""
    images: tuple[tuple[str, ...], ...] = ()
    """The commands that publish the golden images that it uses."""
    bootstrap: str | None = None
    """The SSM parameter that says whether the CDK is bootstrapped; None when the stack does without."""

    @property
    def account(self) -> str | None:
        """The account, None where the app leaves it to the caller."""
        return self._place()[0]

    @property
    def region(self) -> str | None:
        """The region, None where the app leaves it to the caller."""
        return self._place()[1]

    def _place(self) -> tuple[str | None, str | None]:
        account, _, region = self.environment.removeprefix("aws://").partition("/")
        return None if account in _UNKNOWN else account, None if region in _UNKNOWN else region


@dataclass(frozen=True)
class Assembly:
    """A cloud assembly, the directory ``cdk.out``, with the stacks of all its stages.

    ``stacks`` are by CloudFormation's names; where stages share a name, in several accounts or regions, by
    selectors. ``directories`` are its own and those of its stages.
    """

    directory: Path
    directories: tuple[Path, ...]
    stacks: Mapping[str, Stack]

    @property
    def images(self) -> tuple[GoldenAsset, ...]:
        """The golden images of all stacks."""
        return tuple(
            GoldenAsset(key, PublishCommand.of(command))
            for key, stack in self.stacks.items()
            for command in stack.images
        )

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """The SSM parameters that say whether the CDK is bootstrapped for these stacks."""
        return tuple(sorted({stack.bootstrap for stack in self.stacks.values() if stack.bootstrap}))

    def select(self, patterns: Iterable[str] | None) -> tuple[str, ...]:
        """Return the keys of the stacks that ``patterns`` name, in their order; all stacks for None.

        A pattern is a stack's name, or what ``cdk deploy`` takes: ``Stack``, ``Stage/Stack``, ``Stage/*``,
        ``Stage/**``. Raises InputError for one that names no stack.
        """
        if patterns is None:
            return tuple(self.stacks)
        selected: dict[str, None] = {}
        for pattern in patterns:
            keys = [
                key
                for key, stack in self.stacks.items()
                if pattern in (key, stack.name) or _matches(stack.selector, pattern)
            ]
            if not keys:
                raise InputError(f"there is no stack {pattern!r}; the app has: {', '.join(self.stacks)}")
            selected |= dict.fromkeys(keys)
        return tuple(selected)

    def names(self, stacks: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return CloudFormation's names of these stacks; None: of all."""
        keys = self.stacks if stacks is None else stacks
        return tuple(dict.fromkeys(self.stacks[key].name for key in keys))

    def selectors(self, stacks: Iterable[str]) -> list[str]:
        """Return what the CDK CLI calls these stacks."""
        return [self.stacks[key].selector for key in stacks]

    def accounts(self, stacks: Iterable[str]) -> tuple[str, ...]:
        """Return the accounts that some of these stacks name."""
        return tuple(sorted({account for key in stacks if (account := self.stacks[key].account)}))

    def regions(self, stacks: Iterable[str]) -> tuple[str, ...]:
        """Return the regions that some of these stacks name."""
        return tuple(sorted({region for key in stacks if (region := self.stacks[key].region)}))


def read_assembly(directory: Path) -> Assembly:
    """Return the cloud assembly in ``directory``, those of its stages included."""
    directories: list[Path] = []
    stacks = list(_stacks(directory, directories))
    names = Counter(stack.name for stack in stacks)
    by_key = {stack.name if names[stack.name] == 1 else stack.selector: stack for stack in stacks}
    return Assembly(directory, tuple(directories), by_key)


def _stacks(directory: Path, directories: list[Path]) -> Iterator[Stack]:
    directories.append(directory)
    artifacts: dict[str, Any] = _json(directory / "manifest.json")["artifacts"]
    for name, artifact in artifacts.items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(directory / properties["directoryName"], directories)
        elif artifact["type"] == "aws:cloudformation:stack":
            manifest = artifacts.get(f"{name}.assets")
            assets = _json(directory / manifest["properties"]["file"]) if manifest else {}
            yield Stack(
                name=properties.get("stackName", name),
                selector=artifact.get("displayName", name),
                environment=artifact["environment"],
                template=_json(directory / properties["templateFile"]),
                assets=_names(assets, properties["templateFile"]),
                images=tuple(filter(None, map(_golden, assets.get("files", {}).values()))),
                bootstrap=properties.get("bootstrapStackVersionSsmParameter"),
            )


def _names(assets: Mapping[str, Any], template: str) -> dict[str, str]:
    """Return the names of the assets in a manifest, without golden images and the stack's own template."""
    names = {}
    for kind in ("files", "dockerImages"):
        for digest, asset in assets.get(kind, {}).items():
            source = asset["source"]
            if source.get("path") != template and _golden(asset) is None:
                name = asset.get("displayName") or source.get("path") or source.get("directory") or kind
                names[digest] = str(name)
    return names


def _golden(asset: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the command that publishes an asset when it is a golden image."""
    command = tuple(asset["source"].get("executable", ()))
    return command if is_publish_command(command) else None


def _matches(selector: str, pattern: str) -> bool:
    """Whether ``pattern`` matches as the CDK CLI's do: ``*`` within one part, ``**`` for any number."""
    return _parts_match(selector.split("/"), pattern.split("/"))


def _parts_match(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_parts_match(parts[start:], patterns[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _parts_match(parts[1:], patterns[1:])


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
