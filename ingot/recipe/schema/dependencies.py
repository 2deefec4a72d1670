"""What an image has beside the packages of its distribution: artifacts, and packages of languages."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ingot.recipe.schema.parts import Part
from ingot.recipe.schema.values import (
    ArtifactUrl,
    Digest,
    Name,
    NpmName,
    OctalMode,
    Target,
    Text,
    exactly_one,
)
from ingot.recipe.syntax.explain import wrong

# What is said of an artifact that is put somewhere, and not of a package.
_PLACED = ("target", "unpack", "strip", "owner", "group", "mode")


class Artifact(Part):
    """A file from the web or from S3, pinned by the lock: copied, unpacked, or installed as a package."""

    url: ArtifactUrl
    """https://…, http://… or s3://BUCKET/KEY, without a password."""
    target: Target | None = None
    """The file in the image; with `unpack` the directory. Without it, `install` is needed."""
    unpack: Literal["tar", "zip"] | None = None
    """Unpack it into `target`: a tar, as it is or compressed by gzip, bzip2 or xz, or a zip."""
    strip: Annotated[int, Field(ge=0, le=20)] = 0
    """With `unpack`: how many directories at the beginning of each name are left out."""
    owner: Name = "root"
    """Owner of the files."""
    group: Name = "root"
    """Group of the files."""
    mode: OctalMode | None = None
    """Four octal digits in quotes, of a file that is not unpacked. Default: 0644."""
    sha256: Digest | None = None
    """What the file has to be. Without it, `ingot lock` pins what it finds."""
    install: Literal[True] | None = None
    """True: a package (.deb), installed with all that it needs."""

    @model_validator(mode="after")
    def _check_use(self) -> Artifact:
        if self.install:
            if given := [key for key in _PLACED if key in self.model_fields_set]:
                raise wrong(
                    f"install with {' and '.join(given)}", "install alone: a package has its own places"
                )
            if not self.url.endswith(".deb"):
                raise wrong("install of a file that is no package", "an address that ends with .deb")
        elif self.target is None:
            raise wrong("neither target nor install", "where the file goes, or install: true for a package")
        if self.strip and self.unpack is None:
            raise wrong("strip without unpack", "unpack: tar or unpack: zip, too")
        if self.mode is not None and self.unpack is not None:
            raise wrong("mode with unpack", "one of them", "unpacked files keep the modes of their archive")
        return self


class Python(Part):
    """A virtual environment with packages of a Python index, each pinned by its hash."""

    requirements: Annotated[str, Field(min_length=1)] | None = None
    """File beside the recipe with all packages, each as NAME==VERSION with its hashes."""
    uv_lock: Annotated[str, Field(min_length=1)] | None = None
    """uv.lock beside the recipe, with the packages of a project."""
    target: Target
    """Directory of the virtual environment."""
    interpreter: Annotated[
        str, Text(r"/usr/bin/python3(\.[0-9]{1,2})?", "the distribution's Python", "/usr/bin/python3")
    ] = "/usr/bin/python3"
    """The Python of the image that it is made with: a package of the distribution."""

    choices: ClassVar[tuple[str, ...]] = ("requirements", "uv_lock")
    _one = exactly_one(choices)

    @property
    def file(self) -> tuple[str, str]:
        """The key that names the file with the packages, and the file."""
        if self.uv_lock is not None:
            return "uv_lock", self.uv_lock
        return "requirements", self.requirements or ""


class Node(Part):
    """The packages of an npm lock file, each pinned by its hash."""

    package_lock: Annotated[str, Field(min_length=1)]
    """package-lock.json beside the recipe, with its package.json in the same directory."""
    target: Target
    """Directory in which node_modules is made."""
    omit: tuple[Literal["dev", "optional", "peer"], ...] = ()
    """Kinds of dependencies that are left out, as `npm ci --omit` names them."""
    scripts: tuple[NpmName, ...] = ()
    """Packages whose install scripts may run, in the image and without a network."""
