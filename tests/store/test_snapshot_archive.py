"""A package that the mirror dropped comes from the snapshot archive, by the SHA-256 of the lock."""

import hashlib

import pytest

from ingot.bake.packages.cache import package_file
from ingot.bake.packages.fetch import fetch_packages
from ingot.errors import BakeError
from ingot.recipe.lock.mirrors import addresses
from tests.recipe.archive import build_package, served


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A plan with one package, which only the snapshot archive of its date has."""
    top = tmp_path / "served" / "snapshot" / "debian" / "20260131T120000Z"
    top.mkdir(parents=True)
    build_package(top, "old", {"etc/old": "old\n"})
    data = (top / "pool" / "old_1.0_all.deb").read_bytes()
    package = {"name": "old", "version": "1.0", "archive": "debian", "path": "pool/old_1.0_all.deb"}
    package |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    with served(tmp_path / "served") as uri:
        monkeypatch.setenv("INGOT_MIRROR", f"{uri}/mirror/debian")
        monkeypatch.setenv("INGOT_SNAPSHOT", f"{uri}/snapshot/{{archive}}/{{date}}/")
        yield {
            "distribution": {"id": "debian", "suite": "bookworm"},
            "indexed": 1769860800,
            "packages": [package],
        }


def test_it_is_asked_after_the_mirror(plan, tmp_path):
    fetch_packages(plan["packages"], tmp_path / "store", addresses(plan), print)
    assert package_file(tmp_path / "store", plan["packages"][0]["sha256"]).is_file()


def test_without_one_the_package_is_named_and_what_helps(plan, tmp_path, monkeypatch):
    monkeypatch.delenv("INGOT_SNAPSHOT")
    with pytest.raises(BakeError, match=r"package old 1\.0 cannot be had") as caught:
        fetch_packages(plan["packages"], tmp_path / "store", addresses(plan), print)
    assert "INGOT_SNAPSHOT names an archive that keeps them" in str(caught.value)


def test_what_is_not_the_locked_package_is_not_taken(plan, tmp_path):
    plan["packages"][0]["sha256"] = "0" * 64
    with pytest.raises(BakeError, match="cannot be had"):
        fetch_packages(plan["packages"], tmp_path / "store", addresses(plan), print)
    assert not list((tmp_path / "store").rglob("*.deb"))
