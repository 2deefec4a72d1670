"""The main job, end to end and for real: from nothing to clones that serve, and what may happen to them then.

Each test is a story of its own and runs alone or in any order: the fixtures bring the fleet into the state
that a story begins with, which costs nothing where it already is.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.site import Client, Site, fetch

pytestmark = pytest.mark.slow

WSGI = "image_recipes/web/app/wsgi.py"


class Project(Site):
    """A project whose fleet several stories use."""

    running: tuple[subprocess.CompletedProcess[str], dict] | None = None
    """What the `make up` that started the local cloud printed, and the status after it;
    None: no cloud runs.
    """
    spoilt = False
    """Whether a story left what the next one must not begin with: other content, or blocks (and clones made
    from them) that no deployment repairs.
    """

    def start(self) -> tuple[subprocess.CompletedProcess[str], dict]:
        self.running = (self.up(), self.status())
        return self.running

    def stop(self) -> None:
        self.run("ingot", "cloud", "down")
        self.running, self.spoilt = None, False


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    # A path with a space, since users have them.
    place = Project(directory / "a project", directory / "home")
    place.home.mkdir()
    place.directory.mkdir()
    place.copy_project()
    packages = os.environ.get("INGOT_TEST_PACKAGES")
    if packages:
        (place.home / "store").mkdir()
        (place.home / "store" / "packages").symlink_to(packages)
    yield place
    place.run("ingot", "cloud", "down", check=False)


@pytest.fixture
def running(site):
    """A cloud with a fleet, in whatever state the last story left it."""
    return site.running or site.start()


@pytest.fixture
def first(site, running):
    """Two clones of the content that ships: what the first `make up` printed, and the status after it.

    Its URL and digest still hold; since then other clones may have come (:meth:`Site.status`).
    """
    if site.spoilt:
        site.stop()
    return site.running or site.start()


def machines(home: Path) -> dict[int, str]:
    """The QEMU processes of this site: process id -> instance id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            directory = (entry / "cwd").readlink()
        except OSError:
            continue
        if any(word.endswith("qemu-system-x86_64") for word in words[:6]) and directory.is_relative_to(home):
            found[int(entry.name)] = words[words.index("-name") + 1]
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent's look does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def healthy(status: dict) -> list[dict]:
    return [clone for clone in status["clones"] if clone["health"] == "healthy"]


def steady(site: Site, without: set[str] = frozenset(), count: int = 2):
    def look():
        status = site.status()
        good = healthy(status)
        ids = {clone["instance_id"] for clone in good}
        return status if len(good) == count == len(status["clones"]) and not ids & without else None

    return site.wait_for(f"{count} healthy clones", look)


def test_up_ends_with_two_healthy_clones(first):
    done, status = first
    assert len(healthy(status)) == 2
    assert status["url"] in done.stdout
    for clone in status["clones"]:
        assert clone["instance_id"] in done.stdout


def test_the_page_comes_from_both(site, first):
    _, status = first
    seen = {json.loads(fetch(status["url"] + "/image.json")[1])["clone"] for _ in range(20)}
    assert len(seen) == 2
    code, page = fetch(status["url"] + "/")
    assert code == 200
    assert status["digest"].encode() in page


def test_what_browsers_keep_is_told_apart_by_its_content(site, first):
    with urllib.request.urlopen(first[1]["url"] + "/static/style.css", timeout=60) as answer:
        assert answer.headers["Last-Modified"] is None  # all files of an image bear one date
        assert answer.headers["ETag"]
        assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+"', answer.headers["ETag"]) is None  # size and date


def test_nothing_listens_beyond_loopback(site, first):
    assert len(machines(site.home)) == 2
    pids = set(machines(site.home)) | {json.loads((site.home / "cloud" / "cloud.json").read_text())["pid"]}
    listening = subprocess.run(["ss", "-Hltnup"], capture_output=True, text=True, check=True).stdout
    ours = [line for line in listening.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    assert ours
    for line in ours:
        assert line.split()[4].startswith(("127.0.0.1:", "[::1]:")), line


def test_every_clone_equals_the_manifest(site, first):
    clones = site.status()["clones"]
    assert len(clones) == 2
    done = site.in_cloud("ingot", "verify", "fleet")
    for clone in clones:
        assert clone["instance_id"] in done.stdout


def test_the_published_blocks_are_the_baked_ones(site, first):
    site.in_cloud("ingot", "verify", "image", "web")


def test_up_again_changes_nothing_and_says_so(site, first):
    before = {clone["instance_id"] for clone in site.status()["clones"]}
    done = site.up()
    assert {clone["instance_id"] for clone in site.status()["clones"]} == before
    assert "no changes: all stacks are up to date" in done.stderr


def test_an_edit_rolls_both_clones_without_a_failed_request_and_can_be_taken_back(site, first):
    before = site.status()
    original = (site.directory / WSGI).read_text()
    site.spoilt = True  # until the content that ships is back
    try:
        (site.directory / WSGI).write_text(
            original.replace("all exactly the same.", "all exactly the same, and new.")
        )
        with Client(before["url"]) as client:
            site.up()
        after = site.status()
        assert client.failures == []
        assert client.answers > 50
        assert client.digests == [before["digest"], after["digest"]]
        assert after["url"] == before["url"]
        assert {clone["ami_id"] for clone in after["clones"]}.isdisjoint(
            {clone["ami_id"] for clone in before["clones"]}
        )
        assert len(healthy(after)) == 2
        assert b"and new" in fetch(after["url"] + "/")[1]
    finally:
        (site.directory / WSGI).write_text(original)
    # The old content comes back without a bake.
    images = {path.name for path in (site.home / "store" / "images").iterdir()}
    site.up()
    again = site.status()
    assert again["digest"] == before["digest"]
    assert {clone["ami_id"] for clone in again["clones"]} == {clone["ami_id"] for clone in before["clones"]}
    assert {path.name for path in (site.home / "store" / "images").iterdir()} == images
    site.spoilt = False


def test_a_flipped_bit_in_a_stored_block_is_found_in_the_snapshot_and_in_the_next_clone(site, first):
    text = b"all exactly the same.</p>"
    block = stored_block_of(site, text)
    site.spoilt = True
    flip(block, block.read_bytes().index(text))
    image = site.in_cloud("ingot", "verify", "image", "web", check=False)
    assert image.returncode == 1, image.stdout + image.stderr
    # A killed clone is replaced, and the new one has the flipped bit.
    running = machines(site.home)
    pid, instance = sorted(running.items())[0]
    os.kill(pid, signal.SIGKILL)
    status = steady(site, without={instance})
    [new] = {clone["instance_id"] for clone in status["clones"]} - set(running.values())
    assert fetch(status["url"] + "/healthz")[0] == 200
    done = site.in_cloud("ingot", "verify", "fleet", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert new in done.stdout
    assert "/srv/web/wsgi.py" in done.stdout


def test_down_leaves_nothing_behind(site, running):
    pid = json.loads((site.home / "cloud" / "cloud.json").read_text())["pid"]
    images = {path.name for path in (site.home / "store" / "images").iterdir()}
    site.stop()
    assert machines(site.home) == {}
    assert not alive(pid)
    assert str(site.home) not in Path("/proc/self/mounts").read_text()
    assert {path.name for path in (site.home / "store" / "images").iterdir()} == images
    left = sum(path.lstat().st_size for path in (site.home / "cloud").rglob("*") if path.is_file())
    assert left < 10 << 20  # its log, mostly


def stored_block_of(site: Site, text: bytes) -> Path:
    """The file of the local cloud's store of blocks that holds ``text``."""
    blocks = site.home / "cloud" / "ebs" / "blocks"
    return next(path for path in blocks.rglob("*") if path.is_file() and text in path.read_bytes())


def flip(path: Path, offset: int) -> None:
    """Flip one bit."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
