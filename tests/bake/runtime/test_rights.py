"""What an ordinary user's bake needs of the machine, and how it cleans up files of subordinate ids."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.bake.runtime.rights import TOO_FEW, explain, own_mounts, remove_tree
from ingot.process import run
from tests.bake.ordinary import PYTHON, USER, as_user, needs_root
from tests.baked import ROOT


@pytest.fixture
def machine(tmp_path):
    """An /etc and a /proc/sys of a machine where all is well for smith; a test spoils them."""
    etc, proc = tmp_path / "etc", tmp_path / "sys"
    etc.mkdir()
    for name in ("subuid", "subgid"):
        (etc / name).write_text("root:100000:65536\nsmith:165536:65536\n")
    for name, value in (("user/max_user_namespaces", "63000"), ("kernel/unprivileged_userns_clone", "1")):
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text(f"{value}\n")
    return {"etc": etc, "proc": proc}


def test_no_range_names_the_command_with_a_free_one(machine):
    (machine["etc"] / "subuid").write_text("root:100000:65536\n")
    error = explain("unshare: no line", user="smith", **machine)
    assert error.exit_code == 3
    assert f"smith has no subordinate ids in {machine['etc']}/subuid;" in error.message
    # smith's range in subgid is the last one that is taken.
    assert error.hint == "run: sudo usermod --add-subuids 231072-296607 --add-subgids 231072-296607 smith"


def test_no_files_at_all(machine):
    shutil.rmtree(machine["etc"])
    assert "100000-165535" in explain("unshare: failed", user="smith", **machine).hint


def test_a_range_that_is_too_small(machine):
    error = explain(TOO_FEW, user="smith", **machine)
    assert "too few subordinate ids" in error.message
    assert "usermod" in error.hint


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=63000"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_a_switch_that_is_off_is_named_with_the_command(machine, name, value, command):
    (machine["proc"] / name).write_text(value + "\n")
    error = explain("unshare: Operation not permitted", user="smith", **machine)
    assert command in error.hint
    assert "sudo -E" in error.hint
    assert "Operation not permitted" in error.message


def test_what_we_do_not_know_keeps_the_words_of_the_system(machine):
    error = explain("unshare: strange", user="smith", **machine)
    assert "unshare: strange" in error.message
    lost = explain("newuidmap: write to uid_map failed: Operation not permitted", user="smith", **machine)
    assert "--reinstall uidmap" in lost.hint
    assert "privileged" in explain("unshare: no", user=None, **machine).hint


@needs_root
def test_a_machine_that_can_bake_is_left_in_peace():
    """It can: what a bake begins with works, and so the check has nothing to say."""
    mounted = run([*own_mounts(), "sh", "-c", "mount -t tmpfs none /mnt && stat -f -c %T /mnt"])
    assert mounted.stdout == "tmpfs\n"
    command = [sys.executable, "-m", "ingot.bake.runtime.rights"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_remove_tree_takes_files_links_and_nothing(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "file").touch()
    for name in ("link", "file", "absent"):
        remove_tree(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@needs_root
def test_a_user_without_a_range_is_told_and_nothing_is_made(public):
    code = """
from pathlib import Path
from ingot.bake.engine import bake
from ingot.errors import MissingRightError
try:
    bake(None, progress=print)
except MissingRightError as error:
    print(error)
"""
    done = as_user(public, code, ids="other:300000:65536\n")
    assert f"{USER} has no subordinate ids in /etc/subuid and /etc/subgid" in done.stdout, done.stderr
    assert f"--add-subuids 365536-431071 --add-subgids 365536-431071 {USER}" in done.stdout
    assert list((public / "home").iterdir()) == []


@needs_root
def test_a_small_range_is_found_out(public):
    code = "import runpy; runpy.run_module('ingot.bake.runtime.rights', run_name='__main__')"
    done = as_user(public, code, ids=f"{USER}:300000:1000\n")
    assert (done.returncode, done.stdout) == (3, "")
    assert "too few subordinate ids" in done.stderr
    assert as_user(public, code).returncode == 0


@needs_root
def test_files_of_subordinate_ids_are_removed(public):
    code = '''
import shutil
from pathlib import Path
from ingot.bake.runtime.rights import own_mounts, remove_tree
from ingot.process import run
make = """
mkdir -p layer/root/own layer/root/shut
echo x > layer/root/own/file
chown -R 33:33 layer/root/own
chmod 0 layer/root/shut
"""
run([*own_mounts(), "sh", "-euc", make])
try:
    shutil.rmtree("layer")
except PermissionError:
    print("not by the user alone")
remove_tree(Path("layer"))
'''
    done = as_user(public, code)
    assert done.stdout == "not by the user alone\n", done.stderr
    assert list((public / "home").iterdir()) == []


@needs_root
def test_user_namespaces_that_are_switched_off_are_told_with_the_command(public):
    """In a user namespace of its own, so that only there it is switched off:
    /proc/sys/user is each namespace's own.
    """
    (public / "ids").write_text(f"{USER}:300000:65536\n")
    (public / "ids").chmod(0o644)
    script = f"""
read go
mount --bind {public}/ids /etc/subuid
mount --bind {public}/ids /etc/subgid
mount --bind {ROOT} {public}/code
sh -c 'echo 0 > /proc/sys/user/max_user_namespaces'
exec setpriv --reuid={USER} --regid=nogroup --clear-groups {PYTHON} -m ingot.bake.runtime.rights
"""
    environment = {"PATH": f"{os.defpath}:/usr/sbin:/sbin", "PYTHONPATH": str(public / "code")}
    process = subprocess.Popen(
        ["unshare", "--user", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    ours = Path("/proc/self/ns/user").readlink()
    while (
        Path(f"/proc/{process.pid}/ns/user").readlink() == ours
    ):  # until it has one of its own, whose ids we may give
        assert process.poll() is None
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{process.pid}/{name}").write_text("0 0 400000\n")
    _, said = process.communicate("go\n", timeout=120)
    assert process.returncode == 3, said
    assert "lets only root create user namespaces (user.max_user_namespaces = 0)" in said
    assert "sudo sysctl -w user.max_user_namespaces=63000" in said
