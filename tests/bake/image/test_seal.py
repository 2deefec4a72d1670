import os

import pytest

from ingot.bake.image.seal import seal


def test_traces_of_the_bake_go(root):
    for name in (
        "etc/machine-id",
        "etc/ssh/ssh_host_rsa_key",
        "etc/passwd-",
        "var/log/apt/history.log",
        "var/lib/dpkg/status-old",
        "var/lib/dbus/machine-id",
        "root/.bash_history",
        "var/cache/apt/pkgcache.bin",
        "tmp/x",
        "run/y",
        "etc/resolv.conf",
        "var/lib/amazon/ssm/i-0123456789abcdef0/document/state/current/command",
        "var/lib/amazon/ssm/Vault/Store/RegistrationKey",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("trace")
    (root / "var/lib/dpkg/status").write_text("kept")
    seal(root, epoch=20_000 * 86400)
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == {
        "etc/machine-id",
        "etc/passwd",
        "etc/group",
        "etc/shadow",
        "etc/gshadow",
        "var/lib/dpkg/status",
    }
    assert (root / "etc/machine-id").read_bytes() == b""
    assert (root / "var/log/apt").is_dir()
    assert [line.split(":")[2] for line in (root / "etc/shadow").read_text().splitlines()] == [
        "20000",
        "20000",
    ]


def test_logs_of_packages_are_emptied_and_keep_their_owners_and_modes(root):
    logs = {"btmp": 0o660, "lastlog": 0o664, "apache2/error.log": 0o640, "faillog": 0o600}
    for name, mode in logs.items():
        file = root / "var/log" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("said")
        os.chown(file, 0, 4)
        file.chmod(mode)
    (root / "var/log/README").symlink_to("../../usr/share/doc/systemd/README.logs")
    seal(root, epoch=0)
    for name, mode in logs.items():
        status = (root / "var/log" / name).stat()
        assert (status.st_size, status.st_gid, status.st_mode & 0o7777) == (0, 4, mode)
    assert (root / "var/log/README").is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        "dpkg.log",
        "alternatives.log",
        "apt/term.log",
        "dnf.rpm.log",
        "journal/0123/system.journal",
        "syslog.1",
        "messages-20261130",
        "syslog.2.gz",
    ],
)
def test_logs_of_the_installation_and_rotated_ones_go(root, name):
    (root / "var/log" / name).parent.mkdir(parents=True)
    (root / "var/log" / name).write_text("said")
    seal(root, epoch=0)
    assert not (root / "var/log" / name).exists()


def test_a_log_that_is_another_name_of_a_file_takes_nothing_from_it(root):
    (root / "var/log").mkdir(parents=True)
    (root / "etc/app.conf").write_text("kept")
    os.link(root / "etc/app.conf", root / "var/log/app.log")
    os.link(root / "var/log/app.log", root / "var/log/other.log")
    (root / "etc/empty").write_text("")
    os.link(root / "etc/empty", root / "var/log/empty.log")  # layers share their files by such links
    seal(root, epoch=0)
    assert (root / "etc/app.conf").read_text() == "kept"
    assert (root / "var/log/app.log").read_text() == ""
    assert (root / "var/log/empty.log").stat().st_nlink == 2


def test_a_resolver_that_is_a_link_stays(root):
    (root / "etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
    seal(root, epoch=0)
    assert (root / "etc/resolv.conf").is_symlink()


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        ("home", "a/.cache/x"),
        ("home/a", ".bash_history"),
        ("root", ".cache/x"),
        ("var/cache", "apt/x"),
        ("var/lib", "cloud/x"),
        ("etc/ssh", "ssh_host_rsa_key"),
        ("tmp", "x"),
        ("run", "x"),
        ("etc/shadow", ""),
    ],
)
def test_a_link_out_of_the_image_leads_to_nothing_of_this_machine(root, tmp_path, link, kept):
    outside = tmp_path / "host"
    file = outside / kept if kept else outside
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("a:b:c:\n")
    place = root / link
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        place.rename(tmp_path / "before")
        # What the link names inside the image.
        inside = root / str(outside)[1:]
        inside.parent.mkdir(parents=True)
        (tmp_path / "before").rename(inside)
    else:
        place.unlink(missing_ok=True)
    place.symlink_to(outside)
    seal(root, epoch=0)
    assert file.read_text() == "a:b:c:\n"


def test_what_a_link_inside_the_image_leads_to_is_sealed(root):
    (root / "srv/home/a/.cache").mkdir(parents=True)
    (root / "data/cache/apt").mkdir(parents=True)
    (root / "data/cache/apt/pkgcache.bin").write_text("trace")
    (root / "home").symlink_to("/srv/home")
    (root / "var").mkdir()
    (root / "var/cache").symlink_to("/data/cache")
    (root / "root").symlink_to("root")  # in a circle: nothing is there
    seal(root, epoch=0)
    assert list((root / "srv/home/a").iterdir()) == []
    assert list((root / "data/cache/apt").iterdir()) == []


def test_what_the_recipe_declares_stays(root):
    (root / "data").mkdir()
    (root / "var").mkdir()
    (root / "var/log").symlink_to("/data")
    declared = [
        "/etc/resolv.conf",
        "/var/lib/cloud/seed/nocloud/user-data",
        "/var/cache/apt/app/list",
        "/root/.cache",
        "/data/app.log",
        "/etc/ssh/ssh_host_ca",
    ]
    traces = [
        "var/lib/cloud/instance",
        "var/lib/cloud/seed/x",
        "var/cache/apt/pkgcache.bin",
        "root/.cache/pip",
        "etc/ssh/ssh_host_rsa_key",
    ]
    (root / "root/.cache").mkdir(parents=True)
    for name in [*(path[1:] for path in declared if path != "/root/.cache"), *traces]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    seal(root, epoch=0, declared=declared)
    assert [path for path in declared if not (root / path[1:]).exists()] == []
    assert [path for path in traces if (root / path).exists()] == []
    assert not (root / "var/lib/cloud/instance").exists()
