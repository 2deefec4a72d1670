from dataclasses import replace

import pytest

from ingot.errors import InputError
from ingot.recipe.lock.mirrors import addresses, discover
from ingot.retry import Clock, driven_by
from ingot.spec import Addresses, AptSourceSpec, DistributionSpec
from tests.specs import bake_spec

DEBIAN = {"id": "debian", "suite": "bookworm"}


@pytest.fixture(autouse=True)
def no_mirror_in_the_environment(monkeypatch):
    monkeypatch.delenv("INGOT_MIRROR", raising=False)


@pytest.mark.parametrize(
    "text",
    [
        "http://m.example/pub/debian",
        "http://m.example/pub/debian/",
        "debian=http://m.example/pub/debian debian-security=http://m.example/pub/debian-security/",
    ],
)
def test_the_environment_comes_first(monkeypatch, tmp_path, text):
    (tmp_path / "sources.list").write_text("deb http://host.example/debian bookworm main\n")
    monkeypatch.setenv("INGOT_MIRROR", text)
    assert discover(DEBIAN, etc=tmp_path) == {
        "debian": "http://m.example/pub/debian",
        "debian-security": "http://m.example/pub/debian-security",
    }


@pytest.mark.parametrize("text", ["m.example/debian", "debian=http://m.example/debian", "a b"])
def test_an_environment_that_is_wrong(monkeypatch, text):
    monkeypatch.setenv("INGOT_MIRROR", text)
    with pytest.raises(InputError, match="it has to be one URL"):
        discover(DEBIAN)


def test_sources_in_one_line(tmp_path):
    (tmp_path / "sources.list").write_text("# deb http://no.example/debian bookworm main\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a.list").write_text(
        "deb http://other.example/linux/docker bookworm stable\n"
        "deb-src http://src.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x] http://m.example/debian/ bookworm main\n"
        "deb http://s.example/debian-security bookworm-security main\n"
    )
    (tmp_path / "sources.list.d" / "b.list.disabled").write_text(
        "deb http://no.example/debian bookworm main\n"
    )
    assert discover(DEBIAN, etc=tmp_path) == {
        "debian": "http://m.example/debian",
        "debian-security": "http://s.example/debian-security",
    }


def test_sources_in_deb822_and_a_list_of_mirrors(tmp_path):
    mirrors = tmp_path / "mirrors.list"
    mirrors.write_text("# ours\nhttps://m.example/debian\tpriority:1\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\n\n"
        f"Types: deb deb-src\n# a comment\nURIs: mirror+file://{mirrors}\nSuites: bookworm\n\n"
        "Types: deb\nURIs: https://s.example/debian-security\nSuites: bookworm-security\nComponents: main\n"
    )
    assert discover(DEBIAN, etc=tmp_path) == {
        "debian": "https://m.example/debian",
        "debian-security": "https://s.example/debian-security",
    }


def test_what_mmdebstrap_uses_is_the_last_resort(tmp_path, monkeypatch):
    """A fake mmdebstrap runs the hook on a root with a sources.list, as the real one
    does, and ends where it ends.
    """
    fake = tmp_path / "bin" / "mmdebstrap"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\nfor word; do case "$word" in --setup-hook=*) hook="${word#--setup-hook=}";; esac;'
        ' root="$word"; done\nmkdir -p "$root/etc/apt"\necho "deb http://d.example/debian $3 main" >'
        ' "$root/etc/apt/sources.list"\necho "deb http://d.example/debian-security $3-security main" >>'
        ' "$root/etc/apt/sources.list"\nsh -c "$hook" exec "$root"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    assert discover(DEBIAN, etc=tmp_path / "none") == {
        "debian": "http://d.example/debian",
        "debian-security": "http://d.example/debian-security",
    }


SPEC = bake_spec(
    distribution=DistributionSpec(**DEBIAN),
    epoch=1700000000,
    indexed=1769860800,
    apt_sources=(AptSourceSpec("extra", "https://e.example/d"),),
)
SNAPSHOT = "https://snap.example/archive/{archive}/{date}/"


def test_a_bake_asks_the_mirrors_and_then_the_snapshot_archive(monkeypatch):
    monkeypatch.setenv("INGOT_MIRROR", "http://m.example/debian")
    assert addresses(SPEC) == {
        "debian": Addresses(("http://m.example/debian",)),
        "debian-security": Addresses(("http://m.example/debian-security",)),
        "extra": Addresses(("https://e.example/d",)),
    }
    monkeypatch.setenv("INGOT_SNAPSHOT", SNAPSHOT)
    for archive, mirror in (
        ("debian-security", "http://m.example/debian-security"),
        ("extra", "https://e.example/d"),
    ):
        assert addresses(SPEC)[archive] == Addresses(
            (mirror,),
            (
                f"https://snap.example/archive/{archive}/20260201T000000Z",
                f"https://snap.example/archive/{archive}/20260131T120000Z",
            ),
        )


def test_without_a_word_it_is_the_distributions_own(monkeypatch):
    """Neither has what a recipe's own apt sources have."""
    monkeypatch.delenv("INGOT_SNAPSHOT")
    monkeypatch.setenv(
        "INGOT_MIRROR",
        "debian=http://m.example/d debian-security=http://m.example/s ubuntu=http://m.example/u",
    )
    found = addresses(SPEC)
    assert found["debian-security"].snapshots == (
        "https://snapshot.debian.org/archive/debian-security/20260201T000000Z",
        "https://snapshot.debian.org/archive/debian-security/20260131T120000Z",
    )
    assert found["extra"].snapshots == ()
    noble = replace(SPEC, distribution=DistributionSpec("ubuntu", "noble"))
    assert addresses(noble)["ubuntu"].snapshots[0] == "https://snapshot.ubuntu.com/ubuntu/20260201T000000Z"


def test_a_lock_of_today_asks_for_no_time_to_come(monkeypatch):
    monkeypatch.setenv("INGOT_MIRROR", "http://m.example/debian")
    monkeypatch.setenv("INGOT_SNAPSHOT", SNAPSHOT)
    at = {}
    for later in (-100, 3600):
        clock = Clock()
        clock.wall = lambda later=later: SPEC.indexed + later
        with driven_by(clock):
            at[later] = [url.rpartition("/")[2] for url in addresses(SPEC)["debian"].snapshots]
    assert at == {-100: ["20260131T120000Z"], 3600: ["20260131T130000Z", "20260131T120000Z"]}


@pytest.mark.parametrize(
    "text", ["snap.example/{archive}/{date}", "https://snap.example/{archive}", "https://x/{date}"]
)
def test_a_snapshot_archive_that_is_wrong(monkeypatch, text):
    monkeypatch.setenv("INGOT_SNAPSHOT", text)
    with pytest.raises(InputError, match=r"a URL with \{archive\} and \{date\} in it"):
        addresses(SPEC)
