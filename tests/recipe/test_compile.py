import hashlib
import json
import re

import pytest

from ingot.errors import BakeError, InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.spec import DistributionSpec, DropSpec, FileSpec, GroupSpec, StepSpec, UserSpec, read_spec

from .conftest import LOCK


def spec(web):
    return compile_spec(load_recipe(web.file))


def test_what_is_written_is_read_as_the_same_spec(web):
    compiled = spec(web)
    assert read_spec(compiled.text()) == compiled


def test_a_spec_of_another_format_is_refused(web):
    other = json.dumps({**json.loads(spec(web).text()), "format": 1})
    with pytest.raises(BakeError, match="the bake spec has format 1"):
        read_spec(other)


def test_the_spec_says_what_the_recipe_says(web):
    compiled = spec(web)
    assert compiled.name == "web"
    assert compiled.recipe_digest == recipe_digest(load_recipe(web.file))
    assert compiled.version == compiled.recipe_digest[:12]
    assert compiled.distribution == DistributionSpec("debian", "bookworm")
    assert compiled.epoch == 1700000000
    assert compiled.root_volume_size == 2 * 2**30
    assert [package._asdict() for package in compiled.packages] == LOCK["packages"]
    assert compiled.groups == (GroupSpec("app", 990),)
    assert compiled.users == (
        UserSpec("app", 990, "app", ("www-data",), "/usr/sbin/nologin", "/nonexistent", ""),
    )
    assert compiled.steps == (
        StepSpec("a2ensite site", 600, 11, "recipe.yaml"),
        StepSpec("a2enmod headers", 30, 12, "recipe.yaml"),
    )
    assert [test.plain() for test in compiled.tests] == [
        {"name": "it answers", "http": {"path": "/", "status": 200, "port": 80}}
    ]
    assert compiled.drop == DropSpec(docs=True, man=True, locales=True, hwdb=True)
    assert "console=ttyS0" in compiled.kernel_command_line
    assert "no_timer_check" in compiled.kernel_command_line  # of x86 alone


def test_kernel_parameters_are_added(web):
    web.replace("steps:", "kernel_command_line: quiet\nsteps:")
    assert spec(web).kernel_command_line.endswith("nvme_core.io_timeout=4294967295 no_timer_check quiet")


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
    found = {entry.target: entry for entry in spec(web).files}
    assert list(found) == sorted(found)
    assert found["/srv/web"] == FileSpec("directory", "/srv/web", "app", "app", "0755")
    assert found["/srv/web/empty"].kind == "directory"
    assert found["/srv/web/link"] == FileSpec(
        "symlink", "/srv/web/link", "app", "app", "0777", link="static/a b.css"
    )
    assert found["/srv/web/run"].mode == "0755"
    css = found["/srv/web/static/a b.css"]
    assert css.source == "app/static/a b.css"
    assert css.sha256 == hashlib.sha256(b"body {}\n").hexdigest()
    assert css.size == 8
    digest = hashlib.sha256("héllo".encode()).hexdigest()
    assert found["/etc/motd"] == FileSpec(
        "file", "/etc/motd", "root", "root", "0600", content="héllo", sha256=digest, size=6
    )
    assert found["/etc/motd2"].link == "/etc/motd"
    assert found["/var/lib/app"] == FileSpec("directory", "/var/lib/app", "app", "app", "0750")


AMI_LOCK = {
    "format": 1,
    "architecture": "x86_64",
    "source": '{"ssm": "/aws/x"}',
    "epoch": 1700000000,
    "ami": {
        "us-east-1": {
            "id": "ami-0123456789abcdef0",
            "owner": "137112412989",
            "name": "al2023",
            "created": "2026-01-01T00:00:00.000Z",
            "root_device": "/dev/xvda",
            "root_size": 8,
            "boot_mode": "uefi-preferred",
        }
    },
}


def test_a_recipe_on_a_base_ami_names_it_and_its_packages(web):
    web.replace("{debian: bookworm}", "{ami: {ssm: /aws/x}}")
    (web.file.parent / "recipe.lock").write_text(json.dumps(AMI_LOCK))
    compiled = spec(web)
    assert {region: ami._asdict() for region, ami in compiled.base.items()} == AMI_LOCK["ami"]
    assert compiled.packages == ()
    assert compiled.install == tuple(sorted(load_recipe(web.file).packages))
    assert compiled.distribution is None
    assert read_spec(compiled.text()) == compiled


@pytest.mark.parametrize(
    ("recipe", "lock", "said"),
    [
        ("{ami: {ssm: /aws/y}}", AMI_LOCK, "the lock was made for another AMI"),
        ("{ami: {ssm: /aws/x}}", AMI_LOCK | {"architecture": "arm64"}, "and the lock for arm64"),
        ("{ami: {ssm: /aws/x}}", AMI_LOCK | {"ami": {"us-east-1": {"id": "x"}}}, "ami.us-east-1.id"),
        ("{ami: {ssm: /aws/x}}", None, "the recipe has no lock yet"),
    ],
)
def test_a_lock_of_another_base_ami_is_stale(web, recipe, lock, said):
    web.replace("{debian: bookworm}", recipe)
    place = web.file.parent / "recipe.lock"
    place.unlink(missing_ok=True)
    if lock is not None:
        place.write_text(json.dumps(lock))
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        spec(web)
    assert "ingot lock" in str(caught.value)


@pytest.mark.parametrize(
    ("ami", "said"),
    [
        ("{name: x-*}", "name without owner, expected the key owner, too"),
        ("{ssm: /aws/x, id: ami-01234567}", "exactly one of the keys id, ssm, name"),
        ("{id: ami-xyz}", "the id of an AMI"),
        ("{name: 'al2023-*', owner: me}", "an account id of 12 digits"),
    ],
)
def test_a_base_ami_that_is_not_named_well(web, ami, said):
    web.replace("{debian: bookworm}", f"{{ami: {ami}}}")
    with pytest.raises(InputError, match=re.escape(said)):
        load_recipe(web.file)
