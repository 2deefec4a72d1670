"""Atomic writes: whole or not at all, and nothing left behind."""

import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest

from ingot.files import (
    keep,
    making,
    remove_aside,
    replacing,
    sha256_of,
    unfinished,
    write_atomically,
    write_output,
)


def names(directory):
    return [path.name for path in directory.iterdir()]


def test_a_file_is_written_with_its_directory_and_is_readable_by_all(tmp_path):
    path = tmp_path / "records" / "a.json"
    write_atomically(path, "ü\n")
    assert path.read_bytes() == b"\xc3\xbc\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == ["a.json"]


def test_an_older_file_is_replaced_not_written_into(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, b"new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_the_old_file_stays_until_the_body_ends(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert re.fullmatch(rf"\.a\..+\.{os.getpid()}\.part", unfinished.name)
        assert unfinished.parent == tmp_path
    assert path.read_text() == "new"


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def fail():
        with replacing(path) as unfinished:
            unfinished.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_file_that_is_not_kept_is_gone(tmp_path):
    with unfinished(tmp_path) as file:
        file.write_text("half")
        assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == []


def test_a_file_that_is_kept_has_its_name_and_can_be_read_by_all(tmp_path):
    target = tmp_path / "cd" / "name"
    with unfinished(tmp_path) as file:
        file.write_text("whole")
        keep(file, target)
    assert target.read_text() == "whole"
    assert target.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["cd"]


def test_what_a_user_names_is_replaced_whole_with_its_mode_and_through_a_link(tmp_path):
    path, link = tmp_path / "report.html", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    with path.open() as reader:
        write_output(link, "ü")
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "ü"
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(names(tmp_path)) == ["link", "report.html"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_that_a_user_names_has_the_mode_of_any_new_file(umask, tmp_path):
    before = os.umask(umask)
    try:
        write_output(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_directory_that_is_not_there_is_not_made_for_what_a_user_names(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_output(tmp_path / "none" / "a", "text")
    assert names(tmp_path) == []


def test_a_device_takes_a_text_and_stays_a_device():
    write_output(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()


def test_a_directory_has_its_name_when_it_is_whole(tmp_path):
    (tmp_path / "a.tmp").mkdir()
    (tmp_path / "a.tmp" / "left").touch()
    with making(tmp_path / "a") as aside:
        aside.mkdir()
        (aside / "file").touch()
        assert names(tmp_path) == ["a.tmp"]
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["file"]


def test_nothing_is_left_of_a_directory_that_could_not_be_made(tmp_path):
    def fail():
        with making(tmp_path / "a") as aside:
            aside.mkdir()
            (aside / "file").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == []


def test_a_directory_that_is_removed_loses_its_name_first(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("new")
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "left").write_text("of a killed process")

    def killed(path):
        if (path / "file").exists():
            raise KeyboardInterrupt
        shutil.rmtree(path)

    with pytest.raises(KeyboardInterrupt):
        remove_aside(tmp_path / "a", tmp_path / "aside", killed)
    assert [path.name for path in tmp_path.iterdir()] == ["aside"]
    assert [path.name for path in (tmp_path / "aside").iterdir()] == ["file"]
    (tmp_path / "a").mkdir()
    remove_aside(tmp_path / "a", tmp_path / "aside")
    assert list(tmp_path.iterdir()) == []


def test_the_digest_of_a_file_is_that_of_all_its_pieces(tmp_path):
    content = b"0123456789abcdef" * 100_000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
