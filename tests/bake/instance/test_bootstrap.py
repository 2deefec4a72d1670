"""The builder's own AWS client: its signatures are botocore's, and what it does about
answers that are none.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import http.server
import json
import threading

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ingot.aws.instances.console import BUILDER, last_line
from ingot.bake.instance import __main__ as builder
from ingot.bake.instance import bootstrap
from tests.aws.builder_stand_in import CREDENTIALS, MetadataService
from tests.bake.instance.jobs import JOB

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture
def service(monkeypatch):
    """A metadata service that says that the APIs are AWS's own."""
    service = MetadataService("")
    del service.values["meta-data/services/endpoint"]
    monkeypatch.setattr(bootstrap, "METADATA", service.url)
    monkeypatch.setattr(bootstrap.time, "time", NOW.timestamp)
    yield service
    service.close()


REQUESTS = [
    ("s3", botocore.auth.S3SigV4Auth, "GET", "/bundles-1/bundles/ab.tar.gz", {}, b""),
    (
        "s3",
        botocore.auth.S3SigV4Auth,
        "PUT",
        "/bundles-1/results/x/manifest.json.gz",
        {"content-type": "application/gzip"},
        b"data",
    ),
    (
        "ebs",
        botocore.auth.SigV4Auth,
        "PUT",
        "/snapshots/snap-1/blocks/7",
        {"x-amz-checksum-algorithm": "SHA256"},
        b"block",
    ),
    (
        "logs",
        botocore.auth.SigV4Auth,
        "POST",
        "/",
        {"x-amz-target": "Logs_20140328.PutLogEvents", "content-type": "application/x-amz-json-1.1"},
        b"{}",
    ),
]


@pytest.mark.parametrize(("name", "auth", "method", "path", "headers", "body"), REQUESTS)
def test_requests_are_signed_as_botocore_signs_them(
    name, auth, method, path, headers, body, service, monkeypatch
):
    client = bootstrap.AwsService(name, "eu-central-1", bootstrap.Credentials())
    assert client.endpoint == f"https://{name}.eu-central-1.amazonaws.com"
    digest = hashlib.sha256(body).hexdigest()
    ours = client.sign(method, path, dict(headers), digest)

    for known in ("get_current_datetime",):
        if hasattr(botocore.auth, known):
            monkeypatch.setattr(botocore.auth, known, lambda remove_tzinfo=True: NOW.replace(tzinfo=None))
    keys = Credentials(CREDENTIALS["AccessKeyId"], CREDENTIALS["SecretAccessKey"], CREDENTIALS["Token"])
    given = {**headers, "X-Amz-Content-SHA256": digest}
    request = AWSRequest(method, f"{client.endpoint}{path}", headers=given, data=body)
    request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
    auth(keys, name, "eu-central-1").add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"] == "20260102T030405Z"
    assert ours["x-amz-security-token"] == "token"


@pytest.fixture
def answers(monkeypatch, service):
    """A service that gives these answers one after the other: (status, headers, body)."""
    given, seen = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Say nothing."""

        def do_GET(self):
            seen.append(self.path)
            status, headers, body = given.pop(0)
            if status == 0:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service.values["meta-data/services/endpoint"] = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(bootstrap, "PAUSE", lambda _: None)
    yield given, seen
    server.shutdown()
    server.server_close()


def client():
    return bootstrap.AwsService("s3", "us-east-1", bootstrap.Credentials())


@pytest.mark.parametrize(
    "trouble",
    [
        (503, {}, b"<Code>SlowDown</Code>"),
        (500, {}, b""),
        (0, {}, b""),
        (400, {"x-amzn-ErrorType": "ThrottlingException"}, b"{}"),
    ],
)
def test_what_may_pass_is_tried_again(trouble, answers):
    given, seen = answers
    given += [trouble, trouble, (200, {}, b"there")]
    assert client().call("GET", "/b/k") == b"there"
    assert len(seen) == 3


def test_a_refusal_is_told_at_once_with_what_aws_said(answers):
    given, seen = answers
    given += [(403, {"x-amzn-ErrorType": "AccessDeniedException"}, b'{"Message": "no"}')]
    with pytest.raises(
        bootstrap.RefusedError, match=r"GET .*/b/k: HTTP status 403: AccessDeniedException"
    ) as caught:
        client().call("GET", "/b/k")
    assert (caught.value.status, len(seen)) == (403, 1)


def test_a_service_that_does_not_answer_is_given_up(answers):
    given, seen = answers
    given += [(0, {}, b"")] * 3
    with pytest.raises(bootstrap.UnreachableError, match=r"GET http://127\.0\.0\.1"):
        client().call("GET", "/b/k", attempts=3)
    assert len(seen) == 3


def test_credentials_that_end_soon_are_asked_for_again(service):
    credentials = bootstrap.Credentials()
    soon = (NOW + dt.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    first = {**CREDENTIALS, "AccessKeyId": "FIRST", "Expiration": soon}
    service.values["meta-data/iam/security-credentials/builder"] = json.dumps(first)
    assert credentials.get()[0] == "FIRST"
    service.values["meta-data/iam/security-credentials/builder"] = json.dumps(CREDENTIALS)
    assert credentials.get()[0] == CREDENTIALS["AccessKeyId"]
    service.values["meta-data/iam/security-credentials/builder"] = json.dumps(first)
    assert credentials.get()[0] == CREDENTIALS["AccessKeyId"]


def test_a_role_that_comes_late_is_waited_for(service, monkeypatch):
    name = "meta-data/iam/security-credentials/"
    role = service.values.pop(name)
    monkeypatch.setattr(bootstrap, "PAUSE", lambda _: service.values.update({name: role}))
    assert bootstrap.Credentials().get()[0] == CREDENTIALS["AccessKeyId"]


def test_a_refused_token_is_no_token(service):
    service.values["api/token"] = "403\nForbidden"
    with pytest.raises(OSError, match="the instance metadata gives no token: HTTP status 403"):
        bootstrap.metadata("meta-data/instance-id")


def test_an_instance_without_a_role_says_so(service, monkeypatch):
    monkeypatch.setattr(bootstrap, "ROLE_LIMIT", 0.0)
    del service.values["meta-data/iam/security-credentials/"]
    with pytest.raises(bootstrap.UnreachableError, match="the instance has no role"):
        bootstrap.Credentials().get()


@pytest.mark.parametrize("program", ["bootstrap", "builder"])
def test_whatever_keeps_a_builder_from_beginning_is_told(program, service, tmp_path, monkeypatch):
    service.values["api/token"] = "no"
    console = tmp_path / "console"
    console.touch()
    monkeypatch.setenv("INGOT_CONSOLE", str(console))
    monkeypatch.setattr(bootstrap.sys, "argv", [program, JOB.text(), str(tmp_path)])
    assert (bootstrap.main if program == "bootstrap" else builder.main)() == 1
    said = last_line(console.read_text(), BUILDER)
    assert said["stage"] == "failed"
    assert "the instance metadata gives no token: HTTP status 403" in said["text"]


def test_a_bundle_that_was_changed_is_not_run(answers, tmp_path, monkeypatch):
    given, _ = answers
    given += [(200, {}, b"other")] * bootstrap.DAMAGED
    console = tmp_path / "console"
    console.touch()
    monkeypatch.setenv("INGOT_CONSOLE", str(console))
    job = {"region": "us-east-1", "bucket": "b", "bundle": "k", "bundle_sha256": "0" * 64}
    monkeypatch.setattr(bootstrap.sys, "argv", ["bootstrap", json.dumps(job), str(tmp_path)])
    assert bootstrap.main() == 1
    assert "the bundle cannot be fetched: /b/k has SHA-256" in console.read_text()
