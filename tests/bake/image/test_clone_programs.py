"""The programs inside the image, run in the root directory of a finished disk beside an
instance metadata service of our own.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingot.fleet.inventory import CloneInventory
from ingot.recipe.schema.capabilities import capability_xattr

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="needs a network of its own")]

TESTED = '{"ingot": {"test": true}}'
# Listens as the metadata service and as the app, then runs argv in the tree. In a network namespace of its
# own.
AROUND = """
import subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
user_data, root, *command = sys.argv[1:]
class Metadata(BaseHTTPRequestHandler):
    def do_PUT(self):
        right = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(b"token" if right else None)
    def do_GET(self):
        name = b"ip-172-20-0-9.ec2.internal"
        known = {"/latest/user-data": user_data.encode(), "/latest/meta-data/local-hostname": name}
        self.answer(known.get(self.path) if self.headers["X-aws-ec2-metadata-token"] == "token" else None)
    def answer(self, body):
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")
    def log_message(self, *_): pass
class App(Metadata):
    def do_GET(self):
        self.answer(b"all is well")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", "169.254.169.254/32", "dev", "lo"], check=True)
subprocess.run(["mount", "-t", "proc", "proc", root + "/proc"], check=True)
for address, handler in (("169.254.169.254", Metadata), ("127.0.0.1", App)):
    threading.Thread(target=ThreadingHTTPServer((address, 80), handler).serve_forever, daemon=True).start()
sys.exit(subprocess.run(["chroot", root, *command]).returncode)
"""


@pytest.fixture
def inside(tree):
    """Runs a program of the image; returns what it wrote to the console."""

    def run(user_data, *command):
        (tree / "run").mkdir(exist_ok=True)
        console = tree / "dev/console"
        console.parent.mkdir(exist_ok=True)
        console.write_bytes(b"")
        null = tree / "dev/null"
        if not null.exists():
            os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        spaces = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child"]
        subprocess.run(
            [*spaces, sys.executable, "-c", AROUND, user_data, str(tree), *command], check=True, timeout=120
        )
        return console.read_bytes()

    return run


def report(console, word):
    """Return the JSON of the line that begins with ``word``; its digest must be right."""
    match = re.search(rb"^%s 1 (\{.*\}) ([0-9a-f]{16})\r$" % word.encode(), console, re.MULTILINE)
    assert match, console
    assert hashlib.sha256(match[1]).hexdigest()[:16] == match[2].decode()
    return json.loads(match[1])


def test_the_tests_of_the_recipe_report_each_result(inside, tree, web_image):
    (tree / "usr/lib/ingot/tests").write_text(
        "http\tanswers\tpath=/healthz\tstatus=200\tcontains=well\tport=80\n"
        'command\tsays "a=b"\trun=test "a=b" = a=b\\x0atrue\n'
        "http\tmissing words\tpath=/\tstatus=200\tcontains=nothing\tport=80\n"
        "http\tno such port\tpath=/\tstatus=200\tcontains=\tport=81\n"
        "command\tfails\trun=echo why; exit 3\n"
    )
    found = report(inside('{"ingot": {"test": true}}', "/usr/lib/ingot/tests.run", "2", "0"), "ingot-test")
    assert (found["recipe"], found["digest"], found["ok"]) == ("web", web_image.digest, False)
    assert [(result["name"], result["ok"]) for result in found["results"]] == [
        ("answers", True),
        ('says "a=b"', True),
        ("missing words", False),
        ("no such port", False),
        ("fails", False),
    ]
    details = [result["detail"] for result in found["results"]]
    assert details[0] == "status 200"
    assert details[2] == "the answer does not contain 'nothing'"
    assert details[3].startswith("no connection to 127.0.0.1 port 81")
    assert details[4] == "exit status 3: why\n"


@pytest.mark.parametrize(
    "user_data", ["", "#!/bin/sh\necho", '{"ingot": {"test": false}}', '{"other": {"test": true}}']
)
def test_a_clone_that_is_not_to_be_tested_says_nothing(inside, user_data):
    assert inside(user_data, "/usr/lib/ingot/tests.run", "2", "0") == b""


def test_what_a_command_leaves_running_holds_nothing_up_and_one_without_end_is_named(inside, tree):
    (tree / "usr/lib/ingot/tests").write_text(
        "command\tstarts a server\trun=sleep 100 & echo begun; true\n"
        "command\thas no end\trun=trap '' TERM; echo deaf; while :; do sleep 100; done\n"
    )
    found = report(inside(TESTED, "/usr/lib/ingot/tests.run", "1", "0", "2"), "ingot-test")
    assert [(result["name"], result["ok"]) for result in found["results"]] == [
        ("starts a server", True),
        ("has no end", False),
    ]
    assert found["results"][0]["detail"] == "exit status 0: begun\n"
    assert found["results"][1]["detail"] == "exit status 137 (it ran for more than 2 s): deaf\n"


def test_a_wrong_answer_that_stays_the_same_counts_before_the_time_is_over(inside, tree):
    (tree / "usr/lib/ingot/tests").write_text(
        "http\tmissing words\tpath=/\tstatus=200\tcontains=nothing\tport=80\n"
    )
    begun = time.monotonic()
    found = report(inside(TESTED, "/usr/lib/ingot/tests.run", "100", "0", "60", "2"), "ingot-test")
    assert [result["ok"] for result in found["results"]] == [False]
    assert time.monotonic() - begun < 90


SYSTEMCTL = """#!/bin/sh
case $1 in
    is-system-running) echo "$@" >>/run/asked ;;
    list-units) printf 'app.service loaded failed failed App\\nother.timer loaded failed failed x\\n' ;;
    show) echo exit-code ;;
esac
"""


def test_a_failed_unit_fails_a_test_clone_unless_the_recipe_lets_it(inside, tree):
    program = tree / "usr/bin/systemctl"
    program.unlink()
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    (tree / "usr/lib/ingot/tests").write_text("may-fail\tother.timer\ncommand\tis well\trun=true\n")
    found = report(inside(TESTED, "/usr/lib/ingot/tests.run", "2", "0"), "ingot-test")
    assert found["ok"] is False
    assert [(result["name"], result["detail"]) for result in found["results"]] == [
        ("is well", "exit status 0"),
        ("no unit has failed", "app.service (exit-code)"),
    ]
    assert (tree / "run/asked").read_text() == "is-system-running --wait\n"
    (tree / "usr/lib/ingot/tests").write_text("may-fail\tother.timer\nmay-fail\tapp.service\n")
    assert report(inside(TESTED, "/usr/lib/ingot/tests.run", "2", "0"), "ingot-test")["ok"] is True


def test_the_result_is_told_twice(inside, tree):
    (tree / "usr/lib/ingot/tests").write_text("command\tis well\trun=true\n")
    lines = re.findall(
        rb"^ingot-test 1 .*$", inside(TESTED, "/usr/lib/ingot/tests.run", "2", "0"), re.MULTILINE
    )
    assert len(lines) == 2
    assert lines[0] == lines[1]


@pytest.mark.parametrize(
    ("user_data", "asked"),
    [
        (TESTED, ""),
        (
            '{"ingot": {"test": true, "end": 1800}}',
            (
                "--quiet --unit=ingot-test-end --description=The end of this test clone --on-active=1800"
                " systemctl poweroff\n"
            ),
        ),
    ],
)
def test_a_test_clone_ends_by_itself_when_it_is_told_to(inside, tree, user_data, asked):
    (tree / "usr/lib/ingot/tests").write_text("")
    program = tree / "usr/bin/systemd-run"  # there is no systemd around it to set a timer
    program.unlink()
    program.write_text('#!/bin/sh\necho "$@" > /run/asked\n')
    program.chmod(0o755)
    inside(user_data, "/usr/lib/ingot/tests.run", "2", "0")
    asked_of = tree / "run/asked"
    assert (asked_of.read_text() if asked_of.exists() else "") == asked


def test_the_host_name_comes_from_the_metadata(inside, tree):
    inside("", "/bin/sh", "-c", "/usr/lib/ingot/metadata && cat /proc/sys/kernel/hostname > /run/name")
    assert (tree / "run/name").read_text() == "ip-172-20-0-9\n"


def test_an_early_line_says_which_image_it_is(inside, web_image):
    found = report(inside("", "/usr/lib/ingot/announce"), "ingot-image")
    assert found.pop("boot") == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found == {"recipe": "web", "digest": web_image.digest, "version": web_image.digest[:12]}


def test_the_inventory_is_one_line_on_the_console(inside, web_image):
    found = report(inside("", "/usr/lib/ingot/inventory"), "ingot-inventory")
    assert {**found["sections"], "os": ""} == {**web_image.manifest["inventory"], "os": ""}


def test_a_capability_given_by_hand_is_named(inside, tree):
    # cap_net_bind_service+ep, as setcap(8) stores it.
    value = capability_xattr("cap_net_bind_service+ep")
    os.setxattr(tree / "usr/bin/true", "security.capability", value)
    found = report(inside("", "/usr/lib/ingot/inventory"), "ingot-inventory")
    assert found["differs"] == ["/usr/bin/true changed"]


def test_the_inventory_says_when_it_was_made(inside, web_image):
    begun = time.time()
    reports = [
        CloneInventory.of(report(inside("", "/usr/lib/ingot/inventory"), "ingot-inventory")) for _ in range(2)
    ]
    assert [found.sequence for found in reports] == [1, 2]
    assert {found.boot for found in reports} == {Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
    assert begun - 1 <= reports[0].time <= reports[1].time <= time.time()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert uptime - 120 < reports[0].uptime <= uptime


@pytest.fixture
def ebs(tree):
    """Let the disk of the tree be an EBS volume, by what the kernel says of its NVMe device."""
    device = tree.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    (tree / "sys/dev/block" / number).mkdir(parents=True)
    (tree / "sys/dev/block/device").mkdir()
    (tree / "sys/dev/block/device/model").write_text("Amazon Elastic Block Store              \n")
    yield
    shutil.rmtree(tree / "sys/dev")


def uptime():
    return float(Path("/proc/uptime").read_text().split()[0])


def taken(inside, delay, rate):
    """Take an inventory as its service does; return its report, and how long it took."""
    begun = uptime()
    environment = [f"INGOT_INVENTORY_DELAY={delay}", f"INGOT_INVENTORY_RATE={rate}"]
    console = inside("", "/usr/bin/env", *environment, "/usr/lib/ingot/inventory")
    return report(console, "ingot-inventory"), uptime() - begun


def test_the_first_inventory_of_a_boot_waits_and_reads_slowly_on_ebs(inside, tree, web_image, ebs):
    size = sum(file["size"] for file in web_image.manifest["files"] if file["type"] == "file")
    settled = int(uptime()) + 5
    # A file that is read in pieces, beside those that are read together.
    (tree / "usr/lib/ingot/large").write_bytes(b"x" * (9 << 20))
    rate = int(size / 2**20 / 4) or 1
    first, seconds = taken(inside, settled, rate)
    assert first["uptime"] >= settled
    assert seconds >= 4
    assert first["differs"] == ["/usr/lib/ingot/large added"]
    second, seconds = taken(inside, int(uptime()) + 3600, 1)  # the volume is there by now
    assert second["sections"] == first["sections"]
    assert seconds < 120


def test_an_inventory_waits_for_no_other_disk(inside, web_image):
    found, seconds = taken(inside, int(uptime()) + 3600, 1)
    assert found["differs"] == []
    assert seconds < 120
