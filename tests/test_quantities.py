"""Sizes in words, and as recipes and options write them."""

import pytest

from ingot.quantities import GIB, MIB, meant_size, parse_size, size, written_size


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (64 * MIB, "64 MiB"),
        (100 * MIB + 1, "100 MiB"),
        (GIB * 5 // 2, "2.5 GiB"),
        (2000 * GIB, "2000 GiB"),
    ],
)
def test_a_size_has_the_unit_that_suits_it(number, words):
    assert size(number) == words


def test_a_change_of_size_has_a_sign():
    assert [size(number, sign=True) for number in (2048, -1, 0)] == ["+2 KiB", "−1 byte", "±0"]


@pytest.mark.parametrize(
    ("text", "number"), [("2GiB", 2 * GIB), ("179 MiB", 179 * MIB), ("1TiB", 1024 * GIB)]
)
def test_a_size_that_is_written_is_read(text, number):
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "2", "2GB", "2G", "0GiB", "02GiB", "-2GiB", "1.5GiB", "2GiB ", "2 gib"])
def test_another_text_is_no_size(text):
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("text", "meant"), [("2G", "2GiB"), ("20 gb", "20GiB"), ("3MB", "3MiB"), ("1gib", "1GiB"), ("two", None)]
)
def test_what_is_meant_is_known_by_the_unit(text, meant):
    assert meant_size(text) == meant


@pytest.mark.parametrize(
    ("number", "written"), [(2 * GIB, "2GiB"), (1, "1MiB"), (64 * MIB, "64MiB"), (2 * GIB + 1, "2049MiB")]
)
def test_a_size_is_written_as_it_is_read_in_whole_mebibytes(number, written):
    assert written_size(number) == written
    assert 0 <= (parse_size(written) or 0) - number < MIB
