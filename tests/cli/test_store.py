"""`ingot store gc` beside a local cloud, which it finds without importing it."""

import json
import os
import subprocess
import sys

import pytest

from ingot import cloud_record
from ingot.aws.session import tags
from ingot.cli.main import main
from ingot.store import Store
from tests.localcloud.conftest import running_cloud
from tests.outputs import document_of

PUBLISHED, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    for digest in (PUBLISHED, OTHER):
        directory = Store().images / digest
        directory.mkdir(parents=True)
        (directory / "disk.raw").write_bytes(b"x")
        manifest = {"name": "web", "size": {"used": 1}, "package_files": []}
        (directory / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def collect() -> set[str]:
    """Remove all images that nothing needs; return the digests of those that are left."""
    with pytest.raises(SystemExit) as ended:
        main(["store", "gc", "--images", "0"])
    assert ended.value.code == 0
    return {path.name for path in Store().images.iterdir()}


def test_images_of_the_local_clouds_amis_stay(home, monkeypatch):
    with running_cloud(home / "cloud", machines=False) as cloud:
        image = cloud.image("web")
        cloud.client("ec2").create_tags(Resources=[image], Tags=[{"Key": tags.DIGEST, "Value": PUBLISHED}])
        cloud_record.write(cloud.context.port, cloud.variables)
        # Loopback is reached past a proxy; nobody listens on this one.
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "")
        assert collect() == {PUBLISHED}


def test_without_a_local_cloud_none_stays(home):
    assert collect() == set()


def test_a_list_of_many_images_takes_little_memory(tmp_path):
    """Every manifest has a megabyte or more: the list needs their names and sizes alone."""
    files = {f"/usr/lib/file-{number}": {"sha256": f"{number:064x}", "mode": 420} for number in range(10_000)}
    manifest = {"name": "web", "files": files, "size": {"used": 1}, "package_files": []}
    one = tmp_path / "manifest.json"
    one.write_text(json.dumps(manifest))
    assert one.stat().st_size > 2**20
    for number in range(500):
        directory = tmp_path / "store/images" / f"{number:064x}"
        directory.mkdir(parents=True)
        (directory / "manifest.json").hardlink_to(one)
        (directory / "disk.raw").touch()
    # Of its own address space: ru_maxrss begins with what the tests' process has (getrusage(2), execve).
    program = """if True:
        import atexit, re, sys
        from pathlib import Path
        from ingot.cli.main import main
        status = lambda: Path("/proc/self/status").read_text()
        atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+) kB", status())[1], file=sys.stderr))
        main(["store", "ls", "--json"])
    """
    environment = {**os.environ, "INGOT_HOME": str(tmp_path)}
    listed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert len(json.loads(listed.stdout)["images"]) == 500
    assert int(listed.stderr.splitlines()[-1]) <= 100 * 1024, "KiB"


@pytest.mark.parametrize(
    ("size", "hint"), [("20GB", "did you mean 20GiB?"), ("lots", "give one such as 20GiB or 500MiB")]
)
def test_a_size_that_is_none_is_answered_with_what_may_be_meant(size, hint, tmp_path):
    refused = subprocess.run(
        [sys.executable, "-m", "ingot.cli.main", "store", "gc", "--max-size", size],
        env={**os.environ, "INGOT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr == f"error: --max-size {size!r} is not a size\n  hint: {hint}\n"


def test_a_store_goes_to_another_machine_with_documents_of_what_moved(home, tmp_path, monkeypatch, capsys):
    def run(*words):
        with pytest.raises(SystemExit):
            main(["store", *words, "--json"])
        return document_of(f"store {words[0]}", capsys.readouterr().out)

    archive = tmp_path / "store.tar"
    packed = run("pack", str(archive))
    assert packed == {"archive": str(archive), "size": archive.stat().st_size}
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "other"))
    assert run("unpack", str(archive)) == {"images": [PUBLISHED, OTHER], "layers": []}
    assert run("unpack", str(archive)) == {"images": [], "layers": []}
    assert sorted(run("gc", "--images", "0")["images"]) == [PUBLISHED, OTHER]
