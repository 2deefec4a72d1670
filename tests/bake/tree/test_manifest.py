import json

from ingot.bake.tree.inventory import READ, STATUS
from ingot.bake.tree.manifest import Contents, manifest_text
from ingot.blocks import DiskDigest
from tests.specs import bake_spec


def paragraph(name, state):
    return f"Package: {name}\nStatus: {state}\nVersion: 1\nArchitecture: all\n"


def test_a_package_of_which_only_configuration_is_left_is_not_installed():
    status = "\n".join(
        [
            paragraph("here", "install ok installed"),
            paragraph("held", "hold ok triggers-pending"),
            paragraph("removed", "deinstall ok config-files"),
            paragraph("purged", "purge ok not-installed"),
        ]
    )
    contents = dict.fromkeys(READ, b"") | {STATUS: status.encode()}
    image = Contents(contents, [], b"", [])
    disk = DiskDigest(1 << 20, 0, (), "cd" * 32)
    manifest = json.loads(manifest_text(bake_spec(), image, "6.1", disk, {}))
    assert [package["name"] for package in manifest["packages"]] == ["held", "here"]
