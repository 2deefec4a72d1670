from ingot.bake.tree import inventory
from ingot.bake.tree.tree import Changes, Entry, Kind, Tree
from ingot.bake.tree.volatile import STATE


def file(path, sha256="a" * 64, **more):
    return Entry(path, Kind.FILE, size=3, sha256=sha256, **more)


def test_a_line_per_path_sorted_by_bytes_without_what_may_change():
    entries = [
        Entry("/", Kind.DIRECTORY, 0o755),
        file("/etc/b", mode=0o4755, uid=1, gid=2),
        Entry("/etc/a", Kind.SYMLINK, 0o777, size=2, link="b\n"),
        file("/etc/é"),
        file("/var/log/syslog"),
        file("/etc/machine-id"),
        file("/var/logical"),
    ]
    assert inventory.files_text(entries, STATE).decode().splitlines() == [
        "/\td\t0755\t0\t0\t0\t-",
        "/etc/a\tl\t0777\t0\t0\t0\tb\\x0a",
        f"/etc/b\tf\t4755\t1\t2\t3\t{'a' * 64}",
        f"/etc/é\tf\t0644\t0\t0\t3\t{'a' * 64}",
        f"/var/logical\tf\t0644\t0\t0\t3\t{'a' * 64}",
    ]


def test_capabilities_are_a_word_more():
    xattrs = (("security.capability", b"\x01\x00\xff"), ("user.x", b"y"))
    (line,) = inventory.files_text([file("/usr/bin/ping", xattrs=xattrs)], STATE).decode().splitlines()
    assert line == f"/usr/bin/ping\tf\t0644\t0\t0\t3\t{'a' * 64}\t0100ff"


def test_the_list_of_the_recipe_holds_changes_only():
    base = [file("/same"), file("/changed"), file("/gone")]
    now = [file("/changed", sha256="b" * 64), file("/new")]
    touched = file("/same", xattrs=(("user.x", b""),))
    gone = ["/changed", "/gone"]
    found = inventory.image_baseline(Tree(base), Changes([*now, touched], gone), STATE)
    assert found.decode().splitlines() == [
        f"/changed\tf\t0644\t0\t0\t3\t{'b' * 64}",
        "/gone\tremoved",
        f"/new\tf\t0644\t0\t0\t3\t{'a' * 64}",
    ]


def test_users_say_what_their_password_is():
    passwd = b"root:x:0:0::/:/bin/sh\napp:x:1:1::/:/bin/sh\nopen:x:2:2::/:/bin/sh\nset:x:3:3::/:/bin/sh\n"
    shadow = b"root:*:1::::::\napp:!:1::::::\nopen::1::::::\nset:$y$abc:1::::::\n"
    states = [line.split("\t")[1] for line in inventory.users_text(passwd, shadow).decode().splitlines()]
    assert states == ["locked", "empty", "locked", "password"]


def test_packages_are_named_with_version_architecture_and_status():
    status = (
        b"Package: b\nStatus: install ok installed\nVersion: 2\nArchitecture: all\nDescription: x\n y\n\n"
    )
    assert inventory.packages_text(status) == b"b\t2\tall\tinstall ok installed\n"


def test_services_are_the_links_of_etc_systemd():
    links = [
        Entry("/etc/systemd/system/multi-user.target.wants/a.service", Kind.SYMLINK, link="/lib/a.service"),
        Entry("/etc/other", Kind.SYMLINK, link="/x"),
    ]
    assert (
        inventory.services_text(links)
        == b"/etc/systemd/system/multi-user.target.wants/a.service\t/lib/a.service\n"
    )
