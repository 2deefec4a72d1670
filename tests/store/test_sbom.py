"""The bill of materials: valid by CycloneDX's own schema, complete, and the same for the same image."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ingot.store.sbom import sbom

DIGEST = "ab" * 32


@pytest.fixture
def manifest():
    return {
        "name": "web",
        "version": DIGEST[:12],
        "recipe_digest": DIGEST,
        "architecture": "x86_64",
        "epoch": 1_700_000_000,
        "os": {
            "id": "debian",
            "version_id": "12",
            "codename": "bookworm",
            "pretty_name": "Debian GNU/Linux 12 (bookworm)",
            "kernel": "6.1.0-1-cloud-amd64",
        },
        "packages": [
            {
                "name": "libstdc++6",
                "version": "1:12.2.0-14+deb12u1~x",
                "architecture": "amd64",
                "installed_kib": 2000,
                "source": "gcc-12",
                "maintainer": "Debian GCC Maintainers <debian-gcc@lists.debian.org>",
                "sha256": "cd" * 32,
            },
            {"name": "old", "version": "1", "architecture": "all", "installed_kib": 1},
        ],
        "files": [
            {"path": "/usr/bin/x", "type": "file", "size": 1, "sha256": "0" * 64},
            {"path": "/srv/a\udcff b", "type": "file", "size": 3, "sha256": "1" * 64, "layer": 1},
            {"path": "/srv", "type": "directory", "size": 0, "layer": 1},
        ],
        "disk": {"root_digest": "ef" * 32},
    }


def test_it_is_valid(manifest):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom(manifest)) is None


def test_packages_have_their_purl_and_the_hash_of_their_file(manifest):
    found = {part["name"]: part for part in json.loads(sbom(manifest))["components"]}
    assert found["libstdc++6"]["purl"] == (
        "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64&distro=debian-12&upstream=gcc-12"
    )
    assert found["libstdc++6"]["hashes"] == [{"alg": "SHA-256", "content": "cd" * 32}]
    assert found["old"]["purl"] == "pkg:deb/debian/old@1?arch=all&distro=debian-12"


def test_who_supplies_what_and_who_says_so(manifest):
    document = json.loads(sbom(manifest, "Example Team"))
    found = {part["name"]: part.get("supplier") for part in document["components"]}
    assert found["libstdc++6"] == {
        "name": "Debian GCC Maintainers",
        "contact": [{"email": "debian-gcc@lists.debian.org"}],
    }
    assert found["old"] is None
    assert found["debian"] == {"name": "Debian"}
    metadata = document["metadata"]
    assert metadata["authors"] == [{"name": "Example Team"}]
    assert metadata["supplier"] == metadata["component"]["supplier"] == {"name": "Example Team"}
    assert json.loads(sbom(manifest))["metadata"]["authors"] == [{"name": "ingot"}]


def test_system_and_files_of_the_recipe_are_in_it(manifest):
    document = json.loads(sbom(manifest))
    kinds = {part["name"]: part["type"] for part in document["components"]}
    assert kinds == {
        "debian": "operating-system",
        "libstdc++6": "library",
        "old": "library",
        "/srv/a\\xff b": "file",
    }
    image = document["metadata"]["component"]
    assert (image["name"], image["version"]) == ("web", DIGEST[:12])
    assert {"name": "ingot:root-digest", "value": "ef" * 32} in image["properties"]
    (whole,) = (entry for entry in document["dependencies"] if entry["ref"] == image["bom-ref"])
    assert len(whole["dependsOn"]) == 4


def test_the_same_image_has_the_same_one_and_another_has_another(manifest):
    first = sbom(manifest)
    assert sbom(manifest) == first
    document = json.loads(first)
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    manifest["disk"]["root_digest"] = "00" * 32
    assert json.loads(sbom(manifest))["serialNumber"] != document["serialNumber"]


def test_stages_are_named_by_their_digests_and_not_as_parts_of_the_image(manifest):
    manifest["stages"] = [{"name": "build", "digest": "cd" * 32}]
    document = json.loads(sbom(manifest))
    (stage,) = (part for part in document["components"] if part["name"] == "stage build")
    assert (stage["scope"], stage["version"], stage["type"]) == ("excluded", "cd" * 6, "platform")
    assert stage["properties"] == [{"name": "ingot:stage-digest", "value": "cd" * 32}]


def test_artifacts_and_packages_of_languages_have_their_hashes(manifest):
    manifest["dependencies"] = [
        {"name": "https://example.com/a.jar", "kind": "artifact", "sha256": "aa" * 32, "size": 3},
        {"name": "pkg:pypi/flask", "kind": "python", "version": "3.1.0", "sha256": "bb" * 32, "size": 4},
        {"name": "pkg:npm/%40scope/x", "kind": "node", "version": "1.0.0", "sha256": "cc" * 32, "size": 5},
    ]
    parts = {part["bom-ref"]: part for part in json.loads(sbom(manifest))["components"]}
    assert parts["artifact:https://example.com/a.jar"]["hashes"][0]["content"] == "aa" * 32
    assert parts["pkg:pypi/flask@3.1.0"]["hashes"][0]["content"] == "bb" * 32
    assert parts["pkg:npm/%40scope/x@1.0.0"]["hashes"][0]["content"] == "cc" * 32
