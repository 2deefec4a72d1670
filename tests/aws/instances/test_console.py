"""Lines that clones write to their consoles, as GetConsoleOutput gives them back."""

from __future__ import annotations

import pytest

from ingot.aws.instances import console
from tests.aws.support import line

GOOD = line("ingot-test", {"recipe": "web", "ok": True, "detail": "it's fine {really} é"})


@pytest.mark.parametrize("around", ["{}", "x\r\n{}\r\n", "[   12.3] audit: {}", "{}\r", "\x1b[0m{}\x1b[0m"])
def test_a_line_is_found_whatever_stands_around_it(around):
    found = console.last_line(around.format(GOOD), console.TEST)
    assert found == {"recipe": "web", "ok": True, "detail": "it's fine {really} é"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-3],
        GOOD.replace("fine", "bad"),
        GOOD.replace(" 1 {", " 2 {"),
        line("ingot-inventory", {"recipe": "web"}),
        'ingot-test 1 {"ok":true} 0000000000000000',
    ],
)
def test_what_is_not_whole_is_not_found(text):
    assert console.last_line(text, console.TEST) is None


def test_the_end_of_a_console_is_readable():
    text = "first\n\x1b[2J\x1b[=3h\x1b[0;32m  OK  \x1b[0m Reached target\r\n\n\nlogin:\n"
    assert console.tail(text, 2) == "      OK   Reached target\n    login:"
    assert console.tail("") == "    (the console is empty)"
