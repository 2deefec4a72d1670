"""`ingot shell NAME --no-boot`: in the files of the image that ships, held as the steps of a bake are."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from tests.baked import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("debugfs") is None, reason="copies files out of a disk with debugfs"),
]


@pytest.fixture(scope="module")
def home(web_image, baked_store, tmp_path_factory):
    """Ingot's data with the store that tests share."""
    home = tmp_path_factory.mktemp("home")
    (home / "store").symlink_to(baked_store.root)
    return home


@pytest.fixture
def shell(home):
    """Runs a command, or a script on standard input, in the tree of the web image."""

    def run(*words: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ingot.cli.main", "shell", "web", "--no-boot"]
        return subprocess.run(
            [*command, *(["--", *words] if words else [])],
            cwd=ROOT,
            env={**os.environ, "INGOT_HOME": str(home)},
            input=script,
            stdin=subprocess.DEVNULL if words else None,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_a_command_sees_the_image_as_root_and_its_status_is_passed_on(shell):
    done = shell("sh", "-c", "id -u; cat /etc/os-release; exit 7")
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "0"
    assert "VERSION_CODENAME=bookworm" in lines


def test_a_script_on_standard_input_runs_and_owners_and_modes_are_the_images(shell):
    done = shell(script="stat -c '%U %a' /srv/web/wsgi.py /etc/shadow /usr/bin/passwd\n")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["app 644", "root 640", "root 4755"]), (
        done.stderr
    )


def test_nothing_of_this_machine_is_seen_and_there_is_no_network(shell, tmp_path):
    (tmp_path / "secret").write_text("x")
    done = shell(
        "sh", "-c", f"ls {tmp_path}; ls /proc | grep -c '^[0-9]'; cat /proc/net/route | wc -l; hostname"
    )
    assert "No such file" in done.stdout
    processes, routes, name = done.stdout.splitlines()[-3:]
    assert int(processes) < 10
    assert int(routes) <= 1  # a heading at most
    assert name != os.uname().nodename


def test_the_image_stays_as_it_is_and_nothing_is_left(shell, home, web_image):
    before = hashlib.sha256(web_image.disk.read_bytes()).hexdigest()
    assert shell("sh", "-c", "echo changed > /etc/motd && rm -rf /srv/web && touch /new").returncode == 0
    assert hashlib.sha256(web_image.disk.read_bytes()).hexdigest() == before
    assert list(home.rglob("trees/*")) == []
