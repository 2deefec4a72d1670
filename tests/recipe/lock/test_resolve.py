import platform
import shutil

import pytest

from ingot.bake.engine import BINFMT
from ingot.errors import IngotError, InputError, MissingRightError, MissingToolError
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.distribution import distribution_of
from ingot.recipe.lock.file import load_lock, read_lock, write_lock
from ingot.recipe.lock.resolve import Upgrade, moved, resolve_lock
from ingot.store import Store
from tests.recipe.archive import LATER, Signer, stanza

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("gpg", "apt-get")),
    reason="signing a test archive needs gpg, reading it apt",
)


APACHE = stanza("apache2", "2:1.0", Depends="apache2-bin (= 1.0)", Recommends="ssl-cert")
APACHE_BIN = stanza("apache2-bin", "1.0")


def lock(web, **options):
    return resolve_lock(load_recipe(web.file), **options)


def test_a_lock_holds_the_whole_set_and_no_more(web, archive):
    archive([APACHE, APACHE_BIN, stanza("ssl-cert"), stanza("unused")])
    locked = lock(web)
    by_name = {package.name: package for package in locked.packages}
    distribution = distribution_of(load_recipe(web.file))
    assert set(by_name) == {
        "apache2", "apache2-bin", "base-files", "libc6", *distribution.base_packages, *distribution.tools,
    }  # fmt: skip
    assert by_name["base-files"].essential
    assert not by_name["libc6"].essential
    assert {name for name, package in by_name.items() if package.role == "tool"} == set(distribution.tools)
    apache = by_name["apache2"]
    assert (apache.version, apache.archive, apache.suite) == ("2:1.0", "debian", "bookworm")
    assert apache.path == "pool/main/a/apache2/apache2_2%3a1.0_amd64.deb"
    assert locked.epoch == 1700000000
    assert locked.requested.packages == ("apache2",)


@pytest.mark.parametrize(
    ("stanzas", "gone"),
    [
        (
            [
                stanza("systemd-timesyncd", "1.1", Provides="time-daemon"),
                stanza("chrony", Conflicts="time-daemon"),
            ],
            "systemd-timesyncd",
        ),
        ([stanza("chrony", Conflicts="systemd-timesyncd")], "systemd-timesyncd"),
        ([stanza("resolvconf", Provides="dns"), stanza("chrony")], None),
        ([stanza("chrony", Conflicts="systemd-timesyncd (<< 1)")], None),
    ],
)
def test_a_package_of_the_recipe_takes_the_place_of_a_default(web, archive, stanzas, gone):
    web.replace("[apache2]", "[chrony]")
    archive(stanzas)
    distribution = distribution_of(load_recipe(web.file))
    locked = lock(web)
    assert {*distribution.base_packages} - {*locked.requested.base} == ({gone} if gone else set())
    assert gone not in locked.versions()
    write_lock(load_recipe(web.file), locked)
    spec = compile_spec(load_recipe(web.file))
    assert set(spec.system) == set(locked.requested.base)


def test_what_every_image_needs_is_never_replaced(web, archive):
    web.replace("[apache2]", "[chrony]")
    archive([stanza("chrony", Conflicts="dbus")])
    with pytest.raises(IngotError, match="the packages of web conflict"):
        lock(web)


def test_the_lock_that_is_written_is_the_lock_that_is_loaded(web, archive):
    archive([APACHE, APACHE_BIN])
    recipe = load_recipe(web.file)
    locked = lock(web)
    write_lock(recipe, locked)
    assert load_lock(recipe) == locked


def test_no_mirror_is_named_in_the_lock(web, archive):
    root = archive([APACHE, APACHE_BIN])
    recipe = load_recipe(web.file)
    write_lock(recipe, lock(web))
    assert str(root) not in web.lock.read_text()
    assert "://" not in web.lock.read_text()


def test_versions_stay_until_they_are_released(web, archive):
    recipe = load_recipe(web.file)
    archive([stanza("apache2"), stanza("curl")])
    web.replace("[apache2]", "[apache2, curl]")
    recipe = load_recipe(web.file)
    old = lock(web)
    write_lock(recipe, old)
    archive(
        [stanza("apache2"), stanza("curl")], [stanza("apache2", "1.1"), stanza("curl", "1.1")], date=LATER
    )
    assert lock(web) == old  # the index is newer, but nothing moves: the same digest
    one = lock(web, upgrade=Upgrade(packages=frozenset({"curl"})))
    assert moved(old, one) == ["  curl 1.0 -> 1.1"]
    # Files keep their date, or each layer and each inode would be another: only the index is a newer one.
    assert (one.epoch, one.index_date() - one.epoch) == (old.epoch, 86400)
    assert {package.suite for package in one.packages if package.name == "curl"} == {"bookworm-security"}
    everything = lock(web, upgrade=Upgrade(everything=True))
    assert moved(old, everything) == ["  apache2 1.0 -> 1.1", "  curl 1.0 -> 1.1"]
    assert (everything.epoch, everything.indexed) == (one.index_date(), None)
    write_lock(recipe, one)
    assert read_lock(recipe) == one
    assert lock(web) == one


def test_a_package_more_leaves_the_files_their_date(web, archive):
    archive([stanza("apache2"), stanza("curl")])
    old = lock(web)
    write_lock(load_recipe(web.file), old)
    assert "indexed" not in web.lock.read_text()
    archive([stanza("apache2"), stanza("curl")], date=LATER)
    web.replace("[apache2]", "[apache2, curl]")
    new = lock(web)
    assert moved(old, new) == ["+ curl 1.0"]
    assert new.epoch == old.epoch
    assert new.index_date() > old.epoch
    write_lock(load_recipe(web.file), new)
    assert compile_spec(load_recipe(web.file)).indexed == new.index_date()


def test_a_version_that_is_gone_moves(web, archive):
    archive([stanza("apache2")])
    old = lock(web)
    write_lock(load_recipe(web.file), old)
    archive([stanza("apache2", "1.1")])
    assert moved(old, lock(web)) == ["  apache2 1.0 -> 1.1"]


def test_packages_that_do_not_exist_are_named_with_their_places(web, archive):
    archive([stanza("apache2"), stanza("mawk", Provides="awk (= 1), x")])
    web.replace("[apache2]", "\n  - apache2\n  - apacheee2\n  - awk")
    with pytest.raises(InputError) as caught:
        lock(web)
    first, second = map(str, caught.value.problems)
    assert first.startswith("image_recipes/web/recipe.yaml:6:5: unknown package 'apacheee2'")
    assert "did you mean apache2" in first
    assert second.startswith("image_recipes/web/recipe.yaml:7:5: 'awk' is a virtual package")
    assert "mawk" in second
    assert not web.lock.exists()


def test_ubuntu_has_one_archive_and_three_pockets(web, archive):
    web.replace("{debian: bookworm}", "{ubuntu: noble}")
    root = archive([stanza("apache2")], [stanza("apache2", "1.1")])
    locked = lock(web)
    [apache] = [package for package in locked.packages if package.name == "apache2"]
    assert (apache.version, apache.archive, apache.suite) == ("1.1", "ubuntu", "noble-security")
    assert locked.distribution.model_dump() == {"id": "ubuntu", "suite": "noble"}
    assert "linux-image-aws" in locked.versions()
    assert sorted(path.name for path in (root / "ubuntu/dists").iterdir()) == [
        "noble", "noble-security", "noble-updates",
    ]  # fmt: skip


def test_arm64_is_locked_and_planned_and_its_bake_refused_here(web, archive, tmp_path):
    web.replace("packages:", "architecture: arm64\npackages:")
    archive([stanza("apache2")])
    recipe = load_recipe(web.file)
    locked = lock(web)
    assert locked.architecture == "arm64"
    assert "linux-image-cloud-arm64" in locked.versions()
    write_lock(recipe, locked)
    assert compile_spec(recipe).architecture == "arm64"
    if platform.machine() != "aarch64" and not list(BINFMT.glob("*aarch64*")):
        with pytest.raises(MissingRightError, match="which this machine"):
            Store(tmp_path / "store").bake(recipe, print)


def test_a_setting_brings_the_package_that_it_needs(web, archive):
    web.replace("steps:", "timezone: Europe/Berlin\nlocale: de_DE.UTF-8\nsteps:")
    archive([stanza("apache2")])
    roles = {package.name: package.role for package in lock(web).packages}
    assert (roles["tzdata"], roles["locales"]) == ("install", "tool")


def test_an_upgrade_of_a_package_that_does_not_exist(web, archive):
    archive([stanza("apache2")])
    with pytest.raises(InputError, match="no package apach2 in debian bookworm"):
        lock(web, upgrade=Upgrade(packages=frozenset({"apach2"})))


def test_packages_that_do_not_go_together(web, archive):
    archive([APACHE])
    with pytest.raises(IngotError, match="apache2-bin"):
        lock(web)


def test_an_archive_that_nobody_signed_is_refused(web, archive):
    root = archive([stanza("apache2")])
    release = root / "debian" / "dists" / "bookworm" / "InRelease"
    text = release.read_text()
    release.write_text(text[text.index("Origin:") : text.index("-----BEGIN PGP SIGNATURE")])
    with pytest.raises(IngotError, match="cannot be fetched"):
        lock(web)


def test_another_key_is_refused(web, archive):
    other = Signer()
    try:
        archive([stanza("apache2")], key=other)
        with pytest.raises(IngotError, match="cannot be fetched") as caught:
            lock(web)
        assert "INGOT_KEYRING names another file" in str(caught.value)
    finally:
        other.close()


def test_an_index_that_was_changed_is_refused(web, archive):
    root = archive([stanza("apache2")])
    index = root / "debian" / "dists" / "bookworm" / "main" / "binary-amd64" / "Packages"
    index.write_text(index.read_text().replace("Size: 100", "Size: 101"))
    with pytest.raises(IngotError, match="cannot be fetched"):
        lock(web)


def test_no_network(web, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_MIRROR", f"file://{tmp_path}/nothing/debian")
    with pytest.raises(IngotError, match="INGOT_MIRROR names another one"):
        lock(web)


def test_a_keyring_that_is_missing(web, archive, monkeypatch):
    monkeypatch.setenv("INGOT_KEYRING", "/nonexistent/keyring.gpg")
    with pytest.raises(MissingToolError, match="debian-archive-keyring"):
        lock(web)


def test_the_hint_for_the_keyring_of_ubuntu_can_be_followed_on_debian(web, archive, monkeypatch):
    web.replace("{debian: bookworm}", "{ubuntu: noble}")
    archive()
    monkeypatch.setenv("INGOT_KEYRING", "/nowhere/ubuntu-archive-keyring.gpg")
    with pytest.raises(MissingToolError) as caught:
        lock(web)
    assert "copy ubuntu-archive-keyring.gpg from an Ubuntu machine" in caught.value.hint
    assert "INGOT_KEYRING" in caught.value.hint
