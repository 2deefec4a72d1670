import base64
import os
import shutil
from pathlib import Path

import pytest

from ingot.errors import IngotError, InputError, MissingToolError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.archives import archives_of, fingerprints
from ingot.recipe.lock.file import load_lock, lock_text, write_lock
from ingot.recipe.lock.resolve import resolve_lock
from ingot.spec import AptSourceSpec
from tests.recipe.archive import LATER, Signer, stanza, write_flat_archive, write_suite
from tests.recipe.conftest import LOCK

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("gpg", "apt-get")),
    reason="signing a test archive needs gpg, reading it apt",
)
FILE = "image_recipes/web/recipe.yaml"


@pytest.fixture(scope="module")
def other():
    """The key of another archive than the distribution's."""
    other = Signer()
    yield other
    other.close()


@pytest.fixture
def extra(web, tmp_path, other):
    """An archive of our own with the package tool, and the recipe that names it."""
    shutil.copyfile(other.keyring, web.path / "files" / "extra.gpg")
    root = tmp_path / "extra"
    write_suite(root, "stable", stanza("tool", Depends="libc6") + stanza("apache2", "0.1"), other, LATER)
    source = f"{{name: extra, uri: 'file://{root}', suite: stable, components: [main], key: files/extra.gpg}}"
    web.replace("packages: [apache2]", f"packages: [apache2, tool]\napt_sources:\n  - {source}")
    return root


def lock(web, **options):
    recipe = load_recipe(web.file)
    locked = resolve_lock(recipe, **options)
    write_lock(recipe, locked)
    return locked


def test_its_packages_are_locked_like_the_rest(web, archive, extra, other):
    archive([stanza("apache2")])
    locked = lock(web)
    [tool] = [package for package in locked.packages if package.name == "tool"]
    assert (tool.archive, tool.suite, tool.version) == ("extra", "stable", "1.0")
    assert tool.path == "pool/main/t/tool/tool_1.0_amd64.deb"
    [source] = locked.archives
    assert (source.name, source.suite, source.components) == ("extra", "stable", ("main",))
    assert source.fingerprints == (other.fingerprint(),)
    assert locked.epoch == 1700000000 + 86400  # the newest date of all indexes
    assert load_lock(load_recipe(web.file)) == locked
    assert str(extra) not in lock_text(locked)


def test_the_bake_knows_where_its_packages_are(web, archive, extra):
    archive([stanza("apache2")])
    lock(web)
    spec = compile_spec(load_recipe(web.file))
    assert spec.apt_sources == (AptSourceSpec("extra", f"file://{extra}"),)


def test_the_distributions_own_version_counts_unless_the_other_is_newer(web, archive, extra, other):
    archive([stanza("apache2")])
    assert lock(web).versions()["apache2"] == "1.0"
    write_suite(extra, "stable", stanza("tool", Depends="libc6") + stanza("apache2", "9"), other)
    assert lock(web, upgrade=everything()).versions()["apache2"] == "9"


def everything():
    from ingot.recipe.lock.resolve import Upgrade

    return Upgrade(everything=True)


def test_what_it_calls_essential_is_not(web, archive, extra, other):
    write_suite(extra, "stable", stanza("tool") + stanza("greedy", Essential="yes"), other)
    archive([stanza("apache2")])
    assert "greedy" not in lock(web).versions()


def test_an_archive_without_components(web, archive, extra, other):
    write_flat_archive(extra, stanza("tool"), other)
    web.replace("suite: stable, components: [main]", "suite: ./")
    archive([stanza("apache2")])
    [tool] = [package for package in lock(web).packages if package.name == "tool"]
    assert (tool.archive, tool.suite) == ("extra", "./")


def test_a_key_in_text_form(web, archive, extra, other):
    other.gpg("--armor", "--output", str(web.path / "files" / "extra.gpg"), "--export")
    archive([stanza("apache2")])
    assert lock(web).archives[0].fingerprints == (other.fingerprint(),)


def test_the_distributions_key_does_not_sign_for_it(web, archive, extra, signer):
    shutil.copyfile(signer.keyring, web.path / "files" / "extra.gpg")
    archive([stanza("apache2")])
    with pytest.raises(IngotError, match="debian bookworm or extra cannot be fetched"):
        lock(web)


def test_its_key_does_not_sign_for_the_distribution(web, archive, extra, other):
    archive([stanza("apache2")], key=other)
    with pytest.raises(IngotError, match="cannot be fetched"):
        lock(web)


def test_an_index_of_it_that_was_changed_is_refused(web, archive, extra):
    archive([stanza("apache2")])
    index = extra / "dists/stable/main/binary-amd64/Packages"
    index.write_text(index.read_text().replace("Size: 100", "Size: 101"))
    with pytest.raises(IngotError, match="cannot be fetched"):
        lock(web)


def test_the_mirror_of_an_archive_can_be_another(web, archive, extra, tmp_path, monkeypatch):
    root = archive([stanza("apache2")])
    extra.rename(tmp_path / "moved")
    words = [f"{name}=file://{root}/{name}" for name in ("debian", "debian-security")]
    monkeypatch.setenv("INGOT_MIRROR", " ".join([*words, f"extra=file://{tmp_path}/moved/"]))
    assert "tool" in lock(web).versions()


def test_the_digest_knows_the_key_and_not_the_address(web, archive, extra, tmp_path, other):
    archive([stanza("apache2")])
    lock(web)
    before = recipe_digest(load_recipe(web.file))
    web.replace(str(extra), str(tmp_path / "elsewhere"))
    assert recipe_digest(load_recipe(web.file)) == before
    other.gpg("--armor", "--output", str(web.path / "files" / "extra.gpg"), "--export")
    with pytest.raises(InputError) as caught:
        recipe_digest(load_recipe(web.file))
    [problem] = map(str, caught.value.problems)
    assert problem.startswith(f"{FILE}:6:5: the lock was made with another key of the archive 'extra'")
    web.replace(str(tmp_path / "elsewhere"), str(extra))
    lock(web)
    assert recipe_digest(load_recipe(web.file)) != before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("remove", "the lock has the archive 'extra', and the recipe does not"),
        (("name: extra", "name: other"), f"{FILE}:6:5: the lock lacks the archive 'other'"),
        (
            ("suite: stable", "suite: testing"),
            f"{FILE}:6:5: the lock has another form of the archive 'extra'",
        ),
    ],
)
def test_a_lock_of_other_sources_is_stale(web, archive, extra, change, said):
    archive([stanza("apache2")])
    lock(web)
    if change == "remove":
        lines = web.file.read_text().splitlines(keepends=True)
        web.file.write_text(
            "".join(line for line in lines if "apt_sources" not in line and "extra.gpg" not in line)
        )
    else:
        web.replace(*change)
    with pytest.raises(InputError) as caught:
        load_lock(load_recipe(web.file))
    assert any(said in str(problem) for problem in caught.value.problems), str(caught.value)
    assert "run: ingot lock web" in str(caught.value)


def test_a_lock_without_archives_does_not_speak_of_them(web):
    web.write_lock(LOCK)
    assert "archives" not in lock_text(load_lock(load_recipe(web.file)))


SOURCE = "{uri: 'https://deb.example.com/', suite: stable, components: [main], key: files/extra.gpg}"
WRONG = [
    ("https://deb.example.com/", "deb.example.com", "the address of an archive"),
    (
        "https://deb.example.com/",
        "https://me:secret@deb.example.com",
        "one without: a recipe is read by many",
    ),
    ("https://deb.example.com/", "https://deb.example.com/ x", "the address of an archive"),
    ("files/extra.gpg", "files/none.gpg", "no file files/none.gpg"),
    ("files/extra.gpg", "files/site.conf", "files/site.conf: no OpenPGP key"),
    ("files/extra.gpg", "../key", "key '../key'"),
    (", components: [main]", "", "no components"),
    ("suite: stable", "suite: stable/", "components for a suite that ends with /"),
    ("suite: stable", "suite: 'stable main'", "the name of a suite"),
    ("uri:", "name: debian, uri:", "the archive 'debian' a second time"),
    ("uri:", "url:", "did you mean uri?"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[new or said for _, new, said in WRONG])
def test_a_source_that_is_wrong(web, other, old, new, said):
    shutil.copyfile(other.keyring, web.path / "files" / "extra.gpg")
    web.replace("steps:", f"apt_sources: [{SOURCE.replace(old, new)}]\nsteps:")
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert any(said in str(problem) for problem in caught.value.problems), str(caught.value)
    assert "secret" not in str(caught.value)


def test_two_sources_of_one_host_need_names(web, other):
    shutil.copyfile(other.keyring, web.path / "files" / "extra.gpg")
    second = SOURCE.replace("example.com/", "example.com/other")
    web.replace("steps:", f"apt_sources:\n  - {SOURCE}\n  - {second}\nsteps:")
    with pytest.raises(InputError, match=r"the archive 'deb\.example\.com' a second time"):
        load_recipe(web.file)
    web.replace(second, second.replace("uri:", "name: second, uri:"))
    load_recipe(web.file)


@pytest.fixture
def keyed(web):
    """Give the recipe an archive whose key file has this content."""

    def write(data):
        key = web.path / "files" / "extra.gpg"
        if not key.exists():
            web.replace("steps:", f"apt_sources: [{SOURCE}]\nsteps:")
        key.write_bytes(data)
        return load_recipe(web.file)

    return write


def fingerprints_of(recipe):
    [archive] = archives_of(recipe)
    return fingerprints(recipe, archive)


# Two keys, the first with a subkey, whose own fingerprint does not count.
KEYS = Path(__file__).parent / "keys" / "two-archives.asc"
FINGERPRINTS = ("59EC7BBAB0A90E097DAC8B777E6DA96716699346", "B85F56099A192389FB4E3648849B996B01A3A877")


def test_the_fingerprints_are_those_of_the_primary_keys(keyed):
    assert fingerprints_of(keyed(KEYS.read_bytes())) == FINGERPRINTS
    lines = KEYS.read_text().split("\n\n", 1)[1].splitlines()
    binary = base64.b64decode("".join(line for line in lines if not line.startswith(("=", "-"))))
    assert fingerprints_of(keyed(binary)) == FINGERPRINTS


def test_a_secret_key_is_refused(keyed, other, tmp_path):
    for form in ("--armor", "--no-armor"):
        other.gpg(form, "--output", str(tmp_path / "secret"), "--export-secret-keys")
        with pytest.raises(
            InputError, match=r"files/extra\.gpg: a secret key, expected the OpenPGP public key"
        ):
            keyed((tmp_path / "secret").read_bytes())


@pytest.mark.parametrize("data", [b"", b"text", b"\x00"])
def test_what_is_no_key_is_refused_when_the_recipe_is_read(keyed, data):
    with pytest.raises(InputError, match=r"recipe\.yaml:10:\d+: files/extra\.gpg: no OpenPGP key"):
        keyed(data)


@pytest.mark.parametrize("damage", ["cut off", "armour without a key"])
def test_a_damaged_key_is_found_when_it_is_locked(keyed, other, damage):
    armour = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"
    recipe = keyed(other.keyring.read_bytes()[:40] if damage == "cut off" else armour)
    with pytest.raises(InputError, match=r"recipe\.yaml:10:\d+: extra\.gpg: no OpenPGP public key"):
        fingerprints_of(recipe)


def test_only_a_lock_needs_gpg(web, archive, extra, monkeypatch):
    archive([stanza("apache2")])
    lock(web)
    digest = recipe_digest(load_recipe(web.file))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("ingot.process.shutil.which", lambda *_, **__: None)
    assert recipe_digest(load_recipe(web.file)) == digest
    with pytest.raises(MissingToolError, match="apt-get install gpg") as caught:
        lock(web)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("kind", ["a directory", "a FIFO"])
def test_a_key_that_is_no_file(keyed, web, other, kind):
    keyed(other.keyring.read_bytes())
    key = web.path / "files" / "extra.gpg"
    key.unlink()
    key.mkdir() if kind == "a directory" else os.mkfifo(key)
    what = "a directory" if kind == "a directory" else "no regular file"
    with pytest.raises(InputError, match=rf"recipe\.yaml:10:\d+: files/extra\.gpg: {what}"):
        load_recipe(web.file)
