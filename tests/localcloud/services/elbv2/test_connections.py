"""Network load balancers: connections go to targets as they are, and end where nobody takes them."""

import errno
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.services.elbv2.connections import Connections
from localcloud.services.elbv2.fronts import BalancerLoop
from localcloud.services.elbv2.targets import CheckSettings, TargetGroup
from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.test_shipped_stacks import certificate

FAST = CheckSettings(protocol="TCP", interval=0.05, timeout=2.0, healthy=2, unhealthy=2)
AT = "127.77.200.1"


class Echo(socketserver.BaseRequestHandler):
    """Answers with its server's name and what it got, once the client has said that this is all."""

    def handle(self) -> None:
        got = b""
        while chunk := self.request.recv(4096):
            got += chunk
        if got:  # a health check sends nothing
            self.request.sendall(self.server.name + b" " + got)  # type: ignore[attr-defined]


class Rig:
    """A balancer with one port that passes connections to one target group."""

    def __init__(self) -> None:
        self.servers: dict[str, socketserver.ThreadingTCPServer] = {}
        self.changes = threading.Condition()
        self.loop = BalancerLoop(self.resolve, changed=self.changed, log=lambda line: None)
        self.group = TargetGroup("arn:tg", FAST, delay=30.0)
        with socket.socket() as free:
            free.bind((AT, 0))
            self.port = free.getsockname()[1]
        self.connections = Connections(lambda: self.group, self.loop.address)
        self.loop.relay((AT, self.port), self.connections, tls=None)

    def resolve(self, target_id: str, port: int, group: str) -> tuple[str, int] | None:
        server = self.servers.get(target_id)
        return None if server is None else ("127.0.0.1", server.server_address[1])

    def changed(self) -> None:
        with self.changes:
            self.changes.notify_all()

    def add(self, name: str) -> None:
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
        server.daemon_threads = True
        server.name = name.encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers[name] = server
        self.loop.register(self.group, name, 80)

    def end(self, name: str) -> None:
        server = self.servers[name]
        server.shutdown()
        server.server_close()

    def until(self, name: str, state: str) -> None:
        with self.changes:
            known = self.group.targets
            assert self.changes.wait_for(lambda: name in known and known[name].state == state, timeout=30)

    def ask(self, text: bytes) -> bytes:
        with socket.create_connection((AT, self.port), timeout=30) as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            return answer_of(connection)


def answer_of(connection: socket.socket) -> bytes:
    found = b""
    while chunk := connection.recv(4096):
        found += chunk
    return found


@pytest.fixture
def rig() -> Any:
    rig = Rig()
    yield rig
    rig.loop.stop()
    for server in rig.servers.values():
        server.shutdown()
        server.server_close()


def test_bytes_go_to_a_target_that_accepts_connections_and_come_back(rig: Rig) -> None:
    rig.add("a")
    rig.until("a", "healthy")
    text = b"x" * 200_000
    assert rig.ask(text) == b"a " + text


def test_connections_go_round(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.add(name)
        rig.until(name, "healthy")
    assert {rig.ask(b"?") for _ in range(4)} == {b"a ?", b"b ?"}


def test_a_target_that_accepts_no_connection_is_unhealthy_and_gets_none(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.add(name)
        rig.until(name, "healthy")
    rig.end("a")
    rig.until("a", "unhealthy")
    assert rig.group.targets["a"].reason == "Target.FailedHealthChecks"
    assert {rig.ask(b"?") for _ in range(3)} == {b"b ?"}


def test_without_a_target_the_connection_is_reset(rig: Rig) -> None:
    with pytest.raises(OSError) as reset:
        rig.ask(b"?")
    # What is sent to a connection that was reset before fails with the others: send(2), shutdown(2).
    assert reset.value.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)


def test_connections_end_with_their_port(rig: Rig) -> None:
    rig.add("a")
    rig.until("a", "healthy")
    with socket.create_connection((AT, rig.port), timeout=30) as connection:
        connection.sendall(b"?")
        while rig.group.targets["a"].open == 0:
            assert rig.ask(b"!") == b"a !"
        rig.loop.end_relay((AT, rig.port))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((AT, rig.port), timeout=30)


@pytest.fixture
def balancer(local_cloud: LocalCloud) -> Any:
    """A network load balancer without security groups, and its target group."""
    ec2, elb = local_cloud.client("ec2"), local_cloud.client("elbv2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    balancer = elb.create_load_balancer(Name="broker", Type="network", Subnets=[subnet["SubnetId"]])
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(Name="broker", Protocol="TCP", Port=1883, VpcId=subnet["VpcId"])
    targets = group["TargetGroups"][0]["TargetGroupArn"]
    yield arn, targets
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_target_group(TargetGroupArn=targets)


def listen(cloud: LocalCloud, arns: tuple[str, str], protocol: str, port: int, **rest: Any) -> str:
    action = {"Type": "forward", "TargetGroupArn": arns[1]}
    answer = cloud.client("elbv2").create_listener(
        LoadBalancerArn=arns[0], Protocol=protocol, Port=port, DefaultActions=[action], **rest
    )
    return str(answer["Listeners"][0]["ListenerArn"])


def address_of(cloud: LocalCloud, arns: tuple[str, str]) -> str:
    [found] = cloud.client("elbv2").describe_load_balancers(LoadBalancerArns=[arns[0]])["LoadBalancers"]
    return str(found["DNSName"])


def test_a_listener_is_reached_at_its_own_port_while_it_is_there(
    local_cloud: LocalCloud, balancer: tuple[str, str]
) -> None:
    address = address_of(local_cloud, balancer)
    assert address.startswith("127.77.")
    assert ":loadbalancer/net/broker/" in balancer[0]
    listener = listen(local_cloud, balancer, "TCP", 18830)
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((address, 18830), timeout=30) as connection,
    ):
        connection.recv(1)
    local_cloud.client("elbv2").delete_listener(ListenerArn=listener)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 18830), timeout=30)


def test_a_port_that_the_machine_does_not_give_is_refused_and_leaves_no_listener(
    local_cloud: LocalCloud, balancer: tuple[str, str]
) -> None:
    address = address_of(local_cloud, balancer)
    with socket.socket() as taken:
        taken.bind((address, 18831))
        taken.listen()
        with pytest.raises(ClientError, match=f"cannot listen on {address}:18831") as caught:
            listen(local_cloud, balancer, "TCP", 18831)
    assert caught.value.response["Error"]["Code"] == "OperationNotPermitted"
    found = local_cloud.client("elbv2").describe_listeners(LoadBalancerArn=balancer[0])
    assert found["Listeners"] == []


def test_tls_is_taken_with_an_imported_certificate(
    local_cloud: LocalCloud, balancer: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ClientError, match="A certificate must be specified for TLS listeners"):
        listen(local_cloud, balancer, "TLS", 18832)
    arn = certificate(local_cloud, tmp_path)
    listen(local_cloud, balancer, "TLS", 18832, Certificates=[{"CertificateArn": arn}])
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    at = (address_of(local_cloud, balancer), 18832)
    with socket.create_connection(at, timeout=30) as plain, trusting.wrap_socket(plain) as connection:
        assert connection.version() == "TLSv1.3"


@pytest.mark.parametrize("protocol", ["UDP", "TCP_UDP"])
def test_what_the_local_cloud_cannot_balance_is_refused(
    local_cloud: LocalCloud, balancer: tuple[str, str], protocol: str
) -> None:
    with pytest.raises(ClientError) as caught:
        listen(local_cloud, balancer, protocol, 18833)
    assert caught.value.response["Error"]["Code"] == "UnsupportedProtocol"
