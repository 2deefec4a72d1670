"""The live line: each step is printed once, with its time; what runs is drawn over it."""

import io
import re

from ingot.cli.terminal.live import Live, can_draw
from ingot.retry import Backoff, until


class Terminal(io.StringIO):
    """A terminal that keeps what was written to it."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def fileno(self):
        raise OSError

    def screen(self):
        """What is on the screen, by a terminal that knows the sequences that are used."""
        rows, row = [""], 0
        for part in re.split(r"(\r|\n|\x1b\[[?0-9]*[A-Za-z])", self.getvalue()):
            if part == "\n":
                row += 1
                rows += [""] if row == len(rows) else []
            elif part == "\x1b[1A":
                row -= 1
            elif part == "\x1b[2K":
                rows[row] = ""
            elif part not in ("\r", "\x1b[?25l", "\x1b[?25h"):
                assert "\x1b" not in part
                rows[row] += part
        # Lines below the cursor were taken away.
        assert all(line == "" for line in rows[row + 1 :])
        return rows[: row + 1]


def at(value):
    """A live line that is drawn at once, its terminal, and the time that its clock says."""
    terminal = Terminal()
    now = [value]
    return Live(terminal, lambda: now[0], delay=0), terminal, now


def drawn(terminal):
    """Wait until something is drawn: another thread does it."""
    assert until(lambda: "\x1b[?25l" in terminal.getvalue(), limit=60, backoff=Backoff(0.01, 0.01))


def test_each_step_stays_once_with_its_start_and_what_it_took():
    live, terminal, now = at(0.0)
    live.step("fetching")
    drawn(terminal)
    now[0] = 12.0
    live.step("unpacking")
    now[0] = 12.4
    live.close()
    assert terminal.screen() == ["    0.0 s  fetching  (12 s)", "   12.0 s  unpacking", ""]


def test_what_ends_soon_is_printed_and_not_drawn():
    terminal = Terminal()
    live = Live(terminal, lambda: 0.0, delay=60)
    live.step("fetching")
    live.step("unpacking")
    with live.hidden():
        terminal.write("digest\n")
    live.close()
    assert terminal.getvalue() == "    0.0 s  fetching\ndigest\n    0.0 s  unpacking\n"


def test_nothing_is_drawn_after_the_end():
    live, terminal, _ = at(0.0)
    live.step("fetching")
    drawn(terminal)
    live.close()
    shown = terminal.getvalue()
    live.step("unpacking")
    assert "unpacking" not in terminal.getvalue().removeprefix(shown)
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is there again"


def test_how_a_step_goes_on_is_drawn_and_does_not_stay():
    live, terminal, now = at(0.0)
    live.step("test clone i-1 launched")
    drawn(terminal)
    for second in (15, 30):
        now[0] = float(second)
        live.beat(f"test clone i-1: running for {second} s")
        with live.hidden():
            pass
        assert f"test clone i-1: running for {second} s" in terminal.getvalue()
    now[0] = 40.0
    live.close()
    assert terminal.screen() == ["    0.0 s  test clone i-1 launched  (40 s)", ""]


def test_bytes_have_a_rate_and_a_time_left():
    live, terminal, now = at(0.0)
    live.step("fetching")
    drawn(terminal)
    live.advance(1 << 20, 4 << 20)
    now[0] = 2.0
    with live.hidden():
        pass
    assert "███░░░░░░░░░ 1 MiB of 4 MiB, 512 KiB/s, 6.0 s left" in terminal.getvalue()
    live.close()


def test_what_a_step_is_comes_before_how_it_goes_on_a_narrow_terminal():
    """Without a size of its own this terminal has 80 columns."""
    live, terminal, now = at(0.0)
    text = "fetching 127 packages of debian bookworm from the mirror"
    live.step(text)
    drawn(terminal)
    live.advance(10 << 20, 64 << 20)
    now[0] = 4.0
    with live.hidden():
        pass
    assert f"{text[:36]}" in terminal.getvalue()
    assert "…  " in terminal.getvalue()
    assert " left  4.0 s" in terminal.getvalue()
    live.close()


def test_other_units_are_counted():
    live, terminal, _ = at(0.0)
    live.step("Web: creating CloudFormation changeset...")
    drawn(terminal)
    live.advance(3, 33, "resources")
    with live.hidden():
        pass
    assert "3 of 33 resources" in terminal.getvalue()
    live.close()


def test_a_result_is_printed_on_a_clean_line():
    live, terminal, _ = at(0.0)
    live.step("baking")
    drawn(terminal)
    with live.hidden():
        terminal.write("digest\n")
    live.close()
    assert "digest" in terminal.screen()


def test_a_text_of_several_lines_is_whole():
    live, terminal, _ = at(0.0)
    live.step("kept: x\n  boot it again")
    live.close()
    assert terminal.screen() == ["    0.0 s  kept: x", "  boot it again", ""]


def test_nothing_is_drawn_where_it_cannot_be(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    assert can_draw(Terminal())
    assert not can_draw(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("CI", "true")
    assert not can_draw(Terminal())


def test_works_side_by_side_have_a_line_each_and_leave_their_steps_above():
    live, terminal, now = at(0.0)
    live.step("web: unpacking", "web")
    live.step("api: fetching", "api")
    drawn(terminal)
    live.advance(1, 4, "files", lane="api")
    now[0] = 3.0
    live.step("web: writing the disk", "web")
    assert terminal.screen()[0] == "    0.0 s  web: unpacking  (3.0 s)"
    lines = [re.sub(r"^ *[\d.]+ \S  ", "", line) for line in terminal.screen()[1:]]
    assert lines == ["web: writing the disk", "api: fetching  ███░░░░░░░░░ 1 of 4 files  3.0 s"]
    now[0] = 4.0
    live.settle("api")
    live.close()
    assert terminal.screen() == [
        "    0.0 s  web: unpacking  (3.0 s)",
        "    0.0 s  api: fetching  (4.0 s)",
        "    3.0 s  web: writing the disk  (1.0 s)",
        "",
    ]


def test_a_result_is_printed_above_all_live_lines():
    live, terminal, _ = at(0.0)
    live.step("web: baking", "web")
    live.step("api: baking", "api")
    drawn(terminal)
    with live.hidden():
        terminal.write("web 1234\n")
    assert terminal.screen()[0] == "web 1234"
    assert len(terminal.screen()) == 3
    live.close()
