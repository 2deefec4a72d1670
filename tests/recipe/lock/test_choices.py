"""Which version of a package: one by name, that of a suite such as backports, or of another component."""

import shutil

import pytest

from ingot.errors import InputError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_lock, write_lock
from ingot.recipe.lock.resolve import Upgrade, moved, resolve_lock
from tests.recipe.archive import LATER, stanza, write_suite

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("gpg", "apt-get")),
    reason="signing a test archive needs gpg, reading it apt",
)
FILE = "image_recipes/web/recipe.yaml"
BACKPORTS = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n"


def lock(web, **options):
    recipe = load_recipe(web.file)
    locked = resolve_lock(recipe, **options)
    write_lock(recipe, locked)
    return locked


def problems(web):
    with pytest.raises(InputError) as caught:
        lock(web)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def backports(archive, signer):
    """The archive with backports, which apt takes nothing from of its own accord (apt_preferences(5))."""

    def write(*main, newer):
        root = archive(main)
        write_suite(root / "debian", "bookworm-backports", "".join(newer), signer, fields=BACKPORTS)
        return root

    return write


def test_a_version_is_held_when_all_others_move(web, archive):
    web.replace("[apache2]", "[apache2=1:1.0-1, curl]")
    archive([stanza("apache2", "1:1.0-1"), stanza("curl")])
    old = lock(web)
    assert old.requested.packages == ("apache2=1:1.0-1", "curl")
    archive(
        [stanza("apache2", "1:1.0-1"), stanza("curl")],
        [stanza("apache2", "1:1.1-1"), stanza("curl", "1.1")],
        date=LATER,
    )
    new = lock(web, upgrade=Upgrade(everything=True))
    assert moved(old, new) == ["  curl 1.0 -> 1.1"]


def test_another_version_makes_the_lock_stale_and_counts_before_it(web, archive):
    archive([stanza("apache2", "1.0"), stanza("apache2", "1.1")])
    assert lock(web).versions()["apache2"] == "1.1"
    web.replace("[apache2]", "[apache2=1.0]")
    with pytest.raises(InputError, match=r"the lock has the package 'apache2' instead of 'apache2=1\.0'"):
        load_lock(load_recipe(web.file))
    assert lock(web).versions()["apache2"] == "1.0"
    assert load_lock(load_recipe(web.file)).versions()["apache2"] == "1.0"


def test_a_version_that_is_not_there_is_named_with_those_that_are(web, archive):
    web.replace("[apache2]", "[apache2=3.0]")
    archive([stanza("apache2", "1.0")], [stanza("apache2", "1.1")])
    [problem] = problems(web)
    assert problem.startswith(f"{FILE}:4:12: 'apache2' has no version 3.0")
    assert "there are 1.0 and 1.1" in problem


def test_a_package_of_backports_brings_what_it_needs_from_there_and_nothing_else(web, backports):
    web.replace("[apache2]", "[apache2, tool/bookworm-backports]")
    tool = stanza("tool", "2.0", Depends="libtool (>= 2)")
    newer = [tool, stanza("libtool", "2.0"), stanza("apache2", "2.0")]
    backports(stanza("apache2"), stanza("tool"), stanza("libtool"), newer=newer)
    locked = lock(web)
    found = {package.name: (package.version, package.suite) for package in locked.packages}
    assert found["tool"] == found["libtool"] == ("2.0", "bookworm-backports")
    assert found["apache2"] == ("1.0", "bookworm")
    assert lock(web) == locked  # what came with it stays


def test_a_package_of_every_image_can_be_one_of_backports(web, backports):
    web.replace("[apache2]", "[linux-image-cloud-amd64/bookworm-backports]")
    backports(newer=[stanza("linux-image-cloud-amd64", "6.12")])
    assert lock(web).versions()["linux-image-cloud-amd64"] == "6.12"


def test_a_package_that_a_suite_has_not(web, backports):
    web.replace("[apache2]", "[apache2/bookworm-backports]")
    backports(stanza("apache2"), newer=[stanza("tool")])
    [problem] = problems(web)
    assert problem.startswith(f"{FILE}:4:12: bookworm-backports has no package 'apache2'")
    assert "bookworm has 1.0" in problem


@pytest.mark.parametrize("suite", ["trixie-backports", "backports", "sid"])
def test_a_suite_of_another_release_is_refused_at_its_place(web, suite):
    web.replace("[apache2]", f"[apache2/{suite}]")
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    [problem] = map(str, caught.value.problems)
    assert problem.startswith(f"{FILE}:4:12: 'apache2' of the suite {suite!r}")
    assert "bookworm-backports" in problem


@pytest.mark.parametrize("second", ["apache2", "apache2=1.0", "apache2/bookworm-backports"])
def test_a_package_is_chosen_once(web, second):
    web.replace("[apache2]", f"[apache2=2.0, {second}]")
    with pytest.raises(InputError, match="second time"):
        load_recipe(web.file)


def test_packages_of_other_components_are_locked_like_the_rest(web, archive, signer):
    archive([stanza("apache2")])
    without = recipe_digest_of(web)
    web.replace("{debian: bookworm}", "{debian: bookworm, components: [non-free, contrib]}")
    web.replace("[apache2]", "[apache2, unrar]")
    root = archive([stanza("apache2")])
    write_suite(
        root / "debian", "bookworm", (root / "debian/dists/bookworm/main/binary-amd64/Packages").read_text(),
        signer, others={"non-free": stanza("unrar"), "contrib": ""},
    )  # fmt: skip
    locked = lock(web)
    assert "unrar" in locked.versions()
    assert recipe_digest(load_recipe(web.file)) != without


def recipe_digest_of(web):
    lock(web)
    return recipe_digest(load_recipe(web.file))


def test_a_missing_package_may_be_of_another_component(web, archive):
    web.replace("[apache2]", "[apache2, unrar]")
    archive([stanza("apache2")])
    [problem] = problems(web)
    assert "base: {debian: bookworm, components: [contrib, non-free, non-free-firmware]}" in problem


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("{debian: bookworm, components: [multiverse]}", "contrib, non-free or non-free-firmware"),
        ("{ubuntu: noble, components: [contrib]}", "multiverse or restricted"),
        ("{debian: bookworm, components: [main]}", "main is always there"),
        ("{ami: {id: ami-0123456789abcdef0}, components: [contrib]}", "debian or ubuntu"),
    ],
)
def test_components_are_those_of_the_distribution(web, base, said):
    web.replace("{debian: bookworm}", base)
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert any(said in str(problem) for problem in caught.value.problems)


def test_the_distributions_own_archive_as_an_apt_source_is_led_to_components(web, archive, signer):
    shutil.copyfile(signer.keyring, web.path / "files" / "debian.gpg")
    root = archive([stanza("apache2")])
    source = f"uri: 'file://{root}/debian', suite: bookworm, components: [contrib], key: files/debian.gpg"
    web.replace("packages: [apache2]", f"packages: [apache2]\napt_sources: [{{name: more, {source}}}]")
    [problem] = problems(web)
    assert problem.startswith(f"{FILE}:5:15: bookworm is a suite of the distribution's own archive")
    assert "base: {debian: bookworm, components: [contrib]}" in problem


def test_two_sources_of_one_suite_may_have_the_same_key(web, archive, signer, tmp_path):
    shutil.copyfile(signer.keyring, web.path / "files" / "extra.gpg")
    write_suite(tmp_path / "extra", "stable", stanza("one"), signer, others={"more": stanza("two")})
    source = f"name: extra, uri: 'file://{tmp_path}/extra', suite: stable, key: files/extra.gpg"
    sources = f"[{{{source}, components: [main]}}, {{{source}, components: [more]}}]"
    web.replace("packages: [apache2]", f"packages: [one, two]\napt_sources: {sources}")
    archive()
    assert {"one", "two"} <= lock(web).versions().keys()


def test_a_lock_that_contradicts_the_version_it_was_asked_for_is_refused(web, archive):
    web.replace("[apache2]", "[apache2=1.0]")
    archive([stanza("apache2", "1.0")])
    lock(web)
    web.lock.write_text(web.lock.read_text().replace('"version": "1.0"', '"version": "1.1"'))
    with pytest.raises(InputError) as caught:
        load_lock(load_recipe(web.file))
    assert any("apache2 1.1" in str(problem) for problem in caught.value.problems)


def test_a_choice_on_a_base_ami_is_refused(web):
    web.replace("{debian: bookworm}", "{ami: {id: ami-0123456789abcdef0}}")
    web.replace("[apache2]", "[apache2=1.0]")
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert any("a base AMI" in str(problem) for problem in caught.value.problems)


def test_another_architecture_is_named_as_such(web):
    web.replace("[apache2]", "[apache2, 'libc6:i386']")
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    [problem] = map(str, caught.value.problems)
    assert problem.startswith(f"{FILE}:4:21: 'libc6:i386', a package for another architecture")
    assert "write libc6" in problem
