"""Wheels of real packages from the machine's Python index, and what is said of those that it has not."""

import pytest

from ingot.errors import IngotError, InputError
from ingot.progress import silent
from ingot.recipe.load import load_recipe
from ingot.store.downloads.python import lock_python
from ingot.store.downloads.wheels import WheelTarget, fetch_wheel, platform_of

pytestmark = pytest.mark.slow
VERSIONS = {"python3": "3.11.2-1+b1", "libc6": "2.36-9+deb12u14"}
# Of the files that PyPI has of them.
ITSDANGEROUS = (
    "itsdangerous==2.2.0 --hash=sha256:c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef\n"
)
MARKUPSAFE = (
    "markupsafe==3.0.2 --hash=sha256:a123e330ef0853c6e822384873bef7507557d8e4a082961e1defa947aa59ba84\n"
)
# It has a source distribution and no wheel.
SOURCE = f"docopt==0.6.2 --hash=sha256:{'49' * 32}\n"
PYPY_ONLY = WheelTarget("3.11", (2, 36), "riscv64")


@pytest.fixture
def lock(tmp_path):
    """Lock the Python packages of a recipe with a requirements file."""
    directory = tmp_path / "image_recipes" / "web"
    directory.mkdir(parents=True)

    def lock_text(text, known=None):
        (directory / "requirements.txt").write_text(text)
        (directory / "recipe.yaml").write_text(
            "name: web\nbase: {debian: bookworm}\nroot_volume: {size: 2GiB}\n"
            "python: {requirements: requirements.txt, target: /srv/venv}\n"
        )
        recipe = load_recipe(directory / "recipe.yaml")
        return lock_python(recipe, VERSIONS, known, tmp_path / "packages", silent)

    return lock_text


def test_the_wheels_that_fit_the_image_are_pinned_and_kept(lock, tmp_path):
    locked = lock(MARKUPSAFE + ITSDANGEROUS)
    assert [wheel.file for wheel in locked.wheels] == [
        "itsdangerous-2.2.0-py3-none-any.whl",
        "MarkupSafe-3.0.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    ]
    assert locked.installer.name == "pip"
    kept = [file for file in (tmp_path / "packages").rglob("*") if file.is_file()]
    assert sorted(file.name for file in kept) == sorted(
        wheel.sha256 for wheel in (*locked.wheels, locked.installer)
    )
    assert lock(MARKUPSAFE + ITSDANGEROUS, known=locked) is locked
    wheel = locked.wheels[0]
    for file in kept:
        file.unlink()
    url = f"pkg:pypi/{wheel.name}@{wheel.version}?file_name={wheel.file}"
    fetch_wheel(url, wheel.sha256, platform_of("3.11", "2.36-9", "x86_64"), tmp_path / "packages")
    assert (tmp_path / "packages" / wheel.sha256[:2] / wheel.sha256).is_file()
    with pytest.raises(IngotError, match=r"the Python index has another itsdangerous==2.2.0 than the lock"):
        fetch_wheel(url, "ab" * 32, platform_of("3.11", "2.36-9", "x86_64"), tmp_path / "packages")


def test_what_the_index_has_otherwise_is_named_with_its_line(lock):
    other = ITSDANGEROUS.replace("c6242fc4", "00000000")
    with pytest.raises(InputError) as caught:
        lock(f"# pinned\n{other}{SOURCE}nothing-has-this-name==1 --hash=sha256:{'ab' * 32}\n")
    lines = str(caught.value)
    assert "requirements.txt:2:1: itsdangerous-2.2.0-py3-none-any.whl with the SHA-256 c6242fc4" in lines
    assert "requirements.txt:3:1: docopt==0.6.2 has no wheel for Python 3.11 on x86_64" in lines
    assert "requirements.txt:4:1: nothing-has-this-name==1 has no wheel" in lines
    assert "source distributions and wheels for other platforms are not taken" in lines


def test_a_wheel_for_another_platform_does_not_count(tmp_path):
    with pytest.raises(IngotError, match=r"markupsafe==3.0.2 cannot be fetched from the Python index"):
        fetch_wheel("pkg:pypi/markupsafe@3.0.2", "ab" * 32, PYPY_ONLY, tmp_path)
