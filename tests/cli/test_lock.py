import shutil
import subprocess
import sys

import pytest

from tests.outputs import document_of
from tests.recipe.archive import LATER, stanza
from tests.recipe.conftest import archive, signer, web

__all__ = ["archive", "signer", "web"]
pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("gpg", "apt-get")),
    reason="signing a test archive needs gpg, reading it apt",
)
OLD = [stanza("apache2"), stanza("curl")]
NEW = [stanza("apache2", "1.1", Depends="helper"), stanza("curl", "1.1"), stanza("helper")]


@pytest.fixture
def ingot(web):
    """Runs the command line above a recipe that names apache2 and curl."""
    web.replace("[apache2]", "[apache2, curl]")

    def run(*arguments):
        command = [sys.executable, "-m", "ingot.cli.main", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_what_moved_is_printed_and_nothing_else(web, archive, ingot):
    """Of a first lock all packages are new: how many there are is enough."""
    archive(OLD)
    first = ingot("lock", "web")
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    assert "image_recipes/web/recipe.lock: " in first.stderr
    assert "packages, as of 2023-11-14\n" in first.stderr
    again = ingot("lock", "web")
    assert (again.returncode, again.stdout) == (0, "")
    assert "image_recipes/web/recipe.lock: nothing moved" in again.stderr


def test_with_json_it_says_what_moved_and_whether_the_lock_was_written(web, archive, ingot):
    archive(OLD)
    first = document_of("lock", ingot("lock", "web", "--json").stdout)
    assert "+ apache2 1.0" in first["moved"]
    assert first["written"] is True
    assert first["packages"] >= 2
    again = document_of("lock", ingot("lock", "web", "--json").stdout)
    assert again == {**first, "moved": [], "written": False}


def test_an_upgrade_moves_what_it_names(web, archive, ingot):
    archive(OLD)
    ingot("lock", "web")
    archive(OLD, NEW, date=LATER)
    assert ingot("lock", "web").stdout == ""
    one = ingot("lock", "web", "--upgrade", "curl")
    assert (one.returncode, one.stdout) == (0, "  curl 1.0 -> 1.1\n"), one.stderr
    rest = ingot("lock", "web", "--upgrade")
    assert (rest.returncode, rest.stdout) == (0, "  apache2 1.0 -> 1.1\n+ helper 1.0\n"), rest.stderr


def test_packages_without_upgrade(web, archive, ingot):
    done = ingot("lock", "web", "curl")
    assert done.returncode == 2
    assert "together with --upgrade\n  hint: ingot lock " in done.stderr


def test_a_bad_signature_leaves_the_lock_as_it_was(web, archive, ingot):
    root = archive(OLD)
    ingot("lock", "web")
    before = web.lock.read_bytes()
    index = root / "debian/dists/bookworm/main/binary-amd64/Packages"
    index.write_text(index.read_text().replace("Size: 100", "Size: 101"))
    done = ingot("lock", "web", "--upgrade")
    assert done.returncode == 1
    assert "cannot be fetched" in done.stderr
    assert web.lock.read_bytes() == before


def test_the_lock_of_one_environment(web, archive, ingot):
    web.file.write_text(web.file.read_text() + "environments: {prod: {}}\n")
    archive(OLD)
    ingot("lock", "web")
    own = web.path / "recipe.prod.lock"
    done = ingot("lock", "web", "--env", "prod")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert own.read_bytes() == web.lock.read_bytes()
    archive(OLD, NEW, date=LATER)
    assert "apache2 1.0 -> 1.1" in ingot("lock", "web", "--upgrade").stdout
    assert '"version": "1.1"' not in own.read_text()
    digests = {ingot("digest", "web", *more).stdout for more in ((), ("--env", "prod"))}
    assert len(digests) == 2


def test_the_lock_of_all_environments_though_a_variable_has_no_default(web, archive, ingot):
    text = web.file.read_text() + "variables: {host: }\nenvironments: {prod: {host: p}, test: {host: t}}\n"
    archive(OLD)
    web.file.write_text(text.replace("steps:", 'hostname: "${host}"\nsteps:'))
    assert "recipe.lock: 13 packages, as of " in ingot("lock", "web").stderr
    assert [path.name for path in web.path.glob("*.lock")] == ["recipe.lock"]
    assert ingot("check", "web").stdout == "web in prod: ok\nweb in test: ok\n"


def test_a_stale_lock_says_what_to_run(web, archive, ingot):
    archive(OLD)
    ingot("lock", "web")
    web.replace("[apache2, curl]", "[apache2, curl, vim]")
    done = ingot("digest", "web")
    assert done.returncode == 2
    assert "recipe.yaml:4:27: the lock lacks the package 'vim'" in done.stderr
    assert "run: ingot lock web" in done.stderr
