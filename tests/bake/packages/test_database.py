"""What the engine writes into dpkg's database is what dpkg itself writes there."""

import hashlib

from ingot.bake.packages.database import create_database, record
from ingot.bake.packages.deb import Control, LockedDeb
from ingot.deb822 import parse_paragraph

TEXT = "Package: procps\nArchitecture: amd64\nVersion: 2:4.0.4-9\nDescription: x\n"


def test_configuration_files_are_in_the_packages_order(tmp_path):
    """procps of Debian 13 begins its list with one that it has no more."""
    root = tmp_path / "root"
    create_database(root)
    (root / "etc/init.d").mkdir(parents=True)
    (root / "etc/init.d/procps").write_bytes(b"content")
    conffiles = b"remove-on-upgrade /etc/sysctl.conf\n/etc/init.d/procps\n"
    control = Control(TEXT, parse_paragraph(TEXT), {"conffiles": (0o644, conffiles)})
    package = LockedDeb("procps", "2:4.0.4-9", "amd64", tmp_path / "procps.deb")
    record(root, [(package, control, ["/etc/init.d/procps"])])
    status = (root / "var/lib/dpkg/status").read_text()
    digest = hashlib.md5(b"content").hexdigest()
    assert status.partition("Conffiles:\n")[2].splitlines()[:2] == [
        " /etc/sysctl.conf newconffile remove-on-upgrade",
        f" /etc/init.d/procps {digest}",
    ]
