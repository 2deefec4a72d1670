"""Targets that would be overwritten, hidden or cleared are refused, each at its place."""

import pytest

from ingot.errors import InputError
from ingot.recipe.load import load_recipe


def problems(web):
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("/etc/fstab", "mount more by units of systemd.mount"),
        ("/etc/machine-id", "each clone makes its own"),
        ("/etc/hostname", "the key `hostname` sets it"),
        ("/etc/locale.conf", "the key `locale` sets it"),
        ("/etc/default/locale", "the key `locale` sets it"),
        ("/etc/ingot/image.json", "Ingot writes there"),
        ("/usr/lib/ingot/tests", "Ingot's own programs"),
        ("/lib/ingot/baseline/image", "Ingot's own programs"),
        ("/tmp/x", "/tmp are recreated at every boot"),
        ("/var/run/x", "recreated at every boot"),
        ("/var/lock/x", "recreated at every boot"),
    ],
)
def test_a_target_where_nothing_lasts_is_refused(web, target, hint):
    web.replace("target: /etc/site.conf", f"target: {target}")
    [problem] = problems(web)
    assert "recipe.yaml:9:39" in problem
    assert target in problem
    assert hint in problem


def test_so_is_one_in_a_directory_that_is_copied(web):
    rootfs = web.path / "files" / "rootfs"
    for name in ("etc/fstab", "run/x", "lib/y"):
        (rootfs / name).parent.mkdir(parents=True, exist_ok=True)
        (rootfs / name).touch()
    web.replace("files/site.conf, target: /etc/site.conf", "files/rootfs/etc/, target: /etc")
    [fstab] = problems(web)
    assert "/etc/fstab, where no file of a recipe lasts" in fstab
    web.replace("files/rootfs/etc/, target: /etc", "files/rootfs/, target: /var")
    assert [problem for problem in problems(web) if "/var/run/x, where" in problem]


def test_a_zone_of_the_recipes_own_may_not_be_overwritten(web):
    web.replace("/etc/site.conf", "/etc/timezone")
    load_recipe(web.file)
    web.replace("steps:", "timezone: Europe/Berlin\nsteps:")
    [problem] = problems(web)
    assert "the key `timezone` sets it" in problem
