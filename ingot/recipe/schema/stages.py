"""Stages: throwaway roots in which what an image takes is built."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from ingot.recipe.schema.dependencies import Artifact, Node, Python
from ingot.recipe.schema.packages import PackageText
from ingot.recipe.schema.parts import App, FileEntry, Part, Step
from ingot.recipe.schema.values import step_from_text

StepOrText = Annotated[Step, BeforeValidator(step_from_text, json_schema_input_type=str | Step)]


class Stage(Part):
    """A root of its own in which something is built; of it, the image has what `from` takes."""

    packages: tuple[PackageText, ...] = ()
    """Packages of the distribution, such as a compiler. No kernel and no init are added to them."""
    artifacts: tuple[Artifact, ...] = ()
    """Files from the web or S3, pinned by SHA-256 in the lock."""
    python: Python | None = None
    """A virtual environment with the wheels of a requirements file or a uv.lock."""
    node: Node | None = None
    """The packages of a package-lock.json, installed by npm."""
    app: App | None = None
    """The stage's app: a directory that is copied whole."""
    files: tuple[FileEntry, ...] = ()
    """Files, directories and links of the stage."""
    steps: tuple[StepOrText, ...] = ()
    """Shell commands that build, after files and app are in place, without a network."""
