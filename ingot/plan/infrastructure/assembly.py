"""Reads a cloud assembly, the directory that ``cdk synth`` writes: its stacks, templates and assets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stack:
    """One stack of an assembly. ``name`` is CloudFormation's, ``selector`` what the CDK CLI calls it."""

    name: str
    selector: str
    environment: str
    """Account and region, as ``aws://ACCOUNT/REGION``."""
    template: dict[str, Any]
    assets: dict[str, str] = field(default_factory=dict)
    """Hash of each asset but golden images and the template itself → its name for people."""


def read_stacks(directory: Path) -> dict[str, Stack]:
    """Return the stacks of the assembly in ``directory`` by name, those of its stages as well.

    The format is the CDK's ``cloud-assembly-schema``: manifest.json has stacks, asset manifests and nested assemblies.
    """
    return {stack.name: stack for stack in _stacks(directory)}


def _stacks(directory: Path) -> Iterator[Stack]:
    artifacts: dict[str, Any] = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))[
        "artifacts"
    ]
    for name, artifact in artifacts.items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(directory / properties["directoryName"])
        if artifact["type"] != "aws:cloudformation:stack":
            continue
        manifest = artifacts.get(f"{name}.assets")
        yield Stack(
            name=properties.get("stackName", name),
            # Of a stage's stack the display name, "Stage/Stack"; of others it is the same as the artifact's.
            selector=artifact.get("displayName", name),
            environment=artifact["environment"],
            template=_json(directory / properties["templateFile"]),
            assets=_assets(directory / manifest["properties"]["file"], properties["templateFile"])
            if manifest
            else {},
        )


def _assets(manifest: Path, template: str) -> dict[str, str]:
    content = _json(manifest)
    found = {}
    for kind in ("files", "dockerImages"):
        for digest, asset in content.get(kind, {}).items():
            source = asset["source"]
            if source.get("path") != template and not _is_golden(source):
                found[digest] = str(
                    asset.get("displayName") or source.get("path") or source.get("directory") or kind
                )
    return found


def _is_golden(source: dict[str, Any]) -> bool:
    command = source.get("executable", [])
    return bool(command[1:4] == ["-m", "ingot.cli.main", "publish"])


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
