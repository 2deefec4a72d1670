"""What a recipe says of its clones' disks: volumes, instance store, swap."""

import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.distribution import distribution_of
from ingot.spec import ScratchSpec, StorageSpec, VolumeSpec, read_spec

RECIPE = """\
volumes:
  - {name: data, mount: /srv/data, size: 20GiB, owner: app, mode: "0750", services: [b, a]}
  - {name: logs, mount: /srv/logs, size: 1GiB, device: /dev/sdf}
  - {name: more, mount: /srv/more, size: 1TiB}
instance_store: {mount: /srv/scratch}
swap: 512MiB
"""


def add(web, text):
    web.file.write_text(web.file.read_text() + text)


def problems(web, text):
    add(web, text)
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    return [str(problem) for problem in caught.value.problems]


def test_it_is_compiled_and_travels(web):
    add(web, RECIPE)
    spec = compile_spec(load_recipe(web.file))
    assert spec.storage == StorageSpec(
        volumes=(
            VolumeSpec("data", "/dev/sdg", "/srv/data", 20 << 30, "ext4", "app", None, "0750", ("a", "b")),
            VolumeSpec("logs", "/dev/sdf", "/srv/logs", 1 << 30),
            VolumeSpec("more", "/dev/sdh", "/srv/more", 1 << 40),
        ),
        scratch=ScratchSpec("/srv/scratch"),
        swap=512 << 20,
    )
    assert read_spec(spec.text()) == spec
    assert spec.storage.mounts == ("/srv/data", "/srv/logs", "/srv/more", "/srv/scratch")


def test_swap_on_the_instance_store(web):
    add(web, "instance_store: {swap: true}\n")
    assert compile_spec(load_recipe(web.file)).storage == StorageSpec(instance_swap=True)


@pytest.mark.parametrize(
    "text",
    [
        "volumes: [{name: data, mount: /srv/data, size: 1GiB, filesystem: xfs}]\n",
        "instance_store: {mount: /srv/data, filesystem: xfs}\n",
    ],
)
def test_the_image_gets_what_formats_xfs(web, text):
    before = distribution_of(load_recipe(web.file)).base_packages
    add(web, text)
    assert {*distribution_of(load_recipe(web.file)).base_packages} - {*before} == {"xfsprogs"}


def test_a_lock_from_before_the_file_system_is_stale(web):
    add(web, "volumes: [{name: data, mount: /srv/data, size: 1GiB, filesystem: xfs}]\n")
    with pytest.raises(InputError) as caught:
        compile_spec(load_recipe(web.file))
    assert "xfsprogs, which the lock lacks" in str(caught.value.problems[0])


def test_a_recipe_without_any_keeps_its_digest(web):
    before = recipe_digest(load_recipe(web.file))
    add(web, "volumes: []\ninstance_store: null\nswap: null\n")
    assert recipe_digest(load_recipe(web.file)) == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("volumes: [{name: a, mount: /srv/a, size: 100MiB}]", "whole GiB"),
        ("volumes: [{name: a-name-too-long, mount: /srv/a, size: 1GiB}]", "at most 12 lower case letters"),
        ("volumes: [{name: a, mount: /var/lib, size: 1GiB}]", "'/var/lib', which the system itself uses"),
        ("volumes: [{name: a, mount: /usr, size: 1GiB}]", "'/usr', which holds programs"),
        ("volumes: [{name: a, mount: /srv/a, size: 1GiB, device: /dev/sda}]", "from /dev/sdf to /dev/sdp"),
        (
            "volumes: [{name: a, mount: /srv/a, size: 1GiB, owner: apq}]",
            "the user 'apq', which is not declared",
        ),
        ("volumes: [{name: a, mount: /srv/a, size: 1GiB, services: [a.timer]}]", "the name of a service"),
        ("instance_store: {mount: /srv/a, swap: true}", "exactly one of mount, swap"),
        ("instance_store: {filesystem: xfs}", "exactly one of mount, swap"),
        ("instance_store: {swap: true, filesystem: xfs}", "swap alone"),
        ("swap: 8GiB", "swap of more than half the root volume"),
    ],
)
def test_what_cannot_be_is_refused(web, given, message):
    found = problems(web, given + "\n")
    assert len(found) == 1
    assert message in found[0]


def test_volumes_do_not_share_names_places_or_devices(web):
    entry = "{name: a, mount: /srv/a, size: 1GiB, device: /dev/sdf}"
    found = problems(web, f"volumes: [{entry}, {entry}]\ninstance_store: {{mount: /srv/a}}\n")
    for message in ("name 'a' a second", "mount '/srv/a' a second", "device '/dev/sdf' a second"):
        assert sum(message in problem for problem in found) == 1
    assert sum("'/srv/a' a second time" in problem for problem in found) == 2


def test_volumes_are_not_mounted_inside_each_other(web):
    [found] = problems(
        web,
        "volumes: [{name: a, mount: /srv/a, size: 1GiB}, {name: b, mount: /srv/a/b, size: 1GiB}]\n",
    )
    assert "'/srv/a/b', which is in '/srv/a'" in found


def test_a_file_that_a_volume_hides_is_refused(web):
    document = web.file.read_text()
    web.file.write_text(document.replace("files:", "files:\n  - {content: x, target: /srv/a/x}", 1))
    [found] = problems(web, "volumes: [{name: a, mount: /srv/a, size: 1GiB}]\n")
    assert "'/srv/a/x', over which a volume is mounted" in found


def on_instance_store(web, more=""):
    """Give the recipe a root on an instance store; return its problems."""
    web.replace("root_volume: {", "root_volume: {device: instance-store, ")
    return problems(web, more)


def test_a_root_on_an_instance_store_boots_by_bios(web):
    before = recipe_digest(load_recipe(web.file))
    assert compile_spec(load_recipe(web.file)).bios is False
    web.replace("root_volume: {", "root_volume: {device: instance-store, ")
    recipe = load_recipe(web.file)
    assert compile_spec(recipe).bios is True
    assert read_spec(compile_spec(recipe).text()) == compile_spec(recipe)
    assert recipe_digest(recipe) != before


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("size: 2GiB", "size: 10241MiB", ["10241MiB on an instance store", "at most 10GiB"]),
        ("name: web", "name: web\narchitecture: arm64", ["arm64 with a root on an instance store"]),
        ("steps:", "volumes: [{name: a, mount: /srv/a, size: 1GiB}]\nsteps:", ["no EBS volumes"]),
        ("steps:", "instance_store: {mount: /srv/a}\nsteps:", ["no NVMe disks"]),
        ("size: 2GiB", "size: 2GiB, encrypted: true", ["always encrypted", "are not encrypted"]),
    ],
)
def test_what_a_root_on_an_instance_store_cannot_be(web, old, new, messages):
    web.replace(old, new)
    [problem] = on_instance_store(web)
    for message in messages:
        assert message in problem


def test_ten_gibibytes_fit_on_an_instance_store(web):
    web.replace("size: 2GiB", "size: 10GiB, device: instance-store")
    assert load_recipe(web.file).root_volume.size == 10 << 30


def test_a_base_ami_has_its_root_on_a_volume(web):
    web.file.write_text(
        "name: web\nbase: {ami: {ssm: /aws/x}}\nroot_volume: {size: 8GiB, device: instance-store}\n"
        'tests: [{name: it runs, command: "true"}]\n'
    )
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert "a base AMI with a root on an instance store" in str(caught.value)
