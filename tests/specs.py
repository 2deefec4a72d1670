"""Bake specs for tests: small values, of which each test changes what it is about."""

from ingot.spec import BakeSpec, PackageSpec, StepSpec


def package(name, **fields):
    """A package file of an archive."""
    known = {
        "version": "1", "architecture": "amd64", "sha256": "0" * 64, "size": 1, "path": f"pool/{name}.deb",
        "archive": "debian", "suite": "bookworm", "essential": False, "role": "install",
    }  # fmt: skip
    return PackageSpec(name, **{**known, **fields})


def bake_spec(**fields):
    """The spec of an image without anything in it."""
    known = {
        "name": "web", "recipe_digest": "ab" * 32, "version": "ab" * 6, "architecture": "x86_64", "epoch": 0,
        "root_volume_size": 1 << 30,
    }  # fmt: skip
    return BakeSpec(**{**known, **fields})


def step(run, *, line=1, timeout=60):
    """A step of the recipe."""
    return StepSpec(run, timeout, line)
