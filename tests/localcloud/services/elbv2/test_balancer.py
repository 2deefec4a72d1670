"""The load balancer against little HTTP servers of our own."""

import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from aiohttp import web

from localcloud.services.elbv2.fronts import BalancerLoop
from localcloud.services.elbv2.proxy import Listener
from localcloud.services.elbv2.rules import RoutedRequest, holds, redirect_location
from localcloud.services.elbv2.security import may_reach
from localcloud.services.elbv2.targets import CheckSettings, Target, TargetGroup, matches

ARN = "arn:tg"
FAST = CheckSettings(path="/healthz", interval=0.05, timeout=2.0, healthy=2, unhealthy=2)


class Backend:
    """A target: answers with its name; can be told to be ill, to hold a request, to break it off."""

    def __init__(self, name):
        self.name = name
        self.well = True
        self.requests = []
        self.clients = []
        self.arrived = threading.Event()
        self.go_on = threading.Event()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/healthz":
                    return self.answer(200 if backend.well else 500)
                backend.requests.append((self.command, self.path, dict(self.headers)))
                backend.clients.append(self.client_address)
                if self.path == "/slow":
                    backend.arrived.set()
                    backend.go_on.wait(30)
                if self.path == "/broken":
                    self.close_connection = True
                    return self.connection.shutdown(socket.SHUT_RDWR)
                return self.answer(200)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                backend.requests.append((self.command, self.path, body))
                self.answer(201)

            def answer(self, status):
                body = backend.name.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


class Rig:
    """A balancer with one listener that forwards to one target group."""

    def __init__(self):
        self.backends = {}
        self.unresolved = set()
        self.changes = threading.Condition()
        self.log = []
        self.loop = BalancerLoop(self.resolve, changed=self.changed, log=self.log.append)
        self.group = TargetGroup(ARN, FAST, delay=30.0)
        self.rules = [rule("default", [action("forward", TargetGroupArn=ARN)])]
        self.port = self.loop.listen(self.handle)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        listener = Listener(
            80, lambda: self.rules, {ARN: self.group}.get, self.loop.address, self.loop.session
        )
        return await listener.handle(request)

    def resolve(self, target_id, port, group):
        if target_id in self.unresolved:
            raise ValueError("has host bits set")
        backend = self.backends.get(target_id)
        return ("127.0.0.1", backend.port) if backend else None

    def changed(self):
        with self.changes:
            self.changes.notify_all()

    def add(self, name):
        self.backends[name] = Backend(name)
        self.loop.register(self.group, name, 80)
        return self.backends[name]

    def until(self, condition):
        with self.changes:
            assert self.changes.wait_for(condition, timeout=30)

    def until_healthy(self, *names):
        self.until(
            lambda: all(
                name in self.group.targets and self.group.targets[name].state == "healthy" for name in names
            )
        )

    def ask(self, path="/", method="GET", body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def stop(self):
        for backend in self.backends.values():
            backend.stop()
        self.loop.stop()


def eventually(look, limit=30):
    end = time.monotonic() + limit
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def rule(priority, actions, conditions=()):
    return SimpleNamespace(priority=priority, actions=actions, conditions=list(conditions))


def action(kind, **data):
    return SimpleNamespace(data={"Type": kind, **data})


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.stop()


class TestProxy:
    def test_without_targets_it_is_503(self, rig):
        assert rig.ask()[0] == 503

    def test_a_target_in_its_first_checks_gets_nothing(self, rig):
        rig.group.targets["a"] = Target("a", 80)
        assert rig.ask()[0] == 503

    def test_requests_go_round_the_healthy_targets(self, rig):
        rig.add("a"), rig.add("b")
        rig.until_healthy("a", "b")
        assert sorted(rig.ask()[1] for _ in range(4)) == ["a", "a", "b", "b"]

    def test_an_idle_connection_to_a_target_is_used_again(self, rig):
        """ELB user guide, "Connection idle timeout": for 60 s, longer than many a server keeps it."""
        backend = rig.add("a")
        rig.until_healthy("a")
        rig.ask()
        time.sleep(5)
        rig.ask()
        assert len(set(backend.clients)) == 1

    def test_the_target_learns_where_the_request_came_from(self, rig):
        backend = rig.add("a")
        rig.until_healthy("a")
        rig.ask(
            headers={
                "X-Forwarded-For": "203.0.113.7",
                "Connection": "keep-alive, X-Private",
                "X-Private": "1",
            }
        )
        headers = backend.requests[0][2]
        assert headers["X-Forwarded-For"] == "203.0.113.7, 127.0.0.1"
        assert (headers["X-Forwarded-Proto"], headers["X-Forwarded-Port"]) == ("http", "80")
        assert headers["Host"] == f"127.0.0.1:{rig.port}"
        assert headers["X-Amzn-Trace-Id"].startswith("Root=1-")
        assert "X-Private" not in headers

    def test_bodies_and_raw_paths_pass_unchanged(self, rig):
        backend = rig.add("a")
        rig.until_healthy("a")
        assert rig.ask("/a%2Fb?x=%20y", "POST", b"data" * 50000) == (201, "a")
        assert backend.requests[0] == ("POST", "/a%2Fb?x=%20y", b"data" * 50000)

    def test_a_connection_serves_many_requests(self, rig):
        rig.add("a")
        rig.until_healthy("a")
        connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=30)
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"a"
        connection.close()

    def test_a_target_that_breaks_off_costs_a_502(self, rig):
        rig.add("a")
        rig.until_healthy("a")
        assert rig.ask("/broken")[0] == 502

    def test_a_target_that_security_groups_hide_costs_a_504(self, rig):
        rig.group.targets["hidden"] = Target("hidden", 80, state="healthy")
        assert rig.ask()[0] == 504

    def test_when_all_are_unhealthy_all_get_requests(self, rig):
        backend = rig.add("a")
        backend.well = False
        rig.until(lambda: rig.group.targets["a"].state == "unhealthy")
        assert rig.ask() == (200, "a")


class TestDraining:
    def test_a_request_in_flight_is_finished(self, rig):
        old, _ = rig.add("a"), rig.add("b")
        rig.until_healthy("a", "b")
        answers = []
        rig.loop.deregister(rig.group, "b")
        slow = threading.Thread(target=lambda: answers.append(rig.ask("/slow")))
        slow.start()
        assert old.arrived.wait(30)
        rig.loop.register(rig.group, "b", 80)
        rig.until_healthy("b")
        rig.loop.deregister(rig.group, "a")
        assert rig.group.draining["a"].reason == "Target.DeregistrationInProgress"
        assert {rig.ask()[1] for _ in range(4)} == {"b"}
        assert "a" in rig.group.draining
        old.go_on.set()
        slow.join()
        assert answers == [(200, "a")]
        rig.until(lambda: "a" not in rig.group.draining)

    def test_no_request_fails_while_targets_are_replaced(self, rig):
        rig.add("v0")
        rig.until_healthy("v0")
        statuses, over = [], threading.Event()

        def client():
            while not over.is_set():
                statuses.append(rig.ask()[0])

        clients = [threading.Thread(target=client) for _ in range(3)]
        for thread in clients:
            thread.start()
        for number in range(1, 6):
            old, new = f"v{number - 1}", f"v{number}"
            rig.add(new)
            rig.until_healthy(new)
            rig.loop.deregister(rig.group, old)
            rig.until(lambda: not rig.group.draining)
            rig.backends.pop(old).stop()
        over.set()
        for thread in clients:
            thread.join()
        assert set(statuses) == {200}

    def test_a_port_closes_at_once_however_long_a_request_takes(self, rig):
        slow = rig.add("a")
        rig.until_healthy("a")
        connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=60)
        connection.request("GET", "/slow")
        assert slow.arrived.wait(30)
        began = time.monotonic()
        rig.loop.close(rig.port)
        assert time.monotonic() - began < 10
        connection.close()

    def test_draining_ends_with_the_delay(self):
        group = TargetGroup(ARN, FAST, delay=15.0)
        group.register("a", 80).open = 1
        group.deregister("a", now=100.0)
        assert not group.settle(114.0)
        assert group.settle(115.0)


class TestHealth:
    def test_a_check_that_cannot_be_made_is_not_the_last_one(self, rig):
        rig.unresolved.add("a")
        rig.add("a")
        assert eventually(lambda: rig.log)
        assert "no check of a:80" in rig.log[0]
        rig.unresolved.clear()
        rig.until_healthy("a")

    def test_one_good_check_makes_a_new_target_healthy(self):
        target = Target("a", 80)
        target.passed(CheckSettings(healthy=5))
        assert (target.state, target.reason, target.description) == ("healthy", None, None)

    def test_bad_checks_make_it_unhealthy_at_the_threshold(self):
        target = Target("a", 80, state="healthy", reason=None)
        target.failed(CheckSettings(unhealthy=2), "Target.ResponseCodeMismatch", "500")
        assert target.state == "healthy"
        target.failed(CheckSettings(unhealthy=2), "Target.ResponseCodeMismatch", "500")
        assert (target.state, target.description) == (
            "unhealthy",
            "Health checks failed with these codes: [500]",
        )

    def test_an_unhealthy_one_needs_the_healthy_threshold(self):
        target = Target("a", 80, state="unhealthy", reason="Target.Timeout")
        target.passed(CheckSettings(healthy=2))
        assert target.state == "unhealthy"
        target.passed(CheckSettings(healthy=2))
        assert target.state == "healthy"

    @pytest.mark.parametrize(
        ("matcher", "good", "bad"), [("200", 200, 204), ("200,302", 302, 301), ("200-299", 204, 300)]
    )
    def test_matchers(self, matcher, good, bad):
        assert matches(good, matcher)
        assert not matches(bad, matcher)


class TestRules:
    def test_fixed_response(self, rig):
        config = {"StatusCode": "418", "ContentType": "text/plain", "MessageBody": "short"}
        rig.rules[:0] = [
            rule(
                1,
                [action("fixed-response", FixedResponseConfig=config)],
                [{"Field": "path-pattern", "Values": ["/tea*"]}],
            )
        ]
        assert rig.ask("/teapot") == (418, "short")
        assert rig.ask("/coffee")[0] == 503

    def test_rules_count_by_priority(self, rig):
        for priority, text in ((20, "later"), (3, "first")):
            config = {"StatusCode": "200", "MessageBody": text}
            rig.rules.insert(0, rule(priority, [action("fixed-response", FixedResponseConfig=config)]))
        assert rig.ask() == (200, "first")

    def test_redirect(self):
        request = RoutedRequest("GET", "example.com:8080", "/a/b", "x=1", {}, "127.0.0.1", 80)
        config = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
        assert redirect_location(config, request) == "https://example.com/a/b?x=1"
        config = {"Host": "www.#{host}", "Path": "/new/#{path}", "Query": "", "StatusCode": "HTTP_302"}
        assert redirect_location(config, request) == "http://www.example.com/new/a/b?x=1"

    @pytest.mark.parametrize(
        ("condition", "fits"),
        [
            ({"Field": "host-header", "HostHeaderConfig": {"Values": ["*.EXAMPLE.com"]}}, True),
            ({"Field": "host-header", "Values": ["example.com"]}, False),
            ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}}, False),
            ({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["1*"]}}, True),
            ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2"}]}}, True),
            ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "3"}]}}, False),
            ({"Field": "source-ip", "SourceIpConfig": {"Values": ["127.0.0.0/8"]}}, True),
            ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/[a]"]}}, False),
        ],
    )
    def test_conditions(self, condition, fits):
        request = RoutedRequest("GET", "www.example.com:80", "/a", "v=2", {"X-A": "123"}, "127.0.0.1", 80)
        assert holds(condition, request) is fits


class TestSecurityGroups:
    def group(self, group_id, ingress=(), egress=()):
        return SimpleNamespace(id=group_id, ingress_rules=list(ingress), egress_rules=list(egress))

    def entry(self, protocol="tcp", low=80, high=80, source=None, cidr=None):
        return SimpleNamespace(
            ip_protocol=protocol, from_port=low, to_port=high,
            source_group={"GroupId": source} if source else {},
            ip_range={"CidrIp": cidr} if cidr else {},
        )  # fmt: skip

    def target(self, group):
        return SimpleNamespace(
            private_ip="172.20.1.4", nics={0: SimpleNamespace(group_set=[group])}, security_groups=[]
        )

    @pytest.mark.parametrize(
        ("ingress", "egress", "reaches"),
        [
            ({"source": "sg-lb"}, {"protocol": "-1", "low": None, "high": None, "cidr": "0.0.0.0/0"}, True),
            ({"source": "sg-lb"}, {"source": "sg-clone"}, True),
            ({"source": "sg-other"}, {"source": "sg-clone"}, False),
            ({"source": "sg-lb", "low": 443, "high": 443}, {"source": "sg-clone"}, False),
            ({"source": "sg-lb"}, {"cidr": "10.0.0.0/8"}, False),
            ({"cidr": "172.20.0.0/16"}, {"cidr": "172.20.0.0/16"}, True),
            ({"cidr": "172.20.0.5/16"}, {"cidr": "172.20.9.9/16"}, True),  # as moto keeps what was asked for
            (
                {"cidr": "172.20.1.0/24"},
                {"cidr": "172.20.0.0/16"},
                False,
            ),  # the other subnet of the load balancer is left out
        ],
    )
    def test_both_sides_must_allow_the_port(self, ingress, egress, reaches):
        balancer = self.group("sg-lb", egress=[self.entry(**egress)])
        clones = self.group("sg-clone", ingress=[self.entry(**ingress)])
        subnets = [SimpleNamespace(cidr_block="172.20.1.0/24"), SimpleNamespace(cidr_block="172.20.2.0/24")]
        assert may_reach([balancer], subnets, self.target(clones), 80) is reaches
