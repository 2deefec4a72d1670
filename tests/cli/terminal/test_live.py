"""The live line: each step is printed once, with its time; what runs is drawn over it."""

import io
import re

from ingot.cli.terminal.live import Live, can_draw


class Terminal(io.StringIO):
    """A terminal that keeps what was written to it."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def fileno(self):
        raise OSError

    def lines(self):
        """What stays on the screen: a line that is drawn over is gone."""
        return [re.split(r"\r\x1b\[K", line)[-1] for line in self.getvalue().split("\n")]


def at(value):
    """A live line, its terminal, and the time that its clock says."""
    terminal = Terminal()
    now = [value]
    return Live(terminal, lambda: now[0]), terminal, now


def test_each_step_stays_once_with_its_start_and_what_it_took():
    drawn, terminal, now = at(0.0)
    drawn.step("fetching")
    now[0] = 12.0
    drawn.step("unpacking")
    now[0] = 12.4
    drawn.close()
    assert terminal.lines() == ["    0.0 s  fetching  (12 s)", "   12.0 s  unpacking", ""]


def test_bytes_have_a_rate_and_a_time_left():
    drawn, terminal, now = at(0.0)
    drawn.step("fetching")
    drawn.advance(1 << 20, 4 << 20)
    now[0] = 2.0
    with drawn.hidden():
        pass
    assert "███░░░░░░░░░ 1.0 MiB of 4.0 MiB, 512 KiB/s, 6.0 s left" in terminal.getvalue()
    drawn.close()


def test_other_units_are_counted():
    drawn, terminal, _ = at(0.0)
    drawn.step("Web: creating CloudFormation changeset...")
    drawn.advance(3, 33, "resources")
    with drawn.hidden():
        pass
    assert "3 of 33 resources" in terminal.getvalue()
    drawn.close()


def test_a_result_is_printed_on_a_clean_line():
    drawn, terminal, _ = at(0.0)
    drawn.step("baking")
    with drawn.hidden():
        terminal.write("digest\n")
    drawn.close()
    assert "digest" in terminal.lines()


def test_a_text_of_several_lines_is_whole():
    drawn, terminal, _ = at(0.0)
    drawn.step("kept: x\n  boot it again")
    drawn.close()
    assert terminal.lines() == ["    0.0 s  kept: x", "  boot it again", ""]


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
