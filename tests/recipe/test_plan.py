import hashlib
import json
import re

import pytest

from ingot.errors import InputError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.recipe.plan import compile_plan
from tests.recipe.conftest import LOCK


def plan(web):
    return compile_plan(load_recipe(web.file))


def test_the_plan_is_plain_json(web):
    made = plan(web)
    assert json.loads(json.dumps(made)) == made


def test_the_plan_says_what_the_recipe_says(web):
    made = plan(web)
    assert made["name"] == "web"
    assert made["recipe_digest"] == recipe_digest(load_recipe(web.file))
    assert made["version"] == made["recipe_digest"][:12]
    assert made["distribution"] == {"id": "debian", "suite": "bookworm"}
    assert made["epoch"] == 1700000000
    assert made["root_volume"] == {"size": 2 * 2**30, "device": "ebs"}
    assert made["packages"] == LOCK["packages"]
    assert made["groups"] == [{"name": "app", "gid": 990}]
    assert made["users"] == [
        {
            "name": "app",
            "uid": 990,
            "group": "app",
            "groups": ["www-data"],
            "shell": "/usr/sbin/nologin",
            "home": "/nonexistent",
            "comment": "",
        }
    ]
    assert made["steps"] == [
        {"run": "a2ensite site", "timeout": 600, "file": "recipe.yaml", "line": 11},
        {"run": "a2enmod headers", "timeout": 30, "file": "recipe.yaml", "line": 12},
    ]
    assert made["tests"] == [{"name": "it answers", "http": {"path": "/", "status": 200, "port": 80}}]
    assert made["drop"] == {"docs": True, "man": True, "locales": True, "hwdb": True}
    assert "console=ttyS0" in made["kernel_command_line"]
    assert "no_timer_check" in made["kernel_command_line"]  # of x86 alone


def test_kernel_parameters_are_added(web):
    web.replace("steps:", "kernel_command_line: quiet\nsteps:")
    assert plan(web)["kernel_command_line"].endswith("nvme_core.io_timeout=4294967295 no_timer_check quiet")


def test_files_are_expanded_and_sorted(web):
    (web.path / "app" / "run").write_text("#!/bin/sh\n")
    (web.path / "app" / "run").chmod(0o700)
    (web.path / "app" / "empty").mkdir()
    (web.path / "app" / "link").symlink_to("static/a b.css")
    web.replace(
        "steps:",
        '  - {content: "héllo", target: /etc/motd, mode: "0600"}\n'
        "  - {link: /etc/motd, target: /etc/motd2}\n"
        '  - {directory: true, target: /var/lib/app, owner: app, group: app, mode: "0750"}\nsteps:',
    )
    found = {entry["target"]: entry for entry in plan(web)["files"]}
    assert list(found) == sorted(found)
    app = {"owner": "app", "group": "app"}
    assert found["/srv/web"] == {"kind": "directory", "target": "/srv/web", "mode": "0755", **app}
    assert found["/srv/web/empty"]["kind"] == "directory"
    assert found["/srv/web/link"] == {
        "kind": "symlink", "target": "/srv/web/link", "mode": "0777", "link": "static/a b.css", **app,
    }  # fmt: skip
    assert found["/srv/web/run"]["mode"] == "0755"
    css = found["/srv/web/static/a b.css"]
    assert css["source"] == "app/static/a b.css"
    assert css["sha256"] == hashlib.sha256(b"body {}\n").hexdigest()
    assert css["size"] == 8
    assert found["/etc/motd"] == {
        "kind": "file", "target": "/etc/motd", "owner": "root", "group": "root", "mode": "0600",
        "content": "héllo", "sha256": hashlib.sha256("héllo".encode()).hexdigest(), "size": 6,
    }  # fmt: skip
    assert found["/etc/motd2"]["link"] == "/etc/motd"
    assert found["/var/lib/app"] == {"kind": "directory", "target": "/var/lib/app", "mode": "0750", **app}


AMI_LOCK = {
    "format": 1, "architecture": "x86_64", "source": '{"ssm": "/aws/x"}', "epoch": 1700000000,
    "ami": {"us-east-1": {"id": "ami-0123456789abcdef0", "owner": "137112412989", "name": "al2023", "created": "2026-01-01T00:00:00.000Z",
                          "root_device": "/dev/xvda", "root_size": 8, "boot_mode": "uefi-preferred"}},
}  # fmt: skip


def test_a_recipe_on_a_base_ami_names_it_and_its_packages(web):
    web.replace("{debian: bookworm}", "{ami: {ssm: /aws/x}}")
    (web.file.parent / "recipe.lock").write_text(json.dumps(AMI_LOCK))
    found = plan(web)
    assert (found["base"], found["packages"]) == (AMI_LOCK["ami"], [])
    assert found["install"] == sorted(load_recipe(web.file).packages)
    assert "distribution" not in found


@pytest.mark.parametrize(
    ("recipe", "lock", "said"),
    [
        ("{ami: {ssm: /aws/y}}", AMI_LOCK, "another AMI than the lock's"),
        ("{ami: {ssm: /aws/x}}", AMI_LOCK | {"architecture": "arm64"}, "but the lock is for arm64"),
        ("{ami: {ssm: /aws/x}}", AMI_LOCK | {"ami": {"us-east-1": {"id": "x"}}}, "ami.us-east-1.id"),
        ("{ami: {ssm: /aws/x}}", None, "no such file"),
    ],
)
def test_a_lock_of_another_base_ami_is_stale(web, recipe, lock, said):
    web.replace("{debian: bookworm}", recipe)
    place = web.file.parent / "recipe.lock"
    place.unlink(missing_ok=True)
    if lock is not None:
        place.write_text(json.dumps(lock))
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        plan(web)
    assert "ingot lock" in str(caught.value)


@pytest.mark.parametrize(
    ("ami", "said"),
    [
        ("{name: x-*}", "name without owner; expected the key owner, too"),
        ("{ssm: /aws/x, id: ami-01234567}", "exactly one of the keys id, ssm, name"),
        ("{id: ami-xyz}", "the id of an AMI"),
        ("{name: 'al2023-*', owner: me}", "an account id of 12 digits"),
    ],
)
def test_a_base_ami_that_is_not_named_well(web, ami, said):
    web.replace("{debian: bookworm}", f"{{ami: {ami}}}")
    with pytest.raises(InputError, match=re.escape(said)):
        load_recipe(web.file)
