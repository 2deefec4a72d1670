"""A package that the mirror dropped comes from the snapshot archive, by the SHA-256 of the lock."""

import hashlib

import pytest

from ingot.bake.packages.cache import package_file
from ingot.bake.packages.fetch import fetch_packages
from ingot.errors import BakeError
from ingot.recipe.lock.mirrors import addresses
from ingot.spec import DistributionSpec
from tests.recipe.archive import build_package, served
from tests.specs import bake_spec, package


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A bake spec with one package, which only the snapshot archive of its date has."""
    top = tmp_path / "served" / "snapshot" / "debian" / "20260131T120000Z"
    top.mkdir(parents=True)
    build_package(top, "old", {"etc/old": "old\n"})
    data = (top / "pool" / "old_1.0_all.deb").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    old = package("old", version="1.0", path="pool/old_1.0_all.deb", sha256=digest, size=len(data))
    with served(tmp_path / "served") as uri:
        monkeypatch.setenv("INGOT_MIRROR", f"{uri}/mirror/debian")
        monkeypatch.setenv("INGOT_SNAPSHOT", f"{uri}/snapshot/{{archive}}/{{date}}/")
        yield bake_spec(
            distribution=DistributionSpec("debian", "bookworm"), indexed=1769860800, packages=(old,)
        )


def test_it_is_asked_after_the_mirror(spec, tmp_path):
    fetch_packages(spec.packages, tmp_path / "store", addresses(spec), print)
    assert package_file(tmp_path / "store", spec.packages[0].sha256).is_file()


def test_without_one_the_package_is_named_and_what_helps(spec, tmp_path, monkeypatch):
    monkeypatch.delenv("INGOT_SNAPSHOT")
    with pytest.raises(BakeError, match=r"package old 1\.0 cannot be had") as caught:
        fetch_packages(spec.packages, tmp_path / "store", addresses(spec), print)
    assert "INGOT_SNAPSHOT names an archive that keeps them" in str(caught.value)


def test_what_is_not_the_locked_package_is_not_taken(spec, tmp_path):
    wrong = [spec.packages[0]._replace(sha256="0" * 64)]
    with pytest.raises(BakeError, match="cannot be had"):
        fetch_packages(wrong, tmp_path / "store", addresses(spec), print)
    assert not list((tmp_path / "store").rglob("*.deb"))
