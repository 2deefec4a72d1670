"""The gate on a tree that began as somebody else's: the root of a builder that booted a base AMI."""

import hashlib
import os

import pytest

from ingot.bake.hygiene.live import enforce_tree
from ingot.bake.tree.tree import hash_files, scan
from ingot.bake.tree.volatile import BASELINE
from ingot.errors import BakeError

from .support import DECLARED, KEY

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files must be root's")


@pytest.fixture
def base(tmp_path):
    """A base with a package: a configuration file of it, and a key, which the base's
    maker put where the package has another file.
    """
    root = tmp_path / "root"
    for path, content in (
        ("etc/default/app", "OPTIONS=\n"),
        ("usr/share/app/key", KEY),
        (f"{BASELINE[1:]}/image", ""),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "app.md5sums").write_text(f"{'0' * 32}  usr/share/app/key\n")
    digest = hashlib.md5(b"OPTIONS=\n").hexdigest()
    (info.parent / "status").write_text(
        f"Package: app\nStatus: install ok installed\nConffiles:\n /etc/default/app {digest}\n"
    )
    return root, hash_files(scan(root))


def test_what_the_recipe_left_alone_is_the_bases_own_affair(base):
    root, before = base
    report = enforce_tree(root, hash_files(scan(root)), DECLARED, before, print)
    assert report["findings"] == []


def test_a_packages_file_that_the_recipe_overwrites_is_searched(base):
    root, before = base
    (root / "etc/default/app").write_text(KEY)
    with pytest.raises(BakeError, match=r"private-key /etc/default/app"):
        enforce_tree(root, hash_files(scan(root)), DECLARED, before, print)
