"""Reading the consoles of a large fleet: side by side, at EC2's pace."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import boto3
import pytest

from ingot.aws.session.clients import Clients
from ingot.fleet.consoles import READERS, Pace, limit_for, read_consoles

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


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        [instance] = form["InstanceId"]
        self.server.asked.append(instance)
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


def test_they_are_read_side_by_side_and_each_is_there(clients, ec2):
    fleet = [f"i-{number}" for number in range(4 * READERS)]
    found = read_consoles(clients, [*fleet, "i-gone"], Pace())
    assert found == {**{name: f"console of {name}" for name in fleet}, "i-gone": ""}
    assert ec2.asked.count("i-3") == 2, "EC2 throttled it once"


def test_a_burst_goes_at_once_and_the_rest_at_the_rate():
    now, slept = [1024.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    # Powers of two, which floating-point numbers hold exactly.
    pace = Pace(8, 64, clock=lambda: now[0], sleep=sleep)
    for _ in range(1000):
        pace.wait()
    assert (len(slept), sum(slept)) == (1000 - 64, (1000 - 64) / 8)
    now[0] += 3600
    del slept[:]
    for _ in range(64 + 10):
        pace.wait()
    assert len(slept) == 10, "an hour without requests fills the bucket no further"


def test_the_limit_grows_with_the_fleet():
    assert limit_for(2) < 301
    assert limit_for(1000) == 500
