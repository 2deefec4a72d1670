"""The instance metadata service: EC2 User Guide, "Use the Instance Metadata Service to
access instance metadata".
"""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.machines import relay
from ingot.machines.metadata import TOKEN_HEADER, TOKEN_PATH, TTL_HEADER, Metadata, MetadataServer, Options

TREE = {
    "meta-data": {"instance-id": "i-1", "placement": {"region": "us-east-1"}, "iam": None},
    "user-data": None,
    "dynamic": {"instance-identity": {"document": lambda: '{"region": "us-east-1"}'}},
}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(clock):
    return Metadata(options=Options, tree=lambda: TREE, clock=clock)


def token(service, ttl="60"):
    answer = service.respond("PUT", TOKEN_PATH, {TTL_HEADER: ttl})
    assert answer.status == 200
    assert answer.headers[TTL_HEADER] == ttl
    return answer.body.decode()


def get(service, path, **headers):
    return service.respond("GET", path, headers)


def test_without_a_token_there_is_nothing(service):
    assert get(service, "/latest/meta-data/instance-id").status == 401


def test_a_token_opens_the_tree(service):
    with_token = {TOKEN_HEADER: token(service)}
    assert get(service, "/latest/meta-data/instance-id", **with_token).body == b"i-1"
    assert (
        get(service, "/latest/dynamic/instance-identity/document", **with_token).body
        == b'{"region": "us-east-1"}'
    )
    assert get(service, "/2021-03-23/meta-data/placement/region", **with_token).body == b"us-east-1"


def test_directories_list_what_they_hold(service):
    with_token = {TOKEN_HEADER: token(service)}
    assert get(service, "/latest/meta-data/", **with_token).body == b"instance-id\nplacement/"
    assert get(service, "/latest", **with_token).body == b"dynamic/\nmeta-data/"
    assert get(service, "/", **with_token).body.endswith(b"latest")


def test_what_is_not_there_is_404(service):
    with_token = {TOKEN_HEADER: token(service)}
    for path in (
        "/latest/user-data",
        "/latest/meta-data/iam/",
        "/latest/meta-data/x",
        "/3000-01-01/meta-data",
    ):
        assert get(service, path, **with_token).status == 404


def test_a_token_ends_with_its_time(service, clock):
    with_token = {TOKEN_HEADER: token(service, "60")}
    clock.now += 59
    assert get(service, "/latest/meta-data/instance-id", **with_token).status == 200
    clock.now += 1
    assert get(service, "/latest/meta-data/instance-id", **with_token).status == 401


def test_an_invented_token_is_refused_even_where_none_is_required(clock):
    service = Metadata(options=lambda: Options(tokens_required=False), tree=lambda: TREE, clock=clock)
    assert get(service, "/latest/meta-data/instance-id").status == 200
    assert get(service, "/latest/meta-data/instance-id", **{TOKEN_HEADER: "made-up"}).status == 401


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "1.5", "²", "six hours"])
def test_a_bad_time_to_live_is_400(service, ttl):
    assert service.respond("PUT", TOKEN_PATH, {TTL_HEADER: ttl}).status == 400


def test_a_request_that_came_through_a_proxy_gets_no_token(service):
    assert service.respond("PUT", TOKEN_PATH, {TTL_HEADER: "60", "X-Forwarded-For": "10.0.0.1"}).status == 403


def test_other_methods_are_405(service):
    assert service.respond("POST", "/latest/meta-data/", {}).status == 405
    assert service.respond("PUT", "/latest/meta-data/", {TTL_HEADER: "60"}).status == 405


def test_a_service_that_is_off_forbids_everything(clock):
    service = Metadata(options=lambda: Options(enabled=False), tree=lambda: TREE, clock=clock)
    assert service.respond("PUT", TOKEN_PATH, {TTL_HEADER: "60"}).status == 403
    assert get(service, "/latest/meta-data/").status == 403


@pytest.mark.parametrize("depth", [1, 12])
def test_the_relay_hands_the_guests_connection_over(tmp_path, service, depth):
    # Twelve levels are more than a Unix socket's path may have.
    directory = tmp_path.joinpath(*(["a-rather-long-name"] * depth))
    directory.mkdir(parents=True)
    server = MetadataServer(directory, "metadata.sock", service)
    guest, given = socket.socketpair()
    try:
        with given:
            command = [sys.executable, "-I", "-S", str(Path(relay.__file__)), "metadata.sock"]
            subprocess.run(command, stdin=given, cwd=directory, check=True)
        guest.sendall(f"PUT {TOKEN_PATH} HTTP/1.1\r\nHost: x\r\n{TTL_HEADER}: 60\r\n\r\n".encode())
        with guest.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
            headers = dict(line.decode().strip().split(": ", 1) for line in iter(answer.readline, b"\r\n"))
            token = answer.read(int(headers["Content-Length"])).decode()
            # The connection stays open for the next request.
            head = f"Host: x\r\n{TOKEN_HEADER}: {token}\r\n\r\n"
            guest.sendall(f"GET /latest/meta-data/instance-id HTTP/1.1\r\n{head}".encode())
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        assert headers["Server"].strip() == "EC2ws"
    finally:
        guest.close()
        server.stop()
    assert not (directory / "metadata.sock").exists()
