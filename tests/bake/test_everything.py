"""One recipe that says everything a recipe can say, baked once; the disk is read back without mounting it."""

import hashlib
import logging
import os
import shutil

import pytest

from ingot.bake.disk import read_ext4
from ingot.bake.tree.tree import Kind
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from ingot.recipe.schema.capabilities import capability_xattr
from tests.baked import WEB, baked_store
from tests.recipe.archive import Signer, build_package, served, write_suite

__all__ = ["baked_store"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files"),
    pytest.mark.skipif(shutil.which("gpg") is None, reason="signing a test archive needs gpg"),
]
MIB = 1 << 20
COMMON = """\
name: common
packages: [apache2]
files:
  - {source: greeting, target: /etc/greeting, template: true}
  - {content: "included\\n", target: /etc/included}
variables: {who: world, port: 8080}
environments: {prod: {who: production}}
"""
RECIPE = """\
name: everything
include: ../common
base: {debian: bookworm}
root_volume: {size: 2GiB}
packages: [ingot-example]
apt_sources:
  - {name: example, uri: "URI", suite: stable, components: [main], key: files/example.asc}
groups: [{name: app, gid: 60001}]
users:
  - {name: app, uid: 60001, group: app, groups: [www-data], home: /home/app, shell: /bin/sh, comment: The app}
app: {source: app/, target: /srv/app, owner: app, group: app}
files:
  - {source: files/tool, target: /usr/local/bin/suid, mode: "4755"}
  - {source: files/tool, target: /usr/local/bin/sgid, mode: "2755", group: app}
  - {source: files/tool, target: /usr/local/bin/capable, mode: "0755", capabilities: cap_net_bind_service+ep}
  - {content: "attributes\\n", target: /etc/attributes, xattrs: {user.origin: "Zürich", user.empty: ""}}
  - {directory: true, target: /srv/shared, owner: app, group: www-data, mode: "3770"}
  - {directory: true, target: /srv/drop, mode: "1777", xattrs: {user.kind: drop}}
  - {link: /etc/attributes, target: /srv/absolute link}
  - {link: "../nowhere/ünïcode", target: /srv/broken}
  - {hardlink: /etc/attributes, target: /etc/attributes-too}
  - {hardlink: /usr/bin/perl, target: /usr/local/bin/another perl}
  - {content: "Listen ${port}\\n", target: /etc/apache2/ports.conf}
  - {content: "mine\\n", target: /usr/share/doc/mine/notes}
  - {source: files/sparse.img, target: /var/lib/sparse.img}
  - {source: files/script, target: /etc/init.d/of-old, mode: "0755"}
  - {source: files/script, target: /etc/init.d/of-yore, mode: "0755"}
  - {link: ../init.d/of-yore, target: /etc/rc3.d/S01of-yore}
  - {source: files/script, target: /etc/init.d/ssh-less, mode: "0755"}
services:
  enable: [ssh-less.service, apache2, of-old]
  disable: [apache-htcacheclean, of-yore]
  mask: [fstrim.timer]
steps:
  - echo "${who} $(locale charmap) $${HOME}" > /etc/from-step
  - {run: "test \\"$(stat -c %a /usr/local/bin/suid)\\" = 4755", timeout: 20}
kernel_command_line: quiet ingot.test=${who}
timezone: Europe/Berlin
locale: de_DE.UTF-8
hostname: everything-1
drop: {docs: true, man: false}
hygiene:
  allow:
    - {finding: setuid, path: /usr/local/bin/*, reason: that is what this image shows}
tests:
  - {name: the greeting is there, command: "grep -q production /etc/greeting"}
"""
SCRIPT = "#!/bin/sh\n### BEGIN INIT INFO\n# Default-Start: 3\n# Default-Stop: 0\n### END INIT INFO\n"
UNIT = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


def write_recipe(directory, uri, signer):
    (directory / "app" / "emp ty").mkdir(parents=True)
    (directory / "app" / "naïve ☃ name.txt").write_text("snow\n")
    (directory / "app" / "run").write_text("#!/bin/sh\n")
    (directory / "app" / "run").chmod(0o700)
    (directory / "app" / "link").symlink_to("naïve ☃ name.txt")
    (directory / "files").mkdir()
    shutil.copyfile("/bin/true", directory / "files" / "tool")
    (directory / "files" / "script").write_text(SCRIPT)
    with (directory / "files" / "sparse.img").open("wb") as file:
        file.truncate(600 * MIB)
        file.seek(400 * MIB + 5)
        file.write(b"in the middle")
    (directory / "recipe.yaml").write_text(RECIPE.replace("URI", uri))
    signer.gpg("--armor", "--output", str(directory / "files" / "example.asc"), "--export")
    common = directory.parent / "common"
    common.mkdir()
    (common / "recipe.yaml").write_text(COMMON)
    (common / "greeting").write_text("Hello, ${who}! $${not a variable}\n")
    # The versions that the example's lock has: its packages are in the store already.
    shutil.copyfile(WEB / "recipe.lock", directory / "recipe.lock")


@pytest.fixture(scope="module")
def recipe(baked_store, tmp_path_factory):
    """The recipe, locked: an archive of its own was served while that was done, and while it is baked."""
    top = tmp_path_factory.mktemp("everything")
    files = {
        "usr/lib/systemd/system/ssh-less.service": UNIT,
        "usr/share/doc/ingot-example/copyright": "ours\n",
    }
    files |= {
        "usr/share/ingot-example/data": "from our own archive\n",
        "usr/share/doc/ingot-example/README": "x\n",
    }
    files["usr/share/man/man1/ingot-example.1"] = "x\n"
    signer = Signer()
    try:
        archive = top / "archive"
        archive.mkdir()
        write_suite(archive, "stable", build_package(archive, "ingot-example", files), signer)
        with served(archive) as uri:
            write_recipe(top / "image_recipes" / "everything", uri, signer)
            recipe = load_recipe(top / "image_recipes" / "everything", "prod")
            write_lock(recipe, resolve_lock(recipe))
            yield recipe
    finally:
        signer.close()


@pytest.fixture(scope="module")
def image(recipe, baked_store):
    return baked_store.bake(recipe, logging.getLogger("bake").info)


@pytest.fixture(scope="module")
def disk(image):
    with read_ext4(image.disk) as reader:
        yield reader


@pytest.fixture(scope="module")
def entries(disk):
    return {entry.path: entry for entry in disk.entries(hashes=False)}


def test_the_environment_has_a_lock_of_its_own_with_both_archives(recipe):
    assert recipe.lock_path.name == "recipe.prod.lock"
    text = recipe.lock_path.read_text()
    assert '"archive": "example"' in text
    assert "127.0.0.1" not in text


def test_a_package_of_another_archive_is_installed_and_its_source_is_not_configured(disk, entries, image):
    assert disk.read("/usr/share/ingot-example/data") == b"from our own archive\n"
    assert "ingot-example" in [package["name"] for package in image.manifest["packages"]]
    assert not [path for path in entries if path.startswith("/etc/apt/sources.list.d/")]
    assert not [path for path in entries if "example.asc" in path]


def test_owners_groups_and_modes_with_their_upper_bits(entries):
    found = {
        path: (entries[path].uid, entries[path].gid, oct(entries[path].mode))
        for path in ("/usr/local/bin/suid", "/usr/local/bin/sgid", "/srv/shared", "/srv/drop", "/srv/app/run")
    }
    assert found == {
        "/usr/local/bin/suid": (0, 0, "0o4755"),
        "/usr/local/bin/sgid": (0, 60001, "0o2755"),
        "/srv/shared": (60001, 33, "0o3770"),
        "/srv/drop": (0, 0, "0o1777"),
        "/srv/app/run": (60001, 60001, "0o755"),
    }


def test_capabilities_and_extended_attributes(entries):
    assert dict(entries["/usr/local/bin/capable"].xattrs) == {
        "security.capability": capability_xattr("cap_net_bind_service+ep")
    }
    assert dict(entries["/etc/attributes"].xattrs) == {"user.origin": "Zürich".encode(), "user.empty": b""}
    assert dict(entries["/srv/drop"].xattrs) == {"user.kind": b"drop"}


def test_symbolic_links_keep_their_text(entries):
    links = {path: entries[path].link for path in ("/srv/absolute link", "/srv/broken", "/srv/app/link")}
    assert links == {
        "/srv/absolute link": "/etc/attributes",
        "/srv/broken": "../nowhere/ünïcode",
        "/srv/app/link": "naïve ☃ name.txt",
    }


def test_hard_links_are_one_file(entries):
    assert entries["/etc/attributes"].group == entries["/etc/attributes-too"].group == "/etc/attributes"
    assert entries["/usr/local/bin/another perl"].group == entries["/usr/bin/perl"].group == "/usr/bin/perl"


def test_names_with_blanks_and_unicode_and_empty_directories(entries, disk):
    assert disk.read("/srv/app/naïve ☃ name.txt") == b"snow\n"
    assert entries["/srv/app/emp ty"].kind is Kind.DIRECTORY


def test_a_sparse_file_takes_no_room(entries, disk, image):
    assert entries["/var/lib/sparse.img"].size == 600 * MIB
    [listed] = [f for f in image.manifest["files"] if f["path"] == "/var/lib/sparse.img"]
    digest = hashlib.sha256()
    for _ in range(400):
        digest.update(bytes(MIB))
    digest.update(bytes(5) + b"in the middle" + bytes(200 * MIB - 18))
    assert listed["sha256"] == digest.hexdigest()
    assert image.manifest["size"]["used"] < 600 * MIB


def test_files_over_files_of_packages(disk):
    assert disk.read("/etc/apache2/ports.conf") == b"Listen 8080\n"


def test_what_is_dropped_and_what_is_not(entries):
    assert "/usr/share/doc/ingot-example/README" not in entries
    assert "/usr/share/doc/ingot-example/copyright" in entries
    assert "/usr/share/doc/mine/notes" in entries  # the recipe's own
    assert "/usr/share/man/man1/ingot-example.1" in entries
    hardware = {path for path in entries if path.startswith("/usr/lib/udev/hwdb")}
    assert hardware <= {"/usr/lib/udev/hwdb.d"}  # directories stay


def test_services_are_enabled_disabled_and_masked(entries, image):
    services = image.manifest["services"]
    assert {"ssh-less.service", "apache2.service"} <= set(services["enabled"])
    assert "apache-htcacheclean.service" not in services["enabled"]
    assert "fstrim.timer" in services["masked"]
    assert entries["/etc/systemd/system/fstrim.timer"].link == "/dev/null"


def test_init_scripts_count_where_there_is_no_unit(entries):
    links = {path for path in entries if path.startswith("/etc/rc3.d/")}
    assert {"/etc/rc3.d/S01of-old", "/etc/rc3.d/K01of-yore"} <= links
    assert not links & {"/etc/rc3.d/K01of-old", "/etc/rc3.d/S01of-yore", "/etc/rc3.d/S01ssh-less"}


def test_users_and_groups(disk, entries):
    assert b"app:x:60001:60001:The app:/home/app:/bin/sh\n" in disk.read("/etc/passwd")
    assert b"\napp:!:" in disk.read("/etc/shadow")
    [www] = [line for line in disk.read("/etc/group").decode().splitlines() if line.startswith("www-data:")]
    assert www.endswith(":app")
    home = entries["/home/app"]
    assert (home.uid, home.gid, home.mode) == (60001, 60001, 0o700)


def test_the_settings_of_the_machine(disk, entries, image):
    assert disk.read("/etc/hostname") == b"everything-1\n"
    assert entries["/etc/localtime"].link == "/usr/share/zoneinfo/Europe/Berlin"
    assert disk.read("/usr/share/zoneinfo/Europe/Berlin").startswith(b"TZif")
    assert disk.read("/etc/locale.conf") == b"LANG=de_DE.UTF-8\n"
    assert entries["/etc/default/locale"].link == "../locale.conf"
    assert entries["/usr/lib/locale/de_DE.utf8/LC_TIME"].size > 1000
    assert not [path for path in entries if path.startswith("/usr/share/i18n")]
    assert image.manifest["boot"]["kernel_command_line"].endswith(" quiet ingot.test=production")


def test_variables_of_the_environment(disk):
    assert disk.read("/etc/greeting") == b"Hello, production! ${not a variable}\n"
    assert disk.read("/etc/included") == b"included\n"
    assert disk.read("/etc/from-step") == b"production UTF-8 /root\n"


def test_what_the_gate_let_pass_is_in_the_manifest(image):
    allowed = {one["path"] for one in image.manifest["hygiene"]["allowed"]}
    assert allowed == {f"/usr/local/bin/{name}" for name in ("suid", "sgid", "capable")}
