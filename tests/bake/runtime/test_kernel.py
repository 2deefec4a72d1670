"""Programs of an image are told of its own kernel."""

import subprocess

import pytest

from ingot.bake.runtime.chroot import Chroot
from ingot.bake.runtime.kernel import kernel_release, place_uname
from tests.specs import bake_spec, package

RELEASE = "6.1.0-99-test"


@pytest.mark.parametrize(
    ("names", "release"),
    [
        (["linux-image-cloud-amd64", "linux-image-6.1.0-40-cloud-amd64"], "6.1.0-40-cloud-amd64"),
        (["linux-image-aws", "linux-image-6.8.0-1021-aws"], "6.8.0-1021-aws"),
        (["linux-image-unsigned-6.8.0-1021-aws"], "6.8.0-1021-aws"),
        (["linux-image-6.1.0-40-amd64", "linux-image-6.1.0-40-amd64-dbg"], "6.1.0-40-amd64"),
        (["linux-image-6.1.0-40-amd64", "linux-image-6.1.0-41-amd64"], None),
        (["apache2"], None),
    ],
)
def test_the_kernel_is_the_one_of_the_packages(names, release):
    assert kernel_release(bake_spec(packages=tuple(map(package, names)))) == release


@pytest.fixture
def said(tmp_path):
    """What `uname` says to a program of the image, and what the machine's own says."""
    place_uname(tmp_path, RELEASE)

    def run(*options):
        programs = (str(tmp_path / "ingot/bin/uname"), "/bin/uname")
        run = [subprocess.run([p, *options], capture_output=True, text=True, check=True) for p in programs]
        return [done.stdout for done in run]

    return run


def test_the_release_is_the_images(said):
    assert said("-r")[0] == said("--kernel-release")[0] == f"{RELEASE}\n"


def test_nothing_of_the_machines_kernel_is_in_the_whole_answer(said):
    own, machines = said("-a")
    assert RELEASE in own
    assert said("-r")[1].strip() not in own
    assert said("-v")[1].strip() not in own
    assert own.split()[:2] == machines.split()[:2]


@pytest.mark.parametrize("option", ["-m", "-s", "-n"])
def test_what_is_not_the_kernels_stays(said, option):
    own, machines = said(option)
    assert own == machines


def test_a_wrong_option_fails_as_ever(tmp_path):
    place_uname(tmp_path, RELEASE)
    wrong = subprocess.run([tmp_path / "ingot/bin/uname", "--nonsense"], capture_output=True, check=False)
    assert wrong.returncode != 0
    assert b"nonsense" in wrong.stderr


def test_it_comes_first_where_the_image_has_a_kernel(tmp_path):
    assert Chroot(tmp_path, epoch=1, kernel=RELEASE).environment["PATH"].startswith("/run/ingot/bin:")
    assert "/run" not in Chroot(tmp_path, epoch=1).environment["PATH"]
