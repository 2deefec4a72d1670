"""The tables of `ingot show`, printed on a terminal of a known width."""

import pytest

from ingot.cli.terminal.results import print_table
from ingot.report.image import package_table, tree_table
from ingot.store.sizes import DirectorySize, PackageSize

MIB = 1 << 20


@pytest.fixture
def printed(capsys, monkeypatch):
    def run(table, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        print_table(table)
        return capsys.readouterr().out.splitlines()

    return run


def test_packages_are_below_their_sum(printed):
    sizes = [PackageSize("linux", "6.1", 30 * MIB, 1000), PackageSize("", "", MIB // 2, 7)]
    assert printed(package_table(sizes)) == [
        "30.5 MiB              in 1 packages and outside",
        "  30 MiB  1000 files  linux 6.1",
        " 512 KiB     7 files  (files of no package)",
    ]


def test_directories_are_a_tree_and_small_ones_are_added_up(printed):
    sizes = [
        DirectorySize("/", 1000 * MIB, 12),
        DirectorySize("/usr", 990 * MIB, 9),
        DirectorySize("/usr/lib", 980 * MIB, 8),
        DirectorySize("/etc", MIB, 2),
        DirectorySize("/srv", MIB, 1),
    ]
    assert printed(tree_table(sizes)) == [
        "1000 MiB  12 files  /",
        " 990 MiB   9 files    /usr",
        " 980 MiB   8 files      /usr/lib",
        "   2 MiB   3 files    … 2 smaller ones",
    ]


def test_a_name_that_does_not_fit_is_cut(printed):
    lines = printed(package_table([PackageSize("n" * 100, "1", MIB, 1)]), columns=40)
    assert max(map(len, lines)) == 40
    assert lines[1].endswith("nnn…")


def test_a_name_is_no_markup_and_moves_no_cursor(printed):
    lines = printed(package_table([PackageSize("[red]:smile:\x1b[2J", "1", MIB, 1)]))
    assert lines[1].endswith("[red]:smile:\\x1b[2J 1")
