"""Atomic writes: whole or not at all, and nothing left behind."""

import os
import re

import pytest

from ingot.files import replacing, write_atomically


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
