"""`ingot show` on the real image of image_recipes/web."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from ingot.cli.main import cli
from ingot.errors import InputError
from ingot.report.image import summary
from ingot.store.sizes import directory_sizes, package_sizes
from tests.baked import ROOT, baked_store, web_image
from tests.outputs import document_of

__all__ = ["baked_store", "web_image"]
pytestmark = pytest.mark.slow


@pytest.fixture
def show(web_image, monkeypatch, tmp_path):
    (tmp_path / "store").symlink_to(web_image.directory.parent.parent)
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)

    def run(*arguments):
        done = CliRunner().invoke(cli, ["show", *arguments])
        if done.exception is not None:
            raise done.exception
        return done.output

    return run


def test_it_says_what_is_in_the_image_on_eighty_columns(show, web_image):
    text = show("web")
    lines = text.splitlines()
    assert [line for line in lines[:-1] if len(line) > 80] == []
    assert lines[-1].endswith("/disk.raw")
    for word in (
        web_image.digest,
        web_image.root_digest,
        "Debian GNU/Linux 12",
        web_image.manifest["os"]["kernel"],
        "app (990), /srv/web, /usr/sbin/nologin, in www-data",
        "apache2.service",
        "the app is healthy: GET /healthz gives 200",
        "nothing was found",
    ):
        assert word in text
    assert show(web_image.digest[:10]) == text


def test_what_is_allowed_is_shown_with_its_reason(web_image):
    hygiene = {
        "findings": [],
        "allowed": [{"finding": "setuid", "path": "/x", "found": "-", "reason": "needed by y"}],
    }
    changed = type(web_image)(web_image.digest, web_image.directory)
    changed.__dict__["manifest"] = {**web_image.manifest, "hygiene": hygiene}
    assert "allowed: setuid /x: needed by y" in summary(changed)


def test_sizes_of_packages_add_up_to_all_files(show, web_image):
    files = [file for file in web_image.manifest["files"] if file["type"] == "file"]
    sizes = package_sizes(web_image)
    assert sum(package.size for package in sizes) == sum(file["size"] for file in files)
    assert sum(package.files for package in sizes) == len(files)
    named = {package.name: package for package in sizes}
    assert named[""].size < 0.15 * sum(package.size for package in sizes)
    perl = next(file for file in files if file["path"] == "/usr/bin/perl")
    assert named["perl-base"].size > perl["size"]
    lines = show("web", "--packages").splitlines()
    assert len(lines) == len(web_image.manifest["packages"]) + 2
    assert "linux-image" in lines[1]
    assert max(map(len, lines)) <= 80
    assert document_of("show", show("web", "--packages", "--json"))[0]["name"] == sizes[0].name


def test_the_tree_adds_up(show, web_image):
    found = {directory.path: directory for directory in directory_sizes(web_image.manifest)}
    tops = [directory for directory in found.values() if directory.depth == 1]
    assert found["/"].size == sum(directory.size for directory in tops)
    lines = show("web", "--tree", "--depth", "1").splitlines()
    assert lines[1].endswith("/usr")
    assert max(map(len, lines)) <= 80
    rows = document_of("show", show("web", "--tree", "--json"))
    assert {row["path"].count("/") for row in rows} <= {1, 2}


def test_the_bill_of_materials_is_valid_and_has_every_package(show, web_image):
    text = show("web", "--sbom")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = json.loads(text)["components"]
    packages = [part for part in parts if part["type"] == "library"]
    assert len(packages) == len(web_image.manifest["packages"])
    assert all(part["hashes"] for part in packages)
    assert "/srv/web/wsgi.py" in {part["name"] for part in parts}


def test_two_views_at_once_are_refused(show):
    with pytest.raises(InputError, match="exclude each other"):
        show("web", "--packages", "--tree")
