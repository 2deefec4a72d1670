"""A builder instance without a machine: its real program runs in a thread; only the bake is replaced, by a
few blocks.

The program finds credentials and addresses where an instance does, at a metadata service. Its console is a
file.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import re
import shlex
import tarfile
import threading
from contextlib import suppress
from pathlib import Path

from ingot import retry
from ingot.bake.instance import __main__ as program
from ingot.bake.instance import bootstrap, log
from ingot.bake.instance.job import read_builder_job
from ingot.bake.instance.live import BakedDisk
from ingot.spec import BakeSpec, CloneTestSpec
from tests.aws.support import block
from tests.specs import bake_spec

BLOCK = 524288
SEEDS = ["a", None, *"bcdefg", None]
CREDENTIALS = {
    "AccessKeyId": "INGOTTEST",
    "SecretAccessKey": "secret",
    "Token": "token",
    "Expiration": "2099-01-01T00:00:00Z",
}


class MetadataService:
    """What an instance asks at 169.254.169.254."""

    def __init__(self, endpoint: str) -> None:
        self.values = {
            "meta-data/services/endpoint": endpoint,
            "meta-data/services/domain": "amazonaws.com",
            "meta-data/instance-type": "c7i.large",
            "meta-data/iam/security-credentials/": "builder",
            "meta-data/iam/security-credentials/builder": json.dumps(CREDENTIALS),
        }
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.values))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(values):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Say nothing."""

        def do_PUT(self):
            refusal = values.get("api/token")
            self.answer(*((200, "a-token") if refusal is None else (403, refusal)))

        def do_GET(self):
            value = values.get(self.path.removeprefix("/latest/"))
            self.answer(404 if value is None else 200, value or "")

        def answer(self, status, text):
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    return Handler


class PowerOffError(BaseException):
    """The machine is off: its program goes no further, and nobody hears of it."""


class StandIn:
    """Builders without machines. ``seeds``: the blocks of the disk that the next one bakes, None for zeros.

    ``before``: called with the name of a stage (start, bake, done) when it begins; it may raise, or end the
    instance.
    """

    def __init__(self, directory: Path, direct, service: MetadataService) -> None:
        self.directory = directory
        self.direct = direct
        self.service = service
        self.seeds: list[str | None] = []
        self.before = lambda stage: None
        self.progress: list[str] = []
        self.instance_id = ""
        self.job = {}
        self.runs = True
        self.killed_at = ""
        self.disk = directory
        self._threads: list[threading.Thread] = []
        self._off = threading.Event()

    def __call__(self, message: str) -> None:
        """Take a line of the publish's progress; at the launch of a builder, become its program."""
        self.progress.append(message)
        if self.killed_at and message.startswith(self.killed_at):
            os._exit(9)  # as SIGKILL does: nothing is cleaned up
        launched = re.match(r"builder (i-\w+) launched", message)
        if launched and self.runs:
            self.instance_id = launched[1]
            self._off.clear()
            thread = threading.Thread(target=self._until_off, args=(launched[1],), daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self) -> None:
        """Take the power from what still runs: a builder of one test must not speak in the next one's."""
        self._off.set()
        for thread in self._threads:
            thread.join()

    def install(self, patch) -> None:
        """Put the stand-in where the program looks for an instance; ``patch``: a MonkeyPatch."""
        patch.setenv("INGOT_CONSOLE", "")  # put back at the end; each instance sets its own
        patch.setattr(bootstrap, "METADATA", self.service.url)
        patch.setattr(bootstrap.AwsService, "sign", self._powered(bootstrap.AwsService.sign))
        patch.setattr(bootstrap, "NOW", retry.now)
        patch.setattr(bootstrap, "PAUSE", retry.pause)
        patch.setattr(log, "DELAY", 0.01)
        patch.setattr(program, "bake", self.bake)
        patch.setattr(program, "bake_live", self.bake_live)

    def _powered(self, sign):
        """Return ``AwsService.sign`` for a machine that may be off: then no request leaves it."""

        def guarded(service, *args):
            if self._off.is_set():
                raise bootstrap.UnreachableError("the power is off")
            return sign(service, *args)

        return guarded

    def off(self) -> None:
        """End the program without another word: the machine has lost its power."""
        raise PowerOffError

    def console(self) -> str:
        file = self.directory / f"{self.instance_id}.console"
        return "booting\r\n" + (file.read_text() if file.exists() else "")

    def user_data(self) -> str:
        found = self.direct.ec2.describe_instance_attribute(InstanceId=self.instance_id, Attribute="userData")
        return base64.b64decode(found["UserData"]["Value"]).decode()

    def _until_off(self, instance_id: str) -> None:
        """Run the program; then, as its user data does, power off, which terminates the instance."""
        with suppress(PowerOffError, bootstrap.RefusedError, bootstrap.UnreachableError):
            self._run()
        self.direct.ec2.terminate_instances(InstanceIds=[instance_id])

    def _run(self) -> None:
        self.service.values["meta-data/instance-id"] = self.instance_id
        [line] = [line for line in self.user_data().splitlines() if line.startswith("python3 ")]
        text = shlex.split(line)[2]
        self.job = json.loads(text)
        home = self.directory / self.instance_id
        home.mkdir(parents=True)
        os.environ["INGOT_CONSOLE"] = str(home) + ".console"
        self.before("start")
        s3 = bootstrap.AwsService("s3", self.job["region"], bootstrap.Credentials())
        data = s3.fetch(f"/{self.job['bucket']}/{self.job['bundle']}", self.job["bundle_sha256"])
        with tarfile.open(fileobj=io.BytesIO(data)) as bundle:
            # Debian 12 has a Python without filters for archives.
            bundle.extractall(home, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        builder = program.BuilderProgram(read_builder_job(text), home)
        try:
            builder.run()
        except Exception as error:  # noqa: BLE001 - as the program's main does
            builder.failed(error)
        finally:
            builder.log.close()

    def bake_live(self, spec, sources, scratch, progress):
        """Stand in for ``ingot.bake.instance.live.bake_live``, on a disk of whole GiB."""
        self.seeds = [*self.seeds, *[None] * (-len(self.seeds) % 2048)]
        output = scratch / "output"
        manifest = self._bake(spec, output, progress)
        disk = manifest["disk"]
        return BakedDisk(output / "disk.raw", disk["blocks"], disk["root_digest"], json.dumps(manifest))

    def bake(self, job, *, progress):
        """Stand in for ``ingot.bake.engine.bake``."""
        output = job.directories.output
        manifest = self._bake(job.spec, output, progress)
        (output / "manifest.json").write_text(json.dumps(manifest))

    def _bake(self, spec, output, progress):
        progress("baking as if")
        self.before("bake")
        output.mkdir()
        data = [bytes(BLOCK) if seed is None else block(seed) for seed in self.seeds]
        (output / "disk.raw").write_bytes(b"".join(data))
        digests = [hashlib.sha256(part).digest() for part in data]
        listed = [
            None if seed is None else digest.hex() for seed, digest in zip(self.seeds, digests, strict=True)
        ]
        disk = {
            "size": len(data) * BLOCK,
            "block_size": BLOCK,
            "root_digest": hashlib.sha256(b"".join(digests)).hexdigest(),
            "blocks": listed,
        }
        manifest = {key: getattr(spec, key) for key in ("name", "recipe_digest", "version", "architecture")}
        manifest["tests"] = [test.plain() for test in spec.tests]
        self.before("done")
        return {**manifest, "format": 1, "inventory": {}, "disk": disk}


def make_spec(seeds: list[str | None], recipe: str = "web", **fields: object) -> BakeSpec:
    """A bake spec whose digest stands for its blocks."""
    digest = hashlib.sha256(f"{recipe} {seeds}".encode()).hexdigest()
    known = {"version": digest[:12], "root_volume_size": len(seeds) * BLOCK}
    tests = (CloneTestSpec("the app answers"),)
    return bake_spec(name=recipe, recipe_digest=digest, tests=tests, **known, **fields)
