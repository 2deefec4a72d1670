"""What every image carries is part of its bytes, but not of its recipe."""

import configparser
import hashlib

from ingot.bake.image.machine import SOURCES
from ingot.recipe.digest import ENGINE_FORMAT


def test_what_every_image_carries_changes_only_with_the_engine_format():
    """Else one recipe digest would stand for two different images; a comment in one of
    the programs counts as well.
    """
    digest = hashlib.sha256()
    for file in sorted(SOURCES.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    assert (ENGINE_FORMAT, digest.hexdigest()[:16]) == (12, "aa6a360c72dc0efc")


def test_interfaces_take_the_mtu_of_dhcp():
    """A VPC's DHCP server says 9001, and systemd-networkd takes no notice by default (systemd.network(5))."""
    network = configparser.ConfigParser(strict=False, interpolation=None)
    network.read_string((SOURCES / "80-ingot.network").read_text())
    assert network["DHCPv4"].getboolean("UseMTU")
