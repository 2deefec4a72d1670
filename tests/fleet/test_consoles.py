"""Reading the consoles of a large fleet: side by side, at EC2's pace."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.exceptions import ClientError

from ingot.aws.session.clients import Clients
from ingot.aws.session.pace import Pace
from ingot.fleet.consoles import READERS, limit_for, read_consoles
from ingot.retry import driven_by
from tests.aws.driven_clock import DrivenClock

ANSWER = """<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
<instanceId>{0}</instanceId><timestamp>2026-11-30T00:00:00.000Z</timestamp><output>{1}</output>
</GetConsoleOutputResponse>"""
ERROR = "<Response><Errors><Error><Code>{0}</Code><Message>x</Message></Error></Errors></Response>"


class Ec2(ThreadingHTTPServer):
    """Answers once ``together`` requests have come: who asks one after another waits for ever."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, together):
        super().__init__(("127.0.0.1", 0), Handler)
        self.barrier = threading.Barrier(together, timeout=60)
        self.throttled = {"i-3"}
        self.asked = []
        self.denied = False
        self.always_throttled = ""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        [instance] = form["InstanceId"]
        self.server.asked.append(instance)
        if self.server.denied:
            self.answer(403, ERROR.format("UnauthorizedOperation"))
            return
        if instance == self.server.always_throttled:
            self.answer(503, ERROR.format("RequestLimitExceeded"))
            return
        if instance in self.server.throttled:
            self.server.throttled.remove(instance)
            self.answer(503, ERROR.format("RequestLimitExceeded"))
            return
        if instance == "i-gone":
            self.answer(400, ERROR.format("InvalidInstanceID.NotFound"))
            return
        self.server.barrier.wait()
        output = base64.b64encode(f"console of {instance}".encode()).decode()
        self.answer(200, ANSWER.format(instance, output))

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def ec2(serve):
    return serve(Ec2(together=READERS))


@pytest.fixture
def clients(ec2):
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    return Clients(session, endpoint_url=f"http://127.0.0.1:{ec2.server_port}")


def take(instance_id, text, problem):
    if text:
        assert instance_id in text
    return text or problem


def test_they_are_read_side_by_side_and_each_is_there(clients, ec2):
    fleet = [f"i-{number}" for number in range(4 * READERS)]
    pace = Pace()
    found = read_consoles(clients, [*fleet, "i-gone"], pace, take)
    assert found == {**{name: f"console of {name}" for name in fleet}, "i-gone": ""}
    assert ec2.asked.count("i-3") == 2, "EC2 throttled it once"


def test_what_every_console_would_be_refused_for_ends_it_at_once(clients, ec2):
    ec2.barrier.abort()
    ec2.denied = True
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        read_consoles(clients, [f"i-{number}" for number in range(20, 220)], Pace(), take)
    assert len(ec2.asked) < 100, "the others were asked all the same"


def test_a_console_that_is_refused_for_minutes_does_not_keep_the_others_from_being_read(clients, ec2):
    ec2.barrier.abort()
    ec2.always_throttled = "i-7"
    with driven_by(DrivenClock()):
        found = read_consoles(clients, ["i-7"], Pace(), take)
    assert found == {"i-7": "GetConsoleOutput was refused: RequestLimitExceeded: x"}


def test_the_limit_grows_with_the_fleet():
    assert limit_for(2) < 301
    assert limit_for(1000) == 500
