import pytest

from ingot.bake.packages.drop import drop_files, is_dropped, patterns
from ingot.spec import DropSpec

ALL = DropSpec(docs=True, man=True, locales=True, hwdb=True)


@pytest.mark.parametrize(
    ("path", "dropped"),
    [
        ("/usr/share/doc/apache2/README.gz", True),
        ("/usr/share/doc/apache2/copyright", False),
        ("/usr/share/man/man1/ls.1.gz", True),
        ("/usr/share/locale/de/LC_MESSAGES/x.mo", True),
        ("/usr/share/locale/locale.alias", False),
        ("/usr/bin/man", False),
        ("/lib/udev/hwdb.d/20-OUI.hwdb", True),
        ("/usr/lib/udev/hwdb.d/20-OUI.hwdb", True),
        ("/usr/lib/udev/rules.d/60-block.rules", False),
    ],
)
def test_documentation_goes_and_copyright_stays(path, dropped):
    assert is_dropped(path, patterns(ALL)) is dropped


def test_nothing_is_dropped_when_the_recipe_says_so():
    assert patterns(DropSpec()) == []


def test_files_go_and_directories_stay(tmp_path):
    (tmp_path / "usr/share/man/man1").mkdir(parents=True)
    (tmp_path / "usr/share/man/man1/ls.1").write_text("")
    paths = ["/usr/share/man", "/usr/share/man/man1", "/usr/share/man/man1/ls.1", "/usr/bin/ls"]
    assert drop_files(tmp_path, paths, patterns(ALL)) == [paths[0], paths[1], paths[3]]
    assert list((tmp_path / "usr/share/man/man1").iterdir()) == []
