"""Fetches a builder's bundle and runs it. The user data of a builder instance holds this file as it stands.

So it imports nothing of ours and has to be short (user data: 16 KiB). What is in the bundle uses its AWS
client, too. Sources: EC2 User Guide, "Use IMDSv2"; IAM User Guide, "Create a signed AWS API request"
(Signature Version 4).
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import io
import json
import os
import random
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
EMPTY = hashlib.sha256(b"").hexdigest()
TIMEOUT = 20.0  # seconds without a byte
ROLE_LIMIT = 60.0  # seconds
# The one retry loop that is not of ingot/retry.py: user data holds this file alone. The words stand for that
# table's codes. Twenty attempts last 80 to 160 s.
AGAIN = (408, 429, 500, 502, 503, 504, 509)
ATTEMPTS = 20
TRANSIENT = (
    *("Throttl", "SlowDown", "LimitExceeded", "TooManyRequests", "ThroughputExceeded", "TooManyUpdates"),
    *("RequestTimeout", "NotComplete", "InProgress", "Internal", "Unavailable", "BadDigest"),
)
DAMAGED = 5  # times that a file is fetched whose bytes are not what they should be
NOW, PAUSE = time.monotonic, time.sleep


class RefusedError(Exception):
    """AWS answered, and it was no."""

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__("%s: HTTP status %d: %s" % (what, status, " ".join(text.split())[:400]))
        self.status = status
        self.text = text


class UnreachableError(Exception):
    """No answer came."""


def connect(url: str) -> http.client.HTTPConnection:
    """Return a connection to the host of a URL."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)


def metadata(path: str) -> Optional[str]:
    """Return a value of the instance metadata; None when there is none."""
    connection = connect(METADATA)
    try:
        connection.request("PUT", "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        answer = connection.getresponse()
        token = answer.read().decode()
        if answer.status != 200:
            raise OSError("the instance metadata gives no token: HTTP status %d" % answer.status)
        connection.request("GET", "/latest/" + path, headers={"X-aws-ec2-metadata-token": token})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    return text if answer.status == 200 else None


class Credentials:
    """The temporary credentials of the instance's role, asked for again before they expire."""

    def __init__(self) -> None:
        self._held: Optional[Dict[str, str]] = None
        self._lock = threading.Lock()

    def get(self) -> Tuple[str, str, str]:
        """Return key id, secret key, session token."""
        with self._lock:
            if self._held is None or self._held["Expiration"] < stamp(
                time.time() + 300, "%Y-%m-%dT%H:%M:%SZ"
            ):
                self._held = json.loads(self._ask())
            return self._held["AccessKeyId"], self._held["SecretAccessKey"], self._held["Token"]

    @staticmethod
    def _ask() -> str:
        """Wait for the role: that of a profile made a moment ago comes to the instance
        some seconds after its launch.
        """
        path = "meta-data/iam/security-credentials/"
        end = NOW() + ROLE_LIMIT
        while True:
            role = (metadata(path) or "").strip()
            text = metadata(path + role) if role else None
            if text is not None:
                return text
            if NOW() > end:
                raise UnreachableError("the instance has no role: its launch template names none")
            PAUSE(1)


def stamp(seconds: float, pattern: str) -> str:
    """Return a time in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(pattern)


class AwsService:
    """One AWS service in one region.

    ``call`` may be used by several threads; each keeps a connection of its own.
    """

    def __init__(self, name: str, region: str, credentials: Credentials) -> None:
        self.name, self.region, self._credentials = name, region, credentials
        local = metadata(
            "meta-data/services/endpoint"
        )  # the local cloud says where it is; EC2 has no such entry
        domain = metadata("meta-data/services/domain") or "amazonaws.com"
        self.endpoint = local or "https://%s.%s.%s" % (name, region, domain)
        self._own = threading.local()

    def call(
        self,
        method: str,
        path: str,
        headers: Optional[Dict[str, str]] = None,
        body: bytes = b"",
        *,
        digest: Optional[str] = None,
        attempts: int = ATTEMPTS,
    ) -> bytes:
        """Return the body of the answer. ``digest``: the SHA-256 of ``body`` in hex, if it is known."""
        what = "%s %s%s" % (method, self.endpoint, path)
        for attempt in range(1, attempts + 1):
            try:
                status, data = self._once(method, path, dict(headers or {}), body, digest)
                if status < 300:
                    return data
                text = data.decode("utf-8", "replace")
                failure: Exception = RefusedError(what, status, text)
                if status not in AGAIN and not any(word in text for word in TRANSIENT):
                    raise failure
            except (OSError, http.client.HTTPException) as error:
                self._close()
                failure = UnreachableError("%s: %s" % (what, error or type(error).__name__))
            if attempt < attempts:
                longest = min(10.0, 0.2 * 2**attempt)
                PAUSE(random.uniform(longest / 2, longest))  # noqa: S311 - jitter, not a secret
        raise failure

    def fetch(self, path: str, sha256: str) -> bytes:
        """Return the file at ``path``, whose SHA-256 is given in hex; fetch it again while it is damaged."""
        for _ in range(DAMAGED):
            data = self.call("GET", path)
            found = hashlib.sha256(data).hexdigest()
            if found == sha256:
                return data
        raise UnreachableError("%s has SHA-256 %s, expected %s" % (path, found, sha256))

    def _once(
        self, method: str, path: str, headers: Dict[str, str], body: bytes, digest: Optional[str]
    ) -> Tuple[int, bytes]:
        if not hasattr(self._own, "connection"):
            self._own.connection = connect(self.endpoint)
        signed = self.sign(
            method, path, headers, digest or (hashlib.sha256(body).hexdigest() if body else EMPTY)
        )
        self._own.connection.request(method, path, body=body, headers=signed)
        answer = self._own.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:  # REST-JSON services name the error in a header
            data = (answer.getheader("x-amzn-ErrorType") or "").encode() + b" " + data
        return answer.status, data

    def _close(self) -> None:
        if hasattr(self._own, "connection"):
            self._own.connection.close()
            del self._own.connection

    def sign(self, method: str, path: str, headers: Dict[str, str], digest: str) -> Dict[str, str]:
        """Return the headers of a request with its signature; ``digest`` is the SHA-256 (hex) of its body."""
        key, secret, token = self._credentials.get()
        now = time.time()
        when, day = stamp(now, "%Y%m%dT%H%M%SZ"), stamp(now, "%Y%m%d")
        host = urllib.parse.urlsplit(self.endpoint).netloc
        headers.update(
            {"host": host, "x-amz-date": when, "x-amz-security-token": token, "x-amz-content-sha256": digest}
        )
        lower = {name.lower(): " ".join(str(value).split()) for name, value in headers.items()}
        names = ";".join(sorted(lower))
        place, _, query = path.partition("?")
        lines = [
            method,
            place,
            query,
            *("%s:%s" % (name, lower[name]) for name in sorted(lower)),
            "",
            names,
            digest,
        ]
        scope = "%s/%s/%s/aws4_request" % (day, self.region, self.name)
        text = "\n".join(
            ["AWS4-HMAC-SHA256", when, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()]
        )
        signature = ("AWS4" + secret).encode()
        for part in (*scope.split("/"), text):
            signature = hmac.new(signature, part.encode(), hashlib.sha256).digest()
        lower["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            key, scope, names, signature.hex(),
        )  # fmt: skip
        return lower


def console(line: str) -> None:
    """Write one line to the serial console, which EC2's GetConsoleOutput gives."""
    device = next((path for path in ("/dev/ttyS0", "/dev/console") if Path(path).exists()), "/dev/stderr")
    with Path(os.environ.get("INGOT_CONSOLE") or device).open("a") as file:
        file.write("\r\n%s\r\n" % line)


def log_line(number: int, stage: str, text: str, **more: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a line of a builder's report: JSON, and the start of its SHA-256, by which a
    torn line is known.
    """
    value = dict(more, n=number, stage=stage, text=text)
    line = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "ingot-builder 1 %s %s" % (line, hashlib.sha256(line.encode()).hexdigest()[:16])


def main() -> int:
    """Fetch, check and unpack the bundle that the job names; become the program in it."""
    job = json.loads(sys.argv[1])
    directory = sys.argv[2]
    try:
        s3 = AwsService("s3", job["region"], Credentials())
        data = s3.fetch("/%s/%s" % (job["bucket"], job["bundle"]), job["bundle_sha256"])
        with tarfile.open(fileobj=io.BytesIO(data)) as bundle:
            bundle.extractall(directory)  # noqa: S202 - its SHA-256 is the one that we were told
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be reported: nobody sees this machine
        console(log_line(1, "failed", "the bundle cannot be fetched: %s" % error))
        return 1
    environ = dict(os.environ, PYTHONPATH=directory, PYTHONDONTWRITEBYTECODE="1")
    return subprocess.call(
        [sys.executable, "-m", "ingot.bake.instance", sys.argv[1], directory], env=environ, cwd=directory
    )


if __name__ == "__main__":
    sys.exit(main())
