"""Following a console, of which AWS keeps the end only."""

from itertools import islice

import pytest

from ingot.cli.main import main
from ingot.errors import InputError
from ingot.pipeline.inspection.consoles import SerialConsole, added, console_of
from tests.outputs import document_of


def test_what_comes_is_given_once():
    texts = iter(["one\n", "one\n", "one\ntwo\n", "one\ntwo\nthree\n"])
    console = SerialConsole(lambda: next(texts), pause=0.0)
    assert list(islice(console.follow(), 3)) == ["one\n", "two\n", "three\n"]


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "a", "a"),
        ("abc", "abc", ""),
        ("0" * 300 + "end", "0" * 250 + "end of", " of"),  # the beginning was lost
        ("old", "another boot", "another boot"),
    ],
)
def test_a_beginning_that_was_lost_is_not_printed_again(before, now, new):
    assert added(before, now) == new


def test_a_machine_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    with pytest.raises(InputError, match="no machine on this computer boots web"):
        console_of("web")


def test_the_console_of_a_machine_that_was_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    place = tmp_path / "boot" / "i-0123456789abcdef0"
    place.mkdir(parents=True)
    (place / "image.json").write_text('{"recipe": "web", "digest": "4f4f", "token": null}')
    (place / "console.log").write_text("login:")
    for word in ("web", "4f", place.name):
        assert next(console_of(word).follow()) == "login:"
    with pytest.raises(SystemExit):
        main(["console", "web", "--json"])
    assert document_of("console", capsys.readouterr().out) == {"target": "web", "lines": ["login:"]}
    with pytest.raises(SystemExit) as ended:
        main(["console", "web", "--json", "--follow"])
    assert ended.value.code == 2
