"""The conversation with a machine, by the program that the machine runs, on a terminal in the place of its
serial port.
"""

import os
import pty
import select
import socket
import subprocess
import threading

import pytest

from ingot.errors import CloudError, InputError
from ingot.machines.qemu import CHANNEL
from ingot.pipeline.inspection import copy, findings
from ingot.pipeline.inspection.channel import LONGEST, Channel
from ingot.pipeline.inspection.findings import Findings, ask
from ingot.pipeline.inspection.shell import run_script

TOKEN = "0123456789abcdef"


@pytest.fixture
def machine(tmp_path):
    """The directory of a machine: its port leads to the program on a terminal."""
    main, port = pty.openpty()
    program = copy.PROGRAM_TEXT.replace("TOKEN", TOKEN)
    (tmp_path / "program").write_text(program)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / CHANNEL))
    server.listen(1)
    child = subprocess.Popen(
        ["sh", str(tmp_path / "program")], stdin=port, stdout=port, stderr=port, start_new_session=True
    )
    os.close(port)
    over = threading.Event()

    def relay():
        connection = None
        while not over.is_set():
            ready, _, _ = select.select([server, main, *([connection] if connection else [])], [], [], 0.05)
            if server in ready:
                connection, _ = server.accept()
            if connection in ready and connection is not None:
                typed = connection.recv(4096)
                if typed:
                    os.write(main, typed)
                else:
                    connection = None
            if main in ready:
                try:
                    said = os.read(main, 4096)
                except OSError:  # the program has ended
                    if connection is not None:
                        connection.close()
                    return
                if connection is not None:  # what is said to nobody is lost
                    connection.sendall(said)

    thread = threading.Thread(target=relay)
    thread.start()
    yield tmp_path
    over.set()
    child.kill()
    child.wait()
    thread.join()
    os.close(main)
    server.close()


def said(channel, script):
    output = bytearray()
    return channel.run(script, output.extend, 30), bytes(output)


def test_a_command_gives_its_output_byte_by_byte_and_its_status(machine):
    with Channel(machine, TOKEN) as channel:
        assert channel.wait(30)
        assert said(channel, r"printf 'a\nb\033[2J\036c'; echo err >&2; exit 7") == (
            7,
            b"a\nb\x1b[2J\x1ecerr\n",
        )
        assert said(channel, "true") == (0, b"")


def test_output_that_looks_like_an_end_is_none_without_the_token(machine):
    with Channel(machine, TOKEN) as channel:
        assert channel.wait(30)
        assert said(channel, r"printf '\036ffffffffffffffff 3\n'") == (0, b"\x1effffffffffffffff 3\n")


def test_a_long_script_comes_through_whole(machine):
    words = "0123456789" * 1000
    with Channel(machine, TOKEN) as channel:
        assert channel.wait(30)
        assert said(channel, f"# {words}\nprintf %s {words}") == (0, words.encode())


def test_a_script_that_a_serial_port_cannot_take_is_refused(machine):
    with Channel(machine, TOKEN) as channel, pytest.raises(InputError, match=f"a machine takes {LONGEST}"):
        channel.begin("x" * (LONGEST + 1))


def test_whoever_comes_later_is_answered_too(machine):
    for _ in range(2):
        with Channel(machine, TOKEN) as channel:
            assert channel.wait(30)
            assert said(channel, "echo here") == (0, b"here\n")


def test_a_script_reads_nothing_of_what_is_asked_next(machine):
    output = bytearray()
    with Channel(machine, TOKEN) as channel:
        assert channel.wait(30)
        assert run_script(channel, "cat; echo end", output.extend) == 0
    assert bytes(output) == b"end\n"


def test_a_machine_that_is_off_is_named(tmp_path):
    with (
        pytest.raises(CloudError, match=f"the machine {tmp_path.name} does not run"),
        Channel(tmp_path, TOKEN),
    ):
        pass


def test_one_that_does_not_answer_is_given_up(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / CHANNEL))
        server.listen(1)
        with Channel(tmp_path, TOKEN) as channel:
            assert not channel.wait(0.3)


def test_one_that_ends_meanwhile_is_an_error(machine):
    with Channel(machine, TOKEN) as channel:
        assert channel.wait(30)
        with pytest.raises(CloudError, match="has ended"):
            said(channel, "kill -9 $$")


PROGRAMS = {
    "systemctl": """
case "$*" in
    *--state=failed*) echo "shop.service loaded failed failed The shop" ;;
    *--property=Result*) echo exit-code ;;
    list-jobs*) echo "12 slow.service start running"; echo "13 after.service start waiting" ;;
esac""",
    "journalctl": """
case "$*" in
    *--unit=*) echo "no such file" ;;
    *) echo "[ 5.1] shop[1]: no such file" ;;
esac""",
    "systemd-analyze": """
case "$1" in
    time) echo "Startup finished in 4s"; echo more ;;
    *) echo "  2.1s shop.service" ;;
esac""",
}


def test_a_machine_says_how_its_boot_went(machine):
    """Its programs are scripts here: what they print is as in systemctl(1)."""
    (machine / "bin").mkdir()
    for name, script in PROGRAMS.items():
        (machine / "bin" / name).write_text(f"#!/bin/sh{script}\n")
        (machine / "bin" / name).chmod(0o755)
    with Channel(machine, TOKEN) as channel:
        assert channel.wait(30)
        status, output = said(channel, f"PATH={machine}/bin:$PATH\n{findings.SCRIPT}")
    assert status == 0
    found = findings.read(output)
    assert found == Findings(
        failed=("shop.service (exit-code)", "  no such file"),
        pending=("slow.service",),
        time="Startup finished in 4s",
        slowest=("2.1s shop.service",),
        errors=("[ 5.1] shop[1]: no such file",),
    )
    assert (
        "failed units:\n  shop.service (exit-code)\n    no such file\nunits that still start:" in found.text()
    )


def test_a_system_without_systemd_has_nothing_to_say(machine):
    with Channel(machine, TOKEN) as channel:
        found = ask(channel, 30)
    assert found is not None
    assert found.text().startswith("failed units:\n  ")
