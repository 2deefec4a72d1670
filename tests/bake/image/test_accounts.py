import os

import pytest

from ingot.bake.image.accounts import add_accounts
from ingot.errors import BakeError
from ingot.spec import GroupSpec, UserSpec

EPOCH = 20_000 * 86400 + 5
APP = UserSpec("app", 990, "app", ("www-data",), shell="/bin/sh", home="/srv/app", comment="The app")
GROUP = GroupSpec("app", 990)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")


@needs_root
def test_a_user_is_written_into_all_four_files(root):
    add_accounts(root, [GROUP], [APP], epoch=EPOCH)
    assert (root / "etc/passwd").read_text().splitlines()[-1] == "app:x:990:990:The app:/srv/app:/bin/sh"
    assert (root / "etc/group").read_text().splitlines()[1:] == ["www-data:x:33:app", "app:x:990:"]
    assert (root / "etc/shadow").read_text().splitlines()[-1] == "app:!:20000:0:99999:7:::"
    assert (root / "etc/gshadow").read_text().splitlines()[1:] == ["www-data:*::app", "app:!::"]
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0o640
    home = (root / "srv/app").stat()
    assert (home.st_uid, home.st_gid, home.st_mode & 0o777) == (990, 990, 0o700)


@needs_root
def test_the_order_in_the_recipe_does_not_show(root):
    groups = [GroupSpec("b", 1002), GroupSpec("a", 1001)]
    add_accounts(root, groups, [], epoch=EPOCH)
    assert (root / "etc/group").read_text().splitlines()[-2:] == ["a:x:1001:", "b:x:1002:"]


def test_what_a_package_made_is_kept_when_it_is_the_same(root):
    before = (root / "etc/group").read_text()
    add_accounts(root, [GroupSpec("www-data", 33)], [], epoch=EPOCH)
    assert (root / "etc/group").read_text() == before


@pytest.mark.parametrize("group", [GroupSpec("www-data", 34), GroupSpec("other", 33)])
def test_a_name_or_number_that_a_package_took_is_refused(root, group):
    with pytest.raises(BakeError, match=r"a package made group www-data \(33\)"):
        add_accounts(root, [group], [], epoch=EPOCH)


def test_a_group_that_is_not_there_is_named(root):
    with pytest.raises(BakeError, match="user app: there is no group docker"):
        add_accounts(root, [GROUP], [APP._replace(groups=("docker",))], epoch=EPOCH)
