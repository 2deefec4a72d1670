import copy

import pytest

from ingot.diff.compare import image_diff
from ingot.errors import InputError
from tests.diff.manifests import file, manifest, package, user

SUDO = {"name": "sudo", "gid": 27, "members": []}


def diff(before, after):
    return image_diff(before, after, before_disk=None, after_disk=None)


def test_an_image_equals_itself():
    one = manifest(files=[file("/etc/hosts", "x")], packages=[package("a", "1")])
    found = diff(one, copy.deepcopy(one))
    assert found.empty
    assert found.dangerous == []
    assert found.to_json()["empty"] is True


def test_packages_added_removed_upgraded_downgraded_rebuilt():
    before = manifest(
        packages=[
            package("gone", "1"),
            package("up", "1.9"),
            package("down", "2:1"),
            package("same", "1", sha256="a"),
        ]
    )
    after = manifest(
        packages=[
            package("new", "1"),
            package("up", "1.10"),
            package("down", "3"),
            package("same", "1", sha256="b"),
        ]
    )
    found = {change.name: change.change for change in diff(before, after).packages}
    assert found == {
        "gone": "removed",
        "up": "upgraded",
        "down": "downgraded",
        "new": "added",
        "same": "rebuilt",
    }


def test_artifacts_packages_of_languages_and_stages_are_compared():
    tool = "https://example.com/tool.tar"
    before = manifest(
        dependencies=[
            {"name": "pkg:pypi/flask", "version": "3.1.0", "sha256": "a" * 64},
            {"name": tool, "version": None, "sha256": "a" * 64},
            {"name": "pkg:npm/gone", "version": "1.0.0", "sha256": "b" * 64},
        ],
        stages=[{"name": "build", "digest": "c" * 64}],
    )
    after = manifest(
        dependencies=[
            {"name": "pkg:pypi/flask", "version": "3.1.1", "sha256": "d" * 64},
            {"name": tool, "version": None, "sha256": "e" * 64},
            {"name": "pkg:npm/new", "version": "1.0.0", "sha256": "f" * 64},
        ],
        stages=[{"name": "build", "digest": "0" * 64}],
    )
    found = diff(before, after)
    assert {change.name: change.change for change in found.dependencies} == {
        "pkg:pypi/flask": "changed",
        tool: "changed",
        "pkg:npm/gone": "removed",
        "pkg:npm/new": "added",
    }
    assert [(change.name, change.change) for change in found.stages] == [("build", "changed")]
    assert not found.empty


def test_a_kernel_whose_name_has_its_version_is_an_upgrade():
    before = manifest(packages=[package("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", source="linux")])
    after = manifest(packages=[package("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2", source="linux")])
    [change] = diff(before, after).packages
    assert (change.change, change.former_name) == ("upgraded", "linux-image-6.1.0-50-cloud-amd64")


def test_what_differs_of_a_file_is_named():
    before = manifest(
        files=[file("/a", "x"), file("/b", "x"), file("/c", "x"), file("/d", "x"), file("/gone")]
    )
    after = manifest(
        files=[
            file("/a", "y"),
            file("/b", "x", mode="0600"),
            file("/c", "x", uid=7),
            file("/d", "x", xattrs={"security.capability": "00"}),
            file("/new"),
        ]
    )
    found = {change.path: (change.change, change.aspects) for change in diff(before, after).files}
    assert found == {
        "/a": ("changed", ("content",)),
        "/b": ("changed", ("mode",)),
        "/c": ("changed", ("owner",)),
        "/d": ("changed", ("capabilities",)),
        "/gone": ("removed", ()),
        "/new": ("added", ()),
    }


def test_a_file_that_only_moved_to_another_layer_is_the_same():
    assert diff(manifest(files=[file("/a", layer=1)]), manifest(files=[file("/a")])).empty


def test_the_origin_of_a_change():
    before = manifest(packages=[package("a", "1")])
    hidden = [file("/srv/app.pyc", layer=1), file("/var/cache/app", layer=1)]
    after = manifest(
        packages=[package("a", "2")],
        files=[
            file("/srv/app", layer=1),
            file("/usr/bin/a"),
            file("/var/lib/dpkg/status", layer=1),
            *hidden,
            file("/usr/lib/a.pyc"),
            file("/var/cache/a"),
        ],
    )
    found = {change.path: change.origin for change in diff(before, after).files}
    assert found == {
        **dict.fromkeys(("/srv/app", "/srv/app.pyc", "/var/cache/app"), "recipe"),
        "/usr/bin/a": "package",
        **dict.fromkeys(("/var/lib/dpkg/status", "/usr/lib/a.pyc", "/var/cache/a"), "bookkeeping"),
    }


def test_blocks_are_counted_and_mapped():
    before = manifest(disk={"block_size": 524288, "root_digest": "", "blocks": ["a", "b", None, "c", None]})
    after = manifest(disk={"block_size": 524288, "root_digest": "", "blocks": ["a", "x", "y", None]})
    blocks = diff(before, after).blocks
    assert blocks.runs == (("same", 1), ("changed", 1), ("added", 1), ("removed", 1), ("zero", 1))
    assert blocks.differing == 3


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            {},
            {"files": [file("/bin/x", mode="4755", layer=1)]},
            "/bin/x: setuid to root is new, by the recipe",
        ),
        ({}, {"files": [file("/bin/x", mode="2755", layer=1)]}, "/bin/x: setgid is new, by the recipe"),
        (
            {"files": [file("/bin/x", "a", mode="4755")]},
            {"files": [file("/bin/x", "b", mode="4755", layer=1)]},
            "/bin/x: a privileged program with another content, by the recipe",
        ),
        (
            {"files": [file("/bin/x")]},
            {
                "files": [
                    file("/bin/x", xattrs={"security.capability": "0100000200040000000000000000000000000000"})
                ]
            },
            "/bin/x: capabilities cap_net_bind_service is new, by the recipe",
        ),
        (
            {},
            {"files": [file("/srv/x", mode="0666")]},
            "/srv/x: every user may write it (mode 0666), by the recipe",
        ),
        ({}, {"files": [file("/etc/sudoers.d/x")]}, "/etc/sudoers.d/x: added, it decides who may do what"),
        ({}, {"users": [user("root", 0, "/bin/bash"), user("toor", 0)]}, "user toor: has the number of root"),
        (
            {"users": [user("app", 990)]},
            {"users": [user("app", 990, "/bin/sh")]},
            "user app: may log in now, with the shell /bin/sh",
        ),
        (
            {"groups": [{"name": "sudo", "gid": 27, "members": []}]},
            {"groups": [{"name": "sudo", "gid": 27, "members": ["app"]}]},
            "user app: is a member of the group sudo now",
        ),
        (
            {"users": [user("app", 990), user("root", 0)], "groups": [SUDO]},
            {"users": [{**user("app", 990), "gid": 27}, user("root", 0)], "groups": [SUDO]},
            "user app: is a member of the group sudo now",
        ),
        (
            {"users": [user("app", 990)], "groups": [SUDO]},
            {"users": [user("app", 990)], "groups": [{**SUDO, "gid": 990}]},
            "user app: is a member of the group sudo now",
        ),
        (
            {"groups": [SUDO]},
            {"groups": [SUDO, {"name": "other", "gid": 27, "members": ["app"]}]},
            "user app: is a member of the group sudo now",
        ),
        (
            {"users": [user("app", 990)]},
            {"users": [user("app", 990, "")]},
            "user app: may log in now, with the shell /bin/sh",
        ),
        (
            {"files": [file("/etc/ssh/sshd_config.d/10-hard.conf", layer=1)]},
            {},
            "/etc/ssh/sshd_config.d/10-hard.conf: removed, it decides who may do what",
        ),
        (
            {},
            {"files": [file("/var/spool/cron/crontabs/root", layer=1)]},
            "/var/spool/cron/crontabs/root: added, it decides who may do what",
        ),
        (
            {},
            {"files": [file("/etc/apt/keyrings/x.gpg", layer=1)]},
            "/etc/apt/keyrings/x.gpg: added, it decides who may do what",
        ),
        (
            {},
            {"files": [file("/usr/local/bin/x.pyc", mode="4755", layer=1)]},
            "/usr/local/bin/x.pyc: setuid to root is new, by the recipe",
        ),
        (
            {},
            {"files": [file("/var/cache/helper", mode="4755", layer=1)]},
            "/var/cache/helper: setuid to root is new, by the recipe",
        ),
        (
            {},
            {"files": [file("/var/cache/helper", mode="4755")]},
            "/var/cache/helper: setuid to root is new, by a package's script",
        ),
        (
            {},
            {"files": [file("/var/log/x", mode="0666")]},
            "/var/log/x: every user may write it (mode 0666), by a package's script",
        ),
        (
            {"packages": [package("openssl", "3.0.2")]},
            {"packages": [package("openssl", "3.0.1")]},
            "package openssl: downgraded from 3.0.2 to 3.0.1",
        ),
        ({"tests": [{"name": "t", "command": "true"}]}, {}, "test 't': removed"),
        (
            {},
            {"hygiene": {"allowed": [{"finding": "setuid", "path": "/x", "reason": "why"}]}},
            "hygiene: setuid /x is let pass now: why",
        ),
        (
            {},
            {"boot": {"mode": "uefi", "kernel_command_line": "quiet mitigations=off"}},
            "kernel command line: mitigations=off",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dangers_are_called_out(before, after, said):
    assert diff(manifest(**before), manifest(**after)).dangerous == [said]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        *(
            ("quiet", f"quiet {word}", [word])
            for word in (
                "enforcing=0",
                "nospectre_v2",
                "mds=off",
                "retbleed=off",
                "security=none",
                "init=/bin/sh",
                "ssbd=force-off",
            )
        ),
        ("lockdown=integrity", "", ["lockdown=integrity is gone"]),
        ("apparmor=1 a", "a", ["apparmor=1 is gone"]),
        ("mitigations=auto,nosmt", "mitigations=off", ["mitigations=off", "mitigations=auto,nosmt is gone"]),
        ("", "rd.systemd.debug-shell", ["rd.systemd.debug_shell"]),
        ("", "password=x mitigations=off", ["mitigations=off"]),
        ("quiet mitigations=off", "", []),
        ("", "apparmor=1 lockdown=integrity", []),
    ],
)
def test_protections_of_the_kernel(before, after, said):
    old, new = (
        manifest(boot={"mode": "uefi", "kernel_command_line": f"quiet {line}"}) for line in (before, after)
    )
    assert diff(old, new).dangerous == [f"kernel command line: {words}" for words in said]


def test_what_takes_rights_away_is_not_called_out():
    before = manifest(
        files=[file("/bin/x", mode="4755"), file("/y", mode="0666")], users=[user("a", 5, "/bin/sh")]
    )
    after = manifest(files=[file("/bin/x", mode="0755"), file("/y", mode="0644")], users=[user("a", 5)])
    assert diff(before, after).dangerous == []


def test_a_new_image_is_all_new_and_nothing_of_it_is_called_out():
    found = image_diff(None, manifest(files=[file("/x", mode="4755")]), before_disk=None, after_disk=None)
    assert not found.empty
    assert found.dangerous == []
    assert found.to_json()["before"] is None


def test_a_removed_image():
    assert (
        image_diff(manifest(files=[file("/x")]), None, before_disk=None, after_disk=None).to_json()["after"]
        is None
    )


def test_a_damaged_manifest_is_refused():
    broken = manifest()
    del broken["files"], broken["disk"]
    with pytest.raises(InputError, match="is damaged: it lacks files, disk"):
        diff(manifest(), broken)


def test_a_missing_disk_is_said():
    [note] = diff(manifest(), manifest(epoch=1)).notes
    assert note.startswith("the disk of the image before and of the image after is not on this machine")


def test_secrets_of_tests_and_of_the_kernel_are_masked():
    before = manifest(
        tests=[{"name": "t", "command": "curl --token old-secret x"}],
        boot={"mode": "uefi", "kernel_command_line": "quiet"},
    )
    after = manifest(
        tests=[{"name": "t", "command": "curl --token new-secret x"}],
        boot={"mode": "uefi", "kernel_command_line": "quiet api_key=new-secret"},
    )
    found = diff(before, after)
    assert [change.description for change in found.tests] == [
        "command curl --token ‹masked 1› x → curl --token ‹masked 2› x"
    ]
    assert "secret" not in str(found.to_json())
