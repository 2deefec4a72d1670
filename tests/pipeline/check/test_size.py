"""Whether a recipe's content fits its root volume, before anything is baked."""

import hashlib
import json
import os
import subprocess

import pytest

from ingot.cli.main import main
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.distribution import distribution_of

MIB = 2**20
PLACE = "image_recipes/big/recipe.yaml:3:21"
TOO_SMALL = (
    f": {PLACE}: size 4MiB is too small: packages, files and app need at least 6MiB\n"
    "  3 | root_volume: {size: 4MiB}\n"
    "    |                     ^\n"
    "  hint: raise root_volume.size in the recipe; clones need room to work, too\n"
)


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Makes a recipe of 4 MiB with one package, and checks it; gives code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    directory = tmp_path / "image_recipes" / "big"
    (directory / "app").mkdir(parents=True)
    deb = tmp_path / "big.deb"

    def build(files):
        """Make the package's file."""
        (tmp_path / "tree/DEBIAN").mkdir(parents=True)
        for name, data in files.items():
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / name).write_bytes(data)
        kib = sum(map(len, files.values())) // 1024
        (tmp_path / "tree/DEBIAN/control").write_text(
            f"Package: big\nVersion: 1\nArchitecture: all\nInstalled-Size: {kib}\nMaintainer: x"
            " <x@y>\nDescription: x\n"
        )
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", "tree", str(deb)]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    def run(more="", *, here=True):
        text = "name: big\nbase: {debian: bookworm}\nroot_volume: {size: 4MiB}\npackages: [big]\n"
        (directory / "recipe.yaml").write_text(text + more)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        package = {
            "name": "big",
            "version": "1",
            "architecture": "all",
            "sha256": digest,
            "size": deb.stat().st_size,
            "path": "pool/big.deb",
            "archive": "debian",
            "suite": "bookworm",
            "essential": False,
            "role": "install",
        }
        distribution = distribution_of(load_recipe(directory / "recipe.yaml"))
        lock = {
            "format": 1,
            "distribution": {"id": "debian", "suite": "bookworm"},
            "architecture": "amd64",
            "epoch": 1700000000,
            "packages": [package],
            "requested": {
                "base": list(distribution.base_packages),
                "packages": ["big"],
                "tools": list(distribution.tools),
            },
        }
        (directory / "recipe.lock").write_text(json.dumps(lock))
        file = tmp_path / "home/store/packages" / digest[:2] / f"{digest}.deb"
        if here:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(deb.read_bytes())
        with pytest.raises(SystemExit) as ended:
            main(["check"])
        return ended.value.code, *capsys.readouterr()

    run.build, run.app = build, directory / "app"
    return run


def test_packages_that_do_not_fit_are_an_error_at_the_size(check):
    check.build({"opt/random": os.urandom(MIB), "opt/zeros": bytes(4 * MIB + 1)})
    assert check() == (2, "", f"error{TOO_SMALL}")


def test_of_a_package_that_is_not_here_its_own_size_counts(check):
    check.build({"opt/random": os.urandom(MIB), "opt/zeros": bytes(4 * MIB + 1)})
    assert check(here=False) == (0, "big: ok\n", "")


def test_packages_that_alone_are_too_large_need_not_be_here(check):
    check.build({"opt/random": os.urandom(5 * MIB + 1)})
    assert check(here=False) == (2, "", f"error{TOO_SMALL}")


def test_what_the_recipe_drops_does_not_count(check):
    check.build({"opt/random": os.urandom(MIB), "usr/share/doc/big/zeros": bytes(4 * MIB + 1)})
    assert check() == (0, "big: ok\n", "")
    assert check("drop: {docs: false}\n") == (2, "", f"error{TOO_SMALL}")


def test_a_step_may_make_room_so_it_is_a_warning(check):
    check.build({"opt/random": os.urandom(5 * MIB + 1)})
    assert check("steps: [rm /opt/random]\n") == (0, "big: ok\n", f"warning{TOO_SMALL}")


def test_the_app_counts(check):
    check.build({"opt/little": b"x"})
    assert check("app: {source: app/, target: /srv/app}\n") == (0, "big: ok\n", "")
    (check.app / "data").write_bytes(bytes(5 * MIB + 1))
    assert check("app: {source: app/, target: /srv/app}\n") == (2, "", f"error{TOO_SMALL}")


def test_of_a_sparse_file_its_blocks_count(check):
    check.build({"opt/little": b"x"})
    with (check.app / "data").open("wb") as sparse:
        sparse.write(b"x")
        sparse.truncate(5 * MIB + 1)
    assert check("app: {source: app/, target: /srv/app}\n") == (0, "big: ok\n", "")


def test_a_damaged_package_does_not_end_the_check(check, tmp_path):
    check.build({"opt/random": os.urandom(MIB), "opt/zeros": bytes(4 * MIB + 1)})
    check()
    (file,) = (tmp_path / "home/store/packages").glob("*/*.deb")
    file.write_bytes(file.read_bytes()[: MIB // 2])
    assert check(here=False) == (0, "big: ok\n", "")
