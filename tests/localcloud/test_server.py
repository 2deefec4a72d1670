"""The daemon starts once, says when it cannot, and ends whole. Real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from ingot import cloud_record
from ingot.errors import MissingToolError
from localcloud import daemon
from tests.localcloud.conftest import LocalCloud, launch, processes, register_empty
from tests.outputs import document_of
from tests.served import free_port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    monkeypatch.delenv("INGOT_CLOUD_PORT", raising=False)
    # The usual one may be another test's just now, and a cloud says so when it starts.
    monkeypatch.setenv("INGOT_URL_PORT", str(free_port()))
    yield tmp_path
    ingot("cloud", "down")


def ingot(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ingot.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **more})


def test_up_status_env_down(home: Path) -> None:
    port = str(free_port())
    up = ingot("cloud", "up", "--port", port)
    assert (up.returncode, up.stdout) == (0, f"http://localhost:{port}\n"), up.stderr
    again = ingot("cloud", "up", "--json")
    assert again.returncode == 0
    where = document_of("cloud up", again.stdout)
    assert (where["endpoint"], where["started"]) == (up.stdout.strip(), False)
    assert "already runs" in again.stderr
    status = ingot("cloud", "status", "--json")
    assert status.returncode == 0
    found = document_of("cloud status", status.stdout)
    assert (found["running"], found["port"]) == (True, int(port))
    env = ingot("cloud", "env").stdout
    variables = document_of("cloud env", ingot("cloud", "env", "--json").stdout)["set"]
    assert variables["AWS_ENDPOINT_URL_S3"] == f"http://localhost:{port}"
    assert f"export AWS_ENDPOINT_URL_S3=http://localhost:{port}\n" in env
    assert "unset AWS_PROFILE\n" in env
    assert cloud_record.start_time(found["pid"]) is not None
    down = ingot("cloud", "down", "--json")
    assert (down.returncode, document_of("cloud down", down.stdout)) == (0, {"stopped": True})
    assert cloud_record.start_time(found["pid"]) is None
    assert not (home / "cloud" / "cloud.json").exists()
    assert ingot("cloud", "status").returncode == 1
    assert "does not run" in ingot("cloud", "down").stderr


def localcloud(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localcloud", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **more})


def test_localcloud_is_the_same_cloud_as_ingot_cloud(home: Path) -> None:
    up = localcloud("up", INGOT_CLOUD_PORT=str(free_port()))
    assert up.returncode == 0, up.stderr
    assert ingot("cloud", "status", "--json").stdout == localcloud("status", "--json").stdout
    assert ingot("cloud", "env").stdout == localcloud("env").stdout
    again = localcloud("up", "--port", str(free_port()))
    assert again.returncode == 1
    assert again.stderr.endswith("\n  hint: stop it first with: localcloud down\n")
    second = localcloud("serve", "--port", str(free_port()))
    assert second.returncode == 1
    assert second.stderr.startswith("error: the local cloud already runs on port ")
    assert localcloud("down").returncode == 0
    status = localcloud("status")
    assert (status.returncode, status.stdout) == (1, "")
    assert status.stderr == "the local cloud does not run; start it with: localcloud up\n"
    env = localcloud("env")
    assert (env.returncode, env.stdout) == (1, "")
    assert env.stderr == "localcloud: the local cloud does not run\n  hint: start it with: localcloud up\n"


def test_the_local_cloud_runs_in_the_foreground(home: Path) -> None:
    command = [sys.executable, "-m", "localcloud", "serve", "--port", str(free_port())]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        assert any("ready at http://localhost:" in line for line in serving.stderr)
        assert localcloud("status").returncode == 0
        serving.terminate()
        assert serving.stderr.read().rstrip().endswith("stopped")
    assert serving.returncode == 0
    assert localcloud("status").returncode == 1


@pytest.mark.parametrize("port", ["0", "65536", "80a", ""])
def test_localcloud_refuses_a_port_that_is_none(port: str, home: Path) -> None:
    done = localcloud("up", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{port!r} is not a port from 1 to 65535" in done.stderr


def test_a_taken_port_is_named(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = ingot("cloud", "up", "--port", str(port))
    assert result.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in result.stderr
    assert "--port" in result.stderr
    assert cloud_record.running() is None


def test_an_interrupted_start_leaves_no_daemon(home: Path) -> None:
    command = [sys.executable, "-m", "ingot.cli.main", "cloud", "up", "--port", str(free_port())]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr is not None
        assert "starting the local cloud" in starting.stderr.readline()
        starting.send_signal(signal.SIGINT)
        assert starting.stderr.read() == "error: interrupted\n"
    assert starting.returncode == 130
    left = [
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and f"INGOT_HOME={home}".encode() in environ(entry).split(b"\0")
    ]
    assert left == []
    assert not (home / "cloud" / "cloud.json").exists()


def environ(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def test_a_killed_daemon_is_not_taken_for_a_running_one(home: Path) -> None:
    assert ingot("cloud", "up", "--port", str(free_port())).returncode == 0
    record = cloud_record.running()
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    assert ingot("cloud", "status").returncode == 1
    assert ingot("cloud", "up", "--port", str(free_port())).returncode == 0


def test_down_removes_the_data_of_a_killed_daemon(home: Path) -> None:
    assert ingot("cloud", "up", "--port", str(free_port())).returncode == 0
    cloud = home / "cloud"
    pid = json.loads((cloud / "cloud.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    for name in ("ebs/blocks/ab", "bases", "machines/i-1"):
        (cloud / name).mkdir(parents=True, exist_ok=True)
        (cloud / name / "data").write_bytes(b"x")
    while cloud_record.start_time(pid) is not None:
        time.sleep(0.05)
    assert ingot("cloud", "down").returncode == 0
    assert [name for name in ("ebs", "bases", "machines", "cloud.json") if (cloud / name).exists()] == []


def test_a_stale_record_never_harms_a_stranger(home: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        started = cloud_record.start_time(stranger.pid)
        assert started is not None
        state = home / "cloud" / "cloud.json"
        state.parent.mkdir(parents=True)
        state.write_text(json.dumps({"pid": stranger.pid, "started": started - 1, "port": 1}))
        assert cloud_record.running() is None
        assert ingot("cloud", "down").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.communicate()


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, as a run of tests would."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_cloud_ends_with_its_parent_and_so_do_its_machines(
    number: signal.Signals, home: Path, parent: subprocess.Popen[bytes]
) -> None:
    up = ingot("cloud", "up", "--port", str(free_port()), "--with-parent", str(parent.pid))
    assert up.returncode == 0, up.stderr
    record = cloud_record.running()
    assert record is not None
    launch_empty(record.environment)
    wait_until(lambda: processes(home / "cloud") != [])

    parent.send_signal(number)
    parent.wait()

    wait_until(lambda: cloud_record.start_time(record.pid) is None)
    assert processes(home / "cloud") == []
    left = ("ebs", "bases", "machines", "cloud.json")
    assert [name for name in left if (home / "cloud" / name).exists()] == []


def test_localcloud_serves_as_long_as_its_parent_runs(home: Path, parent: subprocess.Popen[bytes]) -> None:
    command = [sys.executable, "-m", "localcloud", "serve", "--port", str(free_port())]
    command += ["--with-parent", str(parent.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        assert any("ready at http://localhost:" in line for line in serving.stderr)
        parent.kill()
        log = serving.stderr.read()
    assert serving.returncode == 0
    assert f"process {parent.pid}, with which this cloud ends, has ended\n" in log


@pytest.mark.parametrize("start", [("up",), ("serve",)])
def test_a_parent_that_does_not_run_is_bad_input(
    start: tuple[str, ...], home: Path, parent: subprocess.Popen[bytes]
) -> None:
    parent.kill()
    parent.wait()
    done = localcloud(*start, "--port", str(free_port()), "--with-parent", str(parent.pid))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"localcloud: --with-parent: no process has the id {parent.pid}\n"
    assert cloud_record.running() is None


@pytest.mark.parametrize("pid", ["0", "-1", "self", ""])
def test_localcloud_refuses_a_parent_that_is_no_process_id(pid: str, home: Path) -> None:
    done = localcloud("up", f"--with-parent={pid}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{pid!r} is not the id of a process" in done.stderr


def launch_empty(environment: dict[str, str]) -> None:
    """Launch a machine whose disk is empty: it never gets past its firmware."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            region_name=environment["AWS_REGION"],
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    launch(client, register_empty(client), "empty")


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_all_regions_answer_and_buckets_are_reached_by_path(local_cloud: LocalCloud) -> None:
    assert local_cloud.client("sts", "eu-central-1").get_caller_identity()["Account"] == "123456789012"
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket="a-bucket")
    s3.put_object(Bucket="a-bucket", Key="k", Body=b"x")
    assert s3.get_object(Bucket="a-bucket", Key="k")["Body"].read() == b"x"


def test_it_listens_on_loopback_only(local_cloud: LocalCloud) -> None:
    port = f"{local_cloud.context.port:04X}"
    listening = [
        fields[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[1].endswith(":" + port)
    ]
    assert listening == [f"0100007F:{port}"]


def test_a_proxy_of_the_environment_is_not_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "intern.example")
    up = ingot("cloud", "up", "--port", str(free_port()))
    try:
        assert up.returncode == 0, up.stderr
        assert "export no_proxy=intern.example,localhost,127.0.0.1\n" in ingot("cloud", "env").stdout
    finally:
        assert ingot("cloud", "down").returncode == 0


def test_a_port_of_the_load_balancer_that_is_taken_is_said(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = ingot("cloud", "up", "--port", str(free_port()), INGOT_URL_PORT=str(port))
        try:
            assert up.returncode == 0, up.stderr
            assert f"port {port} is in use: the load balancer picks another; its URL names it" in up.stderr
        finally:
            assert ingot("cloud", "down").returncode == 0


def test_a_port_that_is_none_is_bad_input(home: Path) -> None:
    done = ingot("cloud", "up", INGOT_URL_PORT="80a")
    assert (done.returncode, done.stdout) == (2, "")
    assert "INGOT_URL_PORT is '80a': not a port from 1 to 65535" in done.stderr
    assert not (home / "cloud").exists()


def test_without_qemu_nothing_is_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(tool: str, path: str) -> None:
        return None

    monkeypatch.setattr("shutil.which", absent)
    with pytest.raises(MissingToolError, match="qemu-system-x86_64") as caught:
        daemon.up(None, progress=lambda line: None)
    assert caught.value.hint == "install it with: sudo apt-get install qemu-system-x86"
    assert not (home / "cloud").exists()
