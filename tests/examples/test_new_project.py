"""From an empty directory to two clones that serve, with nothing but Ingot's wheels: docs/tutorial.md."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests import ROOT
from tests.e2e.site import fetch
from tests.outputs import document_of
from tests.repository.distributions import build, environment, outside
from tests.served import free_port

pytestmark = pytest.mark.slow


class Project:
    """A project, the environment that its commands run in, and its own data directory."""

    def __init__(self, directory: Path, home: Path) -> None:
        self.directory, self.home, self.url_port = directory, home, free_port()
        # npm and Node.js come last, from this environment: nobody installs them a second time for a test.
        path = f"{directory}/.venv/bin:{os.environ['PATH']}:{Path(sys.executable).parent}"
        self.environ = outside(
            PATH=path,
            HOME=str(home),
            INGOT_HOME=str(home),
            INGOT_CLOUD_PORT=str(free_port()),
            INGOT_URL_PORT=str(self.url_port),
            CDK_DISABLE_CLI_TELEMETRY="1",
        )

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.directory, env=self.environ, capture_output=True, text=True, timeout=1500
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done

    def in_cloud(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in a shell that uses the local cloud."""
        return self.run("bash", "-c", 'eval "$(ingot cloud env)" && exec "$@"', "-", *command, check=check)

    def variables(self) -> dict[str, str]:
        """What `ingot cloud env` exports."""
        exports = self.run("ingot", "cloud", "env").stdout.splitlines()
        words = [shlex.split(line)[1] for line in exports if line.startswith("export ")]
        return dict(word.split("=", maxsplit=1) for word in words)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """What `ingot init` has written, with a virtual environment beside it."""
    wheels = build(tmp_path_factory.mktemp("wheels"))
    project = Project(tmp_path_factory.mktemp("empty") / "my-images", tmp_path_factory.mktemp("home"))
    project.directory.mkdir()
    environment(project.directory / ".venv", *wheels.values())
    written = project.run("ingot", "init").stdout.split()
    assert {"app.py", "cdk.json", "image_recipes/web/recipe.yaml"} <= set(written)
    files = tutorial_files()
    assert set(files) == {
        "image_recipes/web/app/index.html",
        "image_recipes/web/files/nginx.conf",
        "image_recipes/web/recipe.yaml",
    }
    for path, text in files.items():
        (project.directory / path).write_text(text)
    return project


def tutorial_files() -> dict[str, str]:
    """The files that the tutorial has its reader write: the first line of each is a comment with its path."""
    page = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"^```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    named = [(re.match(r"(?:#|<!--) (image_recipes/\S+)", block), block) for block in blocks]
    return {path[1]: block for path, block in named if path}


def test_the_commands_of_the_tutorial_are_run_here_or_on_the_clones_of_another_test():
    page = (ROOT / "docs" / "tutorial.md").read_text()
    shown = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    sources = "".join(file.read_text() for file in (Path(__file__), ROOT / "tests/e2e/test_pipeline.py"))
    commands = re.findall(r"^ingot (.+)$", shown, re.MULTILINE)
    assert commands[:4] == ["init", "lock web", "check", "up"]
    for command in commands:
        assert ", ".join(f'"{word}"' for word in command.split()) in sources, command


@pytest.fixture(scope="module")
def up(project):
    """What `ingot up` printed; the local cloud ends with the tests."""
    project.run("ingot", "lock", "web")
    assert project.run("ingot", "check").stdout == "web: ok\n"
    (project.directory / "image_recipes/web/recipe.lock").unlink()  # `ingot up` locks what has no lock
    try:
        yield project.run("ingot", "up")
    finally:
        project.run("ingot", "down")


def test_one_command_leads_to_clones_that_serve_the_page(project, up):
    assert up.stdout.startswith(f"http://localhost:{project.url_port}\n")
    digest = project.run("ingot", "digest", "web").stdout.strip()
    assert f"web {digest[:12]}: 2 clones" in up.stdout
    status, page = fetch(f"http://localhost:{project.url_port}/")
    assert status == 200
    assert b"<h1>Hello from nginx</h1>" in page


def test_what_it_prints_fits_on_a_screen_or_two(up):
    lines = up.stderr.splitlines()
    # A line every quarter of a minute tells that a machine still boots: how many depends on this machine.
    beats = [line for line in lines if ": running for " in line or "  waiting for the fleet" in line]
    assert len(lines) - len(beats) < 80, up.stderr
    assert [line for line in lines if "  Web: 33 resources, created in " in line]


def test_it_ends_with_where_the_time_went(up):
    table = up.stderr.partition("Where the time went:\n")[2].partition("\n\n")[0].splitlines()
    phases = [line.split("%  ")[-1].strip() for line in table[:-1]]
    whole = phases.pop(3)
    assert phases == [
        "synthesize the stacks",
        "deploy Images",
        "bake, publish and test web",
        "wait until the fleets are steady",
    ]
    assert sorted(whole.removeprefix("deploy ").split(", ")) == ["Images", "Web"]
    assert table[-1].endswith("in all")


def test_one_can_look_at_clones_from_outside(project, up):
    fleet = document_of("status", project.in_cloud("ingot", "status", "--json").stdout)
    clone, digest = fleet["clones"][0]["instance_id"], fleet["digest"]
    assert digest in project.in_cloud("ingot", "console", clone).stdout
    logs = project.in_cloud("ingot", "logs", clone, "--lines", "5")
    assert logs.stderr == "the local cloud has no Session Manager: this is the clone's console\n"
    assert 0 < len(logs.stdout.splitlines()) <= 5
    refused = project.in_cloud("ingot", "shell", clone, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(
        "error: the local cloud has no Session Manager\n  hint: `ingot shell NAME`"
    )


def test_one_screen_shows_what_is_wanted_and_what_runs(project, up):
    digest = project.run("ingot", "digest", "web").stdout.strip()[:12]
    watch = project.in_cloud("timeout", "--signal=INT", "20", "ingot", "status", "--watch", check=False)
    shown = watch.stdout.partition("Ctrl-C ends it")[0]
    assert re.search(rf"wanted +{digest} *\n", shown), watch.stdout + watch.stderr
    assert re.search(rf"deployed +{digest} *\n", shown)
    assert re.search(rf"running +{digest}  on 2 clones *\n", shown)
    assert re.search(r"\d+ alarms, none firing", shown)


def test_the_recipe_was_locked_and_the_lock_is_kept(project, up):
    lock = json.loads((project.directory / "image_recipes/web/recipe.lock").read_text())
    assert "nginx-light" in {package["name"] for package in lock["packages"]}
    assert project.run("ingot", "check").stdout == "web: ok\n"


def test_a_second_time_it_has_nothing_to_do(project, up):
    again = project.run("ingot", "up")
    assert "no changes: all stacks are up to date" in again.stderr
    assert again.stdout == up.stdout


def test_the_projects_own_tests_pass(project, up):
    assert "3 passed" in project.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider").stdout


def test_nothing_of_this_repository_was_needed(project, up):
    found = project.run(
        "python", "-c", "import ingot, localcloud; print(ingot.__file__, localcloud.__file__)"
    )
    assert str(ROOT) not in found.stdout


def test_an_image_comes_back_from_an_archive_as_another_ami(project, up):
    """Archived in a bucket, lost in the account, restored: the blocks of the new snapshot are the same."""
    bucket = "cdk-hnb659fds-assets-123456789012-us-east-1"  # encrypted, and closed to the public
    url = f"s3://{bucket}/golden"
    digest = project.in_cloud("ingot", "archive", "web", url).stdout.strip()
    again = document_of("archive put", project.in_cloud("ingot", "archive", "web", url, "--json").stdout)
    assert (again["sent"], again["digest"]) == (0, digest)
    assert project.in_cloud("ingot", "archive", "ls", url).stdout.startswith(f"{digest}  web  ")

    before = json.loads(project.in_cloud("ingot", "status", "--json").stdout)
    shutil.rmtree(project.home / "store" / "images" / digest)
    shell = project.variables()
    session = boto3.Session(
        shell["AWS_ACCESS_KEY_ID"], shell["AWS_SECRET_ACCESS_KEY"], region_name=shell["AWS_REGION"]
    )
    ec2, ssm = (session.client(name, endpoint_url=shell["AWS_ENDPOINT_URL"]) for name in ("ec2", "ssm"))
    lost = ssm.get_parameter(Name=f"/ingot/web/{digest}")["Parameter"]["Value"]
    ssm.delete_parameter(Name=f"/ingot/web/{digest}")
    ec2.deregister_image(ImageId=lost)

    restored = document_of("restore", project.in_cloud("ingot", "restore", url, "web", "--json").stdout)
    assert restored["digest"] == digest
    assert restored["ami"] != lost
    assert ssm.get_parameter(Name=f"/ingot/web/{digest}")["Parameter"]["Value"] == restored["ami"]
    [image] = ec2.describe_images(ImageIds=[restored["ami"]])["Images"]
    assert {"Key": "ingot:archive", "Value": url} in image["Tags"]
    assert "bit for bit the baked disk" in project.in_cloud("ingot", "verify", "image", "web").stdout
    assert project.in_cloud("ingot", "archive", "gc", url).stdout == "0 blocks removed, 0 bytes\n"
    after = json.loads(project.in_cloud("ingot", "status", "--json", check=False).stdout)
    assert [clone["host"] for clone in after["clones"]] == [clone["host"] for clone in before["clones"]]
