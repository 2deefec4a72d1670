"""Runs the program that fetches a clone's configuration beside services of our own.

They are the instance metadata, Systems Manager and Secrets Manager, and check what AWS checks: the token of
IMDSv2, and the signature by botocore's own signer. test_configure.py starts this in namespaces of its own; a
scenario comes in as JSON, and what became of it goes out as JSON.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

scenario: dict[str, Any] = json.loads(sys.stdin.read())
begun = time.monotonic()
calls: list[dict[str, Any]] = []
KEYS = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret/access+key", "Token": "session-token=="}


class Handler(BaseHTTPRequestHandler):
    """Answers; says nothing."""

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Metadata(Handler):
    """The instance metadata service, version 2."""

    def do_PUT(self) -> None:
        if time.monotonic() - begun < scenario.get("metadata_after", 0):
            self.reply(503, b"")
        else:
            self.reply(200, b"token")

    def do_GET(self) -> None:
        role = scenario.get("role", "clone")
        known = {
            "user-data": scenario["user_data"],
            "meta-data/placement/region": "eu-central-1",
            "meta-data/services/domain": "amazonaws.com",
            "meta-data/services/endpoint": scenario.get("endpoint"),
            "meta-data/iam/security-credentials/": role,
            f"meta-data/iam/security-credentials/{role}": json.dumps({"Code": "Success", **KEYS}),
        }
        found = known.get(self.path.removeprefix("/latest/"))
        if self.headers["X-aws-ec2-metadata-token"] != "token" or found is None:
            self.reply(404, b"")
        else:
            self.reply(200, found.encode())


class Services(Handler):
    """Systems Manager and Secrets Manager: the scenario's answers, in order; the last one stays."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers["X-Amz-Target"].rpartition(".")[2]
        asked = json.loads(body)
        calls.append({"target": target, "asked": asked, "host": self.headers["Host"]})
        if not self.signed(body):
            self.reply(400, b'{"__type":"InvalidSignatureException","message":"it does not match"}')
            return
        answers = scenario["answers"][asked["SecretId"] if target == "GetSecretValue" else target]
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.reply(status, json.dumps(answer).encode())

    def signed(self, body: bytes) -> bool:
        named = self.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        service = self.headers["Authorization"].split("/")[3]
        request = AWSRequest("POST", f"https://{self.headers['Host']}/", data=body)
        for name in named:
            request.headers[name] = self.headers[name]
        signer = SigV4Auth(Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"]), service, "eu-central-1")
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        age = datetime.now(UTC) - datetime.strptime(self.headers["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return abs(age.total_seconds()) < 300 and self.headers["Authorization"].endswith(
            signer.signature(text, request)
        )


def sh(*command: str) -> None:
    subprocess.run(command, check=True)


def tree(work: Path) -> None:
    """Give the program its places: /run, /dev and /usr/lib/ingot of its own."""
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "address", "add", "169.254.169.254/32", "dev", "lo")
    sh("mount", "-t", "tmpfs", "tmpfs", str(work))
    for name in ("upper", "work", "dev"):
        (work / name).mkdir()
    (work / "upper/ingot").mkdir()
    (work / "upper/ingot/configuration").write_text(scenario["declared"])
    (work / "upper/ingot/Ingot.pm").write_text(Path(scenario["rootfs"], "Ingot.pm").read_text())
    layers = f"lowerdir=/usr/lib,upperdir={work}/upper,workdir={work}/work"
    sh("mount", "-t", "overlay", "overlay", "-o", layers, "/usr/lib")
    (work / "hosts").write_text(
        "127.0.0.1 localhost ssm.eu-central-1.amazonaws.com secretsmanager.eu-central-1.amazonaws.com\n"
    )
    sh("mount", "--bind", str(work / "hosts"), "/etc/hosts")
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    for name in ("null", "urandom", "random"):
        (work / "dev" / name).touch()
        sh("mount", "--bind", f"/dev/{name}", str(work / "dev" / name))
    (work / "dev/console").touch()
    sh("mount", "--rbind", str(work / "dev"), "/dev")


def main() -> None:
    work = Path(scenario["work"])
    program = ["perl", str(Path(scenario["rootfs"], "configure.pl"))]
    tree(work)
    threading.Thread(
        target=ThreadingHTTPServer(("169.254.169.254", 80), Metadata).serve_forever, daemon=True
    ).start()
    services = ThreadingHTTPServer(("127.0.0.1", 443 if "certificate" in scenario else 4566), Services)
    if "certificate" in scenario:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(scenario["certificate"], scenario["key"])
        services.socket = context.wrap_socket(services.socket, server_side=True)
    if not scenario.get("silent"):
        threading.Thread(target=services.serve_forever, daemon=True).start()
    runs = []
    environ = {**os.environ, **({"SSL_CERT_FILE": scenario["trusts"]} if "trusts" in scenario else {})}
    for arguments in scenario.get("runs", [[]]):
        done = subprocess.run(
            [*program, *arguments], capture_output=True, text=True, check=False, env=environ
        )
        files = {}
        for path in sorted(Path("/run/ingot").rglob("*")):
            if path.is_file() and "own" not in path.parts:
                about = path.stat()
                name = str(path.relative_to("/run/ingot"))
                content = base64.b64encode(path.read_bytes()).decode()
                files[name] = [content, oct(about.st_mode & 0o7777), about.st_uid, about.st_gid]
        runs.append({"code": done.returncode, "out": done.stdout, "err": done.stderr, "files": files})
    outcome = {"runs": runs, "calls": calls, "console": Path("/dev/console").read_text()}
    sys.stdout.write(json.dumps(outcome))


main()
