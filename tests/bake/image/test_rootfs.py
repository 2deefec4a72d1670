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
    assert (ENGINE_FORMAT, digest.hexdigest()[:16]) == (14, "9df2a9f655d7c2da")


def test_core_files_and_line_disciplines_are_off_by_default():
    settings = configparser.ConfigParser()
    settings.read_string("[sysctl]\n" + (SOURCES / "hardening.conf").read_text())
    assert dict(settings["sysctl"]) == {"fs.suid_dumpable": "0", "dev.tty.ldisc_autoload": "0"}
    limits = [line.split() for line in (SOURCES / "core.conf").read_text().splitlines() if line[0] != "#"]
    assert limits == [["*", "hard", "core", "0"], ["root", "hard", "core", "0"]]
    manager = configparser.ConfigParser(interpolation=None)
    manager.optionxform = str
    manager.read_string((SOURCES / "environment.conf").read_text())
    assert manager["Manager"]["DefaultLimitCORE"] == "0"


def test_interfaces_take_the_mtu_of_dhcp():
    """A VPC's DHCP server says 9001, and systemd-networkd takes no notice by default (systemd.network(5))."""
    network = configparser.ConfigParser(strict=False, interpolation=None)
    network.read_string((SOURCES / "80-ingot.network").read_text())
    assert network["DHCPv4"].getboolean("UseMTU")
