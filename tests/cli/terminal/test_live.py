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

    def screen(self):
        """What is on the screen, by a terminal that knows the sequences that are used."""
        rows, row = [""], 0
        for part in re.split(r"(\r\x1b\[K|\x1b\[A\x1b\[K|\n)", self.getvalue()):
            if part == "\n":
                row += 1
                rows += [""] if row == len(rows) else []
            elif part.startswith("\x1b[A"):
                row -= 1
                rows[row] = ""
            elif part.startswith("\r"):
                rows[row] = ""
            else:
                rows[row] += part
        # Lines below the cursor were taken away.
        assert all(line == "" for line in rows[row + 1 :])
        return rows[: row + 1]


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
    assert "███░░░░░░░░░ 1 MiB of 4 MiB, 512 KiB/s, 6.0 s left" in terminal.getvalue()
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


def test_works_side_by_side_have_a_line_each_and_leave_their_steps_above():
    drawn, terminal, now = at(0.0)
    drawn.step("web: unpacking", "web")
    drawn.step("api: fetching", "api")
    drawn.advance(1, 4, "files", lane="api")
    now[0] = 3.0
    drawn.step("web: writing the disk", "web")
    assert terminal.screen()[0] == "    0.0 s  web: unpacking  (3.0 s)"
    live = [re.sub(r"^ *[\d.]+ \S  ", "", line) for line in terminal.screen()[1:]]
    assert live == ["web: writing the disk", "api: fetching  ███░░░░░░░░░ 1 of 4 files  3.0 s"]
    now[0] = 4.0
    drawn.settle("api")
    drawn.close()
    assert terminal.screen() == [
        "    0.0 s  web: unpacking  (3.0 s)",
        "    0.0 s  api: fetching  (4.0 s)",
        "    3.0 s  web: writing the disk  (1.0 s)",
        "",
    ]


def test_a_result_is_printed_above_all_live_lines():
    drawn, terminal, _ = at(0.0)
    drawn.step("web: baking", "web")
    drawn.step("api: baking", "api")
    with drawn.hidden():
        terminal.write("web 1234\n")
    assert terminal.screen()[0] == "web 1234"
    assert len(terminal.screen()) == 3
    drawn.close()
