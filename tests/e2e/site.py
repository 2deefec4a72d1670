"""A copy of the project in an empty directory, with a data directory and a local cloud of
its own: what a newcomer has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.outputs import document_of
from tests.served import free_port

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Site:
    """One project directory and what can be done in it."""

    directory: Path
    home: Path
    port: int = field(default_factory=free_port)

    def copy_project(self) -> None:
        """Copy what git tracks; the tools that `make` has installed are shared."""
        files = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, files.split("\0")):
            target = self.directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                shutil.copy(ROOT / name, target)
        for shared in (".venv", "node_modules"):
            (self.directory / shared).symlink_to(ROOT / shared)

    def environment(self) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        env |= {
            "INGOT_HOME": str(self.home),
            "INGOT_CLOUD_PORT": str(self.port),
            "PATH": f"{self.directory}/.venv/bin:{self.directory}/node_modules/.bin:{os.environ['PATH']}",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "1",
        }
        # The CDK CLI keeps accounts and notices in the home directory: not in the developer's.
        return env | {"HOME": str(self.home)}

    def run(
        self, *command: str, check: bool = True, timeout: float = 1500
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, (
                f"{command}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
            )
        return done

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run("tools/up")

    def in_cloud(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command with the local cloud's environment, as a user would from another shell."""
        return self.run("bash", "-c", 'eval "$(ingot cloud env)" && exec "$@"', "-", *command, check=check)

    def status(self) -> dict:
        return document_of("status", self.in_cloud("ingot", "status", "--json").stdout)

    def wait_for(self, what: str, condition, seconds: float = 400):
        """Wait until ``condition()`` is true and return its value."""
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, f"waited {seconds} s for {what}"
            time.sleep(
                3
            )  # a look starts two programs, which take their time from the machines that are waited for


def fetch(url: str, timeout: float = 60) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Client(threading.Thread):
    """Asks the URL all the time, a bounded number of times, and remembers who answered and what failed."""

    def __init__(self, url: str, limit: int = 20_000) -> None:
        super().__init__(daemon=True)
        self.url, self.limit = url, limit
        self.failures: list[str] = []
        self.answers = 0
        self.digests: list[str] = []
        self._ended = threading.Event()

    def run(self) -> None:
        for _ in range(self.limit):
            if self._ended.is_set():
                return
            try:
                status, body = fetch(self.url + "/image.json")
                if status == 200:
                    digest = json.loads(body)["digest"]
                    if digest not in self.digests:
                        self.digests.append(digest)
                    self.answers += 1
                else:
                    self.failures.append(f"{time.strftime('%X')} HTTP {status}: {body[:200]!r}")
            except (OSError, ValueError) as error:
                self.failures.append(f"{time.strftime('%X')} {error!r}")
            self._ended.wait(0.25)

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(30)
