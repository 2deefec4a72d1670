import subprocess

import pytest

from ingot.bake.packages.ahead import Ahead
from ingot.bake.packages.deb import LockedDeb
from tests.recipe.archive import build_package


@pytest.fixture
def packages(tmp_path):
    """Three packages; each has a file of 1 MiB that compresses to nothing."""
    directory = tmp_path / "debs"
    directory.mkdir()
    found = []
    for name in ("one", "two", "three"):
        build_package(directory, name, {f"usr/share/{name}": name * (1 << 20)})
        found.append(LockedDeb(name, "1.0", "all", directory / "pool" / f"{name}_1.0_all.deb"))
    return found


@pytest.fixture
def ahead(tmp_path):
    (tmp_path / "layers").mkdir()
    with Ahead(tmp_path / "layers", workers=1) as ahead:
        yield ahead


def test_what_is_decompressed_is_what_dpkg_gives(ahead, packages):
    ahead.expect(packages)
    ahead.begin()
    for package in packages:
        # A package whose turn has not come is not waited for.
        tar = ahead.take(package.name)
        if tar is not None:
            with tar:
                command = ["dpkg-deb", "--fsys-tarfile", package.file]
                assert tar.read() == subprocess.run(command, check=True, capture_output=True).stdout
    assert ahead.take("one") is None


def test_one_is_waited_for_when_it_is_being_decompressed(ahead, packages):
    ahead.expect(packages[:1])
    [pending] = ahead.begin()
    while not (pending.running() or pending.done()):
        pass
    with ahead.take("one") as tar:
        assert b"usr/share/one" in tar.read()


@pytest.mark.parametrize("fault", ["damaged", "too large"])
def test_what_cannot_be_had_is_left_to_the_unpacking(ahead, packages, fault):
    package = packages[0]
    if fault == "damaged":
        package.file.write_bytes(package.file.read_bytes()[:-40])
    else:
        package = LockedDeb("one", "1.0", "all", package.file, limit=1 << 20)
    ahead.expect([package])
    [pending] = ahead.begin()
    assert pending.result(60) is None
    assert ahead.take("one") is None


def test_nothing_is_left_in_the_directory(tmp_path, ahead, packages):
    ahead.expect(packages)
    assert all(pending.result(60) is not None for pending in ahead.begin())
    assert list((tmp_path / "layers").iterdir()) == []


def test_what_was_unpacked_meanwhile_is_not_decompressed(ahead, packages):
    ahead.expect(packages)
    assert ahead.take("one") is None
    assert len(ahead.begin()) == 2
    assert ahead.begin() == []


def test_one_processor_alone_does_not_work_twice(tmp_path, packages):
    with Ahead(tmp_path, workers=0) as ahead:
        ahead.expect(packages)
        assert ahead.begin() == []
        assert ahead.take("one") is None
