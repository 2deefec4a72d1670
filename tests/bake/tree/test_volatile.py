"""What a clone may change, and what is held wherever it is."""

import pytest

from ingot.bake.tree.volatile import STATE, WITH_CLOUD_INIT, read_volatile


@pytest.mark.parametrize(
    ("path", "may_change"),
    [
        ("/var/lib/nginx/body", True),
        ("/var/lib/mysql/ibdata1", True),
        ("/var/lib/docker", True),
        ("/home/app/.bash_history", True),
        ("/var/lib/dpkg/status", False),
        ("/var/lib/dpkg/info/nginx.postinst", False),
        ("/var/lib/dpkg/alternatives/php-fpm.sock", True),
        ("/etc/alternatives/php-fpm.sock", True),
        ("/etc/alternatives/php", False),
        ("/var/library", False),
        ("/srv/web/app.py", False),
        ("/usr/bin/python3", False),
        ("/etc/ssh/sshd_config", False),
        ("/etc/ssh/ssh_host_rsa_key", True),
    ],
)
def test_state_may_change_and_code_and_configuration_may_not(path, may_change):
    assert STATE.covers(path) is may_change


def test_what_cloud_init_configures_may_change_where_it_is():
    assert WITH_CLOUD_INIT.covers("/etc/hosts")
    assert not STATE.covers("/etc/hosts")


def test_what_a_recipe_brings_is_held_where_it_does_not_say_otherwise():
    own = STATE.with_recipe(["/srv/uploads"], ["/var/lib/app/run.py", "/srv/uploads/.keep", "/srv/app.py"])
    assert not own.covers("/var/lib/app/run.py")
    assert own.covers("/var/lib/app")
    assert own.covers("/var/lib/app/data")
    assert own.covers("/srv/uploads/.keep")
    assert own.covers("/srv/uploads/a/b")
    assert not own.covers("/srv/app.py")


def test_the_image_carries_it_in_a_file():
    own = STATE.with_recipe(["/srv/uploads"], ["/var/lib/app/run.py"])
    assert read_volatile(own.text()) == own
    assert STATE.with_recipe([], ["/srv/app.py"]).text() == STATE.text()


def test_the_file_of_an_earlier_version_is_read():
    assert read_volatile("/var/log\n/run\n").covers("/var/log/x")
