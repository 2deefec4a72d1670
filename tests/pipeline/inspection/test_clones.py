"""Which part of a clone's journal is asked for, and what of its console stands in for that."""

import pytest

from ingot.errors import InputError, MissingToolError
from ingot.pipeline.inspection.clones import (
    JournalEnd,
    journal,
    journal_lines,
    require_clone,
    require_sessions,
)
from tests.outputs import document_of

CONSOLE = "\x1b[32m  OK  \x1b[0m nginx started  \n\nsshd: error: x\nnginx: it failed\nlogin:\n"


@pytest.mark.parametrize(
    ("end", "options"),
    [
        (JournalEnd(100), []),
        (JournalEnd(5, "nginx.service"), ["--unit=nginx.service"]),
        (JournalEnd(5, errors=True), ["--priority=err"]),
    ],
)
def test_the_command_asks_for_the_end_alone(end, options):
    common = ["journalctl", "--boot", "--no-pager", "--output=short-iso", f"--lines={end.lines}"]
    assert end.command() == [*common, *options]


@pytest.mark.parametrize(
    ("end", "lines"),
    [
        (JournalEnd(100), ["  OK   nginx started", "sshd: error: x", "nginx: it failed", "login:"]),
        (JournalEnd(2), ["nginx: it failed", "login:"]),
        (JournalEnd(9, "nginx.service"), ["  OK   nginx started", "nginx: it failed"]),
        (JournalEnd(9, "nginx.service", errors=True), ["nginx: it failed"]),
    ],
)
def test_a_console_stands_in_for_it(end, lines):
    assert end.of_console(CONSOLE) == lines


class OfAws:
    """Clients of AWS that nothing is asked of."""

    on_this_machine = False
    region = "eu-west-1"


def test_the_hint_says_what_of_awss_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError) as caught:
        require_sessions(OfAws())
    assert caught.value.hint == "install the AWS CLI as the AWS documentation says"
    assert "aws is missing on this machine" in caught.value.message


class OfLocalCloud:
    """Clients of a cloud without Session Manager; of EC2 only its answer to GetConsoleOutput."""

    on_this_machine = True

    @property
    def ec2(self):
        return self

    def get_console_output(self, **words):
        assert words == {"InstanceId": "i-0123456789abcdef0", "Latest": True}
        return {"Output": CONSOLE}


def test_without_sessions_the_console_is_returned_and_that_is_reported():
    notes = []
    lines = journal(OfLocalCloud(), "i-0123456789abcdef0", JournalEnd(1), notes.append)
    assert lines == ["login:"]
    assert notes == ["the local cloud has no Session Manager: this is the clone's console"]


def test_lines_for_programs_say_where_they_are_from():
    found = journal_lines(OfLocalCloud(), "i-0123456789abcdef0", JournalEnd(1), lambda note: None)
    assert document_of("logs", found.as_dict()) == {
        "clone": "i-0123456789abcdef0",
        "source": "console",
        "lines": ["login:"],
    }


def test_lines_of_a_session_are_the_journals_alone(tmp_path, monkeypatch):
    """The AWS CLI hands the session to the plugin, which prints a line before and after the clone's."""
    before, after = "Starting session with SessionId: me-0a1", "Exiting session with sessionId: me-0a1."
    said = f"\n{before}\nnginx: it failed\n\n\n{after}\n"
    for program in ("aws", "session-manager-plugin"):
        (tmp_path / program).write_text(f"#!/bin/sh\nprintf '%s' '{said}'\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = journal_lines(OfAws(), "i-0123456789abcdef0", JournalEnd(1), lambda note: None)
    assert document_of("logs", found.as_dict())["source"] == "journal"
    assert found.lines == ["nginx: it failed"]


def test_a_word_that_names_no_clone():
    with pytest.raises(InputError, match="'web' is not an instance id"):
        require_clone("web")
