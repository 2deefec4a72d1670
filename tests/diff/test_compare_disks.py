"""What only the disks tell: contents, owners of files, ports, passwords, changelogs."""

import gzip
import hashlib
import subprocess

import pytest

from ingot.bake.tree.tree import Entry, Kind
from ingot.diff.compare import image_diff
from ingot.errors import BakeError
from tests.bake.disk.helpers import EPOCH, data_file
from tests.diff.disks import link, make_image, status, text

APACHE = (
    link(
        "/etc/systemd/system/multi-user.target.wants/apache2.service",
        "/usr/lib/systemd/system/apache2.service",
    ),
    text("/etc/apache2/apache2.conf", "Include ports.conf\n"),
)
CHANGELOG = """web (2-1) stable; urgency=high

  * Fix CVE-2026-12345 and CVE-2025-1111.

 -- A <a@example.com>  Mon, 02 Nov 2026 00:00:00 +0000

web (1.5-1) stable; urgency=low

  * Between.

 -- A <a@example.com>  Sun, 01 Nov 2026 00:00:00 +0000

web (1-1) stable; urgency=low

  * Old.

 -- A <a@example.com>  Sat, 31 Oct 2026 00:00:00 +0000
"""


@pytest.fixture
def compared(tmp_path):
    """Compare two trees, given as lists of entries."""

    def compare(before, after, packages=None, **changed):
        one = make_image(tmp_path, *before, name="before")
        other = make_image(tmp_path, *after, name="after", **changed)
        return image_diff(
            one.manifest, other.manifest, before_disk=one.disk, after_disk=other.disk, packages=packages
        )

    return compare


def ports(diff):
    return [(change.name, change.change, (change.after or change.before)["place"]) for change in diff.ports]


def test_a_port_of_apache(compared):
    listen = "Listen 80\n<IfModule ssl_module>\n  Listen 443\n</IfModule>\nListen 127.0.0.1:9000\n"
    found = compared(
        [*APACHE, text("/etc/apache2/ports.conf", "Listen 80\n")],
        [*APACHE, text("/etc/apache2/ports.conf", listen)],
    )
    assert ports(found) == [("tcp 127.0.0.1:9000", "added", "/etc/apache2/ports.conf:5")]
    assert found.dangerous == []  # the network does not reach it


def test_a_port_below_a_module_that_is_loaded_now(compared):
    conf = text("/etc/apache2/ports.conf", "Listen 80\n<IfModule ssl_module>\nListen 443\n</IfModule>\n")
    loaded = link("/etc/apache2/mods-enabled/ssl.load", "../mods-available/ssl.load")
    found = compared([*APACHE, conf], [*APACHE, conf, loaded])
    assert ports(found) == [("tcp 443", "added", "/etc/apache2/ports.conf:3")]
    assert found.dangerous == ["port tcp 443: listens now (/etc/apache2/ports.conf:3)"]


def test_apache_that_is_not_enabled_listens_nowhere(compared):
    assert ports(compared([], [text("/etc/apache2/ports.conf", "Listen 8080\n")])) == []


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("[Socket]\nListenStream=9090\n", "tcp 9090"),
        ("[Socket]\nListenDatagram=[::]:514\n", "udp 514"),
        ("[Socket]\nListenStream=80\nListenStream=\nListenStream=0.0.0.0:81\n", "tcp 81"),
    ],
)
def test_a_socket_of_systemd(compared, content, name):
    units = [
        text("/usr/lib/systemd/system/x.socket", content),
        link("/etc/systemd/system/sockets.target.wants/x.socket", "/usr/lib/systemd/system/x.socket"),
    ]
    assert [change.name for change in compared([], units).ports if change.name != "tcp 80"] == [name]


@pytest.mark.parametrize(
    "target", ["/lib/systemd/system/x.socket", "../../../../lib/systemd/system/x.socket", "../other/x.socket"]
)
def test_a_socket_behind_a_linked_directory(compared, target):
    units = [
        link("/lib", "usr/lib"),
        link("/etc/systemd/system/other", "/lib/systemd/system"),
        text("/usr/lib/systemd/system/x.socket", "[Socket]\nListenStream=9090\n"),
        link("/etc/systemd/system/sockets.target.wants/x.socket", target),
    ]
    place = "/usr/lib/systemd/system/x.socket:2"
    assert ("tcp 9090", "added", place) in ports(compared([], units))


def test_a_link_that_leads_to_itself_is_no_socket(compared):
    unit = link("/etc/systemd/system/sockets.target.wants/x.socket", "x.socket")
    assert [name for name, *_ in ports(compared([], [unit])) if "80" not in name] == []


def test_a_file_that_its_package_still_lists_was_taken_away_by_the_recipe(compared):
    def listed(version):
        return [
            text("/var/lib/dpkg/status", status(("tool", version))),
            text("/var/lib/dpkg/info/tool.list", "/etc/pam.d/tool\n"),
        ]

    found = compared([*listed("1"), text("/etc/pam.d/tool", "1")], listed("2"))
    assert found.dangerous == ["/etc/pam.d/tool: removed, it decides who may do what"]


def test_a_text_in_a_cache_is_shown_when_the_recipe_brings_it(compared):
    path = "/var/cache/app/run.pyc"
    found = compared([], [text(path, "a = 1\n")], changed=f"{path}\tx\n")
    [change] = [change for change in found.files if change.path == path]
    assert change.text.lines == ("@@ -0,0 +1 @@", "+a = 1")


def test_sockets_of_the_file_system_are_no_ports(compared):
    units = [
        text(
            "/usr/lib/systemd/system/x.socket",
            "[Socket]\nListenStream=/run/x\nListenStream=@abstract\nListenStream=vsock::5\n",
        ),
        link("/etc/systemd/system/sockets.target.wants/x.socket", "/usr/lib/systemd/system/x.socket"),
    ]
    assert [name for name, *_ in ports(compared([], units)) if "80" not in name] == []


def test_the_ssh_server_has_a_default(compared):
    unit = link(
        "/etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service"
    )
    assert ("tcp 22", "added", "the OpenSSH server's default") in ports(compared([], [unit]))
    assert ("tcp 2222", "added", "/etc/ssh/sshd_config:2") in ports(
        compared([], [unit, text("/etc/ssh/sshd_config", "# x\nPort 2222\n")])
    )


def test_nginx(compared):
    unit = link(
        "/etc/systemd/system/multi-user.target.wants/nginx.service", "/usr/lib/systemd/system/nginx.service"
    )
    conf = text(
        "/etc/nginx/conf.d/a.conf",
        "server {\n listen 8081 default_server; # listen 9;\n listen unix:/run/x;\n}\n",
    )
    assert ("tcp 8081", "added", "/etc/nginx/conf.d/a.conf:2") in ports(compared([], [unit, conf]))


def test_a_text_diff_comes_from_both_disks_with_secrets_masked(compared):
    path = "/etc/app.conf"
    found = compared(
        [text(path, "a = 1\npassword = old-secret\n")],
        [text(path, "a = 2\npassword = new-secret\n")],
        changed=f"{path}\tx\n",
    )
    [change] = [change for change in found.files if change.path == path]
    assert change.text.lines == (
        "@@ -1,2 +1,2 @@",
        "-a = 1",
        "-password = ‹masked 1›",
        "+a = 2",
        "+password = ‹masked 2›",
    )
    assert "old-secret" not in str(found.to_json())


def test_the_owner_of_a_file_is_the_package_that_lists_it(compared):
    before = [
        text("/var/lib/dpkg/status", status(("tool", "1"))),
        text("/var/lib/dpkg/info/tool.list", "/.\n/bin/tool\n"),
        text("/usr/bin/tool", "1"),
    ]
    after = [
        text("/var/lib/dpkg/status", status(("tool", "2"))),
        text("/var/lib/dpkg/info/tool.list", "/.\n/bin/tool\n"),
        text("/usr/bin/tool", "2"),
    ]
    [change] = [change for change in compared(before, after).files if change.path == "/usr/bin/tool"]
    assert (change.package, change.origin) == ("tool", "package")


def test_a_package_that_did_not_move_does_not_explain_a_change(compared):
    lists = text("/var/lib/dpkg/info/base.list", "/bin/tool\n")
    [change] = [
        c
        for c in compared([lists, text("/usr/bin/tool", "1")], [lists, text("/usr/bin/tool", "2")]).files
        if c.path == "/usr/bin/tool"
    ]
    assert (change.package, change.origin) == ("base", "recipe")


def test_a_password_is_called_out_and_not_shown(compared):
    found = compared(
        [],
        [text("/etc/shadow", "root:$y$j9T$abcdefghijklm$nopqrstuv:1::::::\napp:!:1::::::\n", mode=0o640)],
        changed="/etc/shadow\tx\n",
    )
    assert found.dangerous == ["user root: a password opens it now"]
    assert "abcdefghijklm" not in str(found.to_json())


def test_devices_links_and_kinds(compared):
    before = [text("/a"), link("/b", "x")]
    after = [link("/a", "y"), link("/b", "z"), Entry("/c", Kind.FIFO, 0o600, mtime=EPOCH)]
    found = {c.path: c.description for c in compared(before, after).files if c.path in ("/a", "/b", "/c")}
    assert found["/a"].startswith("type file → symlink")
    assert found["/b"] == "link x → z"
    assert found["/c"] == "fifo, 0600 root:root"


def versions(changelog):
    return [entry.version for entry in changelog.entries]


def test_the_changelog_of_the_image(compared):
    log = data_file("/usr/share/doc/web/changelog.Debian.gz", gzip.compress(CHANGELOG.encode(), mtime=0))
    before, after = (
        [text("/var/lib/dpkg/status", status(("web", version))), log] for version in ("1-1", "2-1")
    )
    [package] = compared(before, after).packages
    assert versions(package.changelog) == ["2-1", "1.5-1"]
    assert package.changelog.cves == ("CVE-2026-12345", "CVE-2025-1111")
    assert package.changelog.origin == "image"
    [back] = compared(after, before).packages
    assert (back.change, versions(back.changelog)) == ("downgraded", ["2-1", "1.5-1"])


def test_the_changelog_of_the_package_where_the_image_leaves_it_out(compared, tmp_path):
    root = tmp_path / "deb"
    (root / "usr/share/doc/web").mkdir(parents=True)
    (root / "usr/share/doc/web/changelog.Debian.gz").write_bytes(gzip.compress(CHANGELOG.encode()))
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: web\nVersion: 2-1\nArchitecture: amd64\nMaintainer: A <a@example.com>\nDescription: x\n"
    )
    file = tmp_path / "web.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, file], check=True, capture_output=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    packages = tmp_path / "packages"
    (packages / digest[:2]).mkdir(parents=True)
    file.rename(packages / digest[:2] / f"{digest}.deb")
    one = make_image(tmp_path, text("/var/lib/dpkg/status", status(("web", "1-1"))), name="before")
    other = make_image(tmp_path, text("/var/lib/dpkg/status", status(("web", "2-1"))), name="after")
    other.manifest["packages"][0]["sha256"] = digest
    [package] = image_diff(
        one.manifest, other.manifest, before_disk=one.disk, after_disk=other.disk, packages=packages
    ).packages
    assert (versions(package.changelog), package.changelog.origin) == (["2-1", "1.5-1"], "package")


def test_a_damaged_package_or_changelog_is_as_good_as_none(compared, tmp_path):
    digest = "ab" * 32
    (tmp_path / "packages/ab").mkdir(parents=True)
    (tmp_path / f"packages/ab/{digest}.deb").write_bytes(b"no package")
    log = data_file("/usr/share/doc/web/changelog.Debian.gz", b"\x1f\x8bdamaged")
    before, after = (
        [text("/var/lib/dpkg/status", status(("web", version))), log] for version in ("1-1", "2-1")
    )
    [package] = compared(before, after, packages=tmp_path / "packages").packages
    assert package.changelog is None


def test_a_damaged_disk_is_said(tmp_path):
    good = make_image(tmp_path, name="good")
    broken = tmp_path / "broken.raw"
    broken.write_bytes(b"\0" * 2_000_000)
    with pytest.raises(BakeError, match=r"broken\.raw"):
        image_diff(good.manifest, good.manifest, before_disk=good.disk, after_disk=broken)
