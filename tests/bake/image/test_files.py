import os

import pytest

from ingot.bake.image.files import place_files
from ingot.bake.image.machine import set_tests
from ingot.bake.runtime.chroot import in_root
from ingot.errors import BakeError
from ingot.spec import FileSpec
from tests.specs import bake_spec

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")


def entry(target, **more):
    return FileSpec(
        **{"kind": "file", "target": target, "mode": "0644", "owner": "root", "group": "root", **more}
    )


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/a b.conf").write_text("content\n")
    return tmp_path / "recipe"


def test_owner_group_and_mode_are_as_the_spec_says(root, sources):
    place_files(
        root, [entry("/opt/x/tool", source="a b.conf", mode="6755", owner="www-data", group="33")], sources
    )
    status = (root / "opt/x/tool").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (33, 33, 0o6755)
    assert (root / "opt/x").stat().st_mode & 0o777 == 0o755


def test_a_file_replaces_a_package_file_and_not_its_hard_links(root, sources):
    (root / "etc/one").write_text("package's\n")
    (root / "etc/two").hardlink_to(root / "etc/one")
    place_files(root, [entry("/etc/one", source="a b.conf")], sources)
    assert (root / "etc/one").read_text() == "content\n"
    assert (root / "etc/two").read_text() == "package's\n"


def test_links_and_directories_and_inline_contents(root, sources):
    files = [
        entry("/etc/link", kind="symlink", link="/nowhere"),
        entry("/var/lib/my dir", kind="directory", mode="1777"),
        entry("/etc/motd", content="Grüße\n"),
    ]
    place_files(root, files, sources)
    assert str((root / "etc/link").readlink()) == "/nowhere"
    assert (root / "var/lib/my dir").stat().st_mode & 0o7777 == 0o1777
    assert (root / "etc/motd").read_text(encoding="utf-8") == "Grüße\n"


def test_links_of_the_image_never_lead_out_of_it(root, sources, tmp_path):
    (root / "var").mkdir()
    (root / "var/www").symlink_to("/srv/www")
    (root / "srv/www").mkdir(parents=True)
    (root / "escape").symlink_to("../outside")
    (tmp_path / "outside").mkdir()
    place_files(
        root, [entry("/var/www/file", source="a b.conf"), entry("/escape/file", source="a b.conf")], sources
    )
    assert (root / "srv/www/file").read_text() == "content\n"
    assert (root / "outside/file").read_text() == "content\n"
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_loop_of_links_is_an_error(root):
    (root / "loop").symlink_to("/loop")
    with pytest.raises(BakeError, match="too many levels"):
        in_root(root, "/loop/file")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (entry("/etc/x", source="missing"), "/etc/x: its source .*missing is missing"),
        (entry("/etc/x", source="a b.conf", sha256="0" * 64), "has changed since the recipe was read"),
        (entry("/etc/x", source="a b.conf", owner="ghost"), "/etc/x: there is no user ghost"),
        (entry("/etc", source="a b.conf"), "/etc: the image has a directory there"),
    ],
)
def test_what_cannot_be_placed_is_named(root, sources, file, message):
    with pytest.raises(BakeError, match=message):
        place_files(root, [file], sources)


def test_a_hard_link_is_another_name_of_the_file(root, sources):
    link = FileSpec("hardlink", "/a/first", link="/etc/shadow")
    to_new = FileSpec("hardlink", "/etc/z", link="/opt/tool")
    place_files(root, [to_new, link, entry("/opt/tool", source="a b.conf", mode="4750")], sources)
    assert (root / "a/first").samefile(root / "etc/shadow")
    assert (root / "etc/z").samefile(root / "opt/tool")
    assert (root / "etc/z").stat().st_mode & 0o7777 == 0o4750


def test_a_hard_link_to_nothing(root, sources):
    with pytest.raises(BakeError, match="/a: a hard link to /b, which is not a file of the image"):
        place_files(root, [FileSpec("hardlink", "/a", link="/b")], sources)


def test_extended_attributes_are_set(root, sources):
    place_files(
        root,
        [entry("/etc/x", source="a b.conf", owner="www-data", xattrs=(("user.origin", "68c3a9"),))],
        sources,
    )
    assert os.getxattr(root / "etc/x", "user.origin") == b"h\xc3\xa9"


def test_a_sparse_source_stays_sparse(root, sources):
    with (sources / "sparse").open("wb") as file:
        file.truncate(300 << 20)
        file.seek(200 << 20)
        file.write(b"data")
    place_files(root, [entry("/srv/sparse", source="sparse")], sources)
    status = (root / "srv/sparse").stat()
    assert (status.st_size, status.st_blocks * 512 <= 2 << 20) == (300 << 20, True)
    with (root / "srv/sparse").open("rb") as file:
        file.seek(200 << 20)
        assert file.read(4) == b"data"


def test_what_ingot_writes_follows_links_inside_the_image_alone(root, sources, tmp_path):
    outside = tmp_path / "host"
    outside.mkdir()
    place_files(root, [entry("/etc/ingot", kind="symlink", link=str(outside))], sources)
    set_tests(root, bake_spec())
    assert list(outside.iterdir()) == []
    assert (root / str(outside)[1:] / "image.json").is_file()


def test_a_directory_over_a_link_to_one_leaves_the_link(root, sources):
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/sh").write_text("package's")
    (root / "bin").symlink_to("usr/bin")
    (root / "lib").symlink_to("/usr/lib")
    (root / "usr/lib").mkdir()
    files = [
        entry("/bin", kind="directory", mode="0750"),
        entry("/bin/tool", source="a b.conf"),
        entry("/lib", kind="directory", mode="0755"),
        entry("/lib/app", kind="directory", mode="0755"),
    ]
    place_files(root, files, sources)
    assert str((root / "bin").readlink()) == "usr/bin"
    assert sorted(path.name for path in (root / "usr/bin").iterdir()) == ["sh", "tool"]
    assert (root / "usr/bin").stat().st_mode & 0o777 == 0o750
    assert (root / "usr/lib/app").is_dir()


def test_a_directory_replaces_a_link_to_nothing_of_the_image(root, sources, tmp_path):
    (root / "data").symlink_to(tmp_path)  # a directory of this machine alone
    place_files(root, [entry("/data", kind="directory", mode="0755")], sources)
    assert (root / "data").is_dir()
    assert not (root / "data").is_symlink()


def test_two_targets_at_one_place_clash(root, sources):
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    files = [entry("/bin/x", source="a b.conf"), entry("/usr/bin/x", content="other")]
    with pytest.raises(BakeError, match=r"/usr/bin/x is the same place in the image as /bin/x"):
        place_files(root, files, sources)


def test_directories_at_one_place_do_not_clash_when_they_are_alike(root, sources):
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    alike = [entry("/bin", kind="directory", mode="0755"), entry("/usr/bin", kind="directory", mode="0755")]
    place_files(root, alike, sources)
    assert (root / "bin").is_symlink()


def test_what_a_link_leads_to_where_nothing_lasts_is_refused(root, sources):
    (root / "var").mkdir()
    (root / "var/spool").symlink_to("/run/spool")
    with pytest.raises(BakeError, match=r"/var/spool/x: a link of the image leads to /run/spool/x"):
        place_files(root, [entry("/var/spool/x", source="a b.conf")], sources)
