"""The commands of the workflows that `ingot init` writes, in order, in a project that has nothing but Ingot's
wheels, on real commits, against the local cloud and a GitHub on loopback.

A pull request is checked, planned, baked, booted and commented; it is merged and deployed; at night packages
are upgraded and old images removed. What one test needs of another's story is a fixture, so that each runs
alone and in any order.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.runner import OF_THIS_REPOSITORY, UNPLANNED, Runner
from tests.e2e.site import Site, fetch
from tests.forge.server import GitHub, Pulls
from tests.repository.distributions import build, environment, outside
from tests.served import serving

pytestmark = pytest.mark.slow

PAGE = "image_recipes/web/app/index.html"
LOCK = "image_recipes/web/recipe.lock"


class Checkout(Site):
    """A clone of a project of one's own on a runner, `origin` beside it."""

    begin = ""
    """The first commit: what each story is made from."""

    def environment(self) -> dict[str, str]:
        """That of a shell that knows nothing of this repository; npm and Node.js come last, from here."""
        env = outside(**super().environment())
        return env | {"PATH": f"{env['PATH']}:{Path(sys.executable).parent}"}

    def prepare(self, origin: Path, wheels: list[Path]) -> None:
        environment(self.directory / ".venv", *wheels)
        self.run("ingot", "init")
        # A fleet of several clones is what other stories begin with: here each would only be emulated.
        self.edit("environments.yaml", "min_clones: 2", "min_clones: 1")
        self.run("ingot", "lock", "web")
        self.run("npm", "install", "--loglevel=error")  # as `ingot up` does: it writes package-lock.json
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "Someone")
        self.git("config", "user.email", "someone@example.com")
        self.commit("Begin")
        subprocess.run(["git", "init", "--quiet", "--bare", origin], check=True)
        self.git("remote", "add", "origin", str(origin))
        self.git("push", "--quiet", "origin", "main")

    def workflow(self, name: str) -> Path:
        return self.directory / ".github" / "workflows" / f"{name}.yml"

    def git(self, *words: str) -> str:
        return self.run("git", *words).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.directory / name).read_text()
        assert old in text
        (self.directory / name).write_text(text.replace(old, new, 1))

    def cloud(self) -> dict[str, str]:
        """Return the environment of a shell that uses the local cloud.

        On GitHub, a role's credentials are in its place.
        """
        shown = self.run("bash", "-c", 'eval "$(ingot cloud env)" && env -0').stdout
        return dict(entry.split("=", 1) for entry in shown.split("\0") if entry)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("workflows")
    place = Checkout(directory / "checkout", directory / "home")
    place.home.mkdir()
    place.directory.mkdir()
    packages = os.environ.get("INGOT_TEST_PACKAGES")
    if packages:
        (place.home / "store").mkdir()
        (place.home / "store" / "packages").symlink_to(packages)
    place.prepare(directory / "origin.git", [*build(directory / "wheels").values()])
    place.begin = place.git("rev-parse", "HEAD")
    yield place
    place.run("ingot", "cloud", "down", check=False)


@pytest.fixture
def served():
    """Return a function that lets a GitHub of a kind answer on loopback until the test ends."""
    with serving() as start:

        def github(handler=None):
            server = GitHub(handler)
            start(server)
            return server

        yield github


def runner(site: Site, environment: dict[str, str], **more: str) -> Runner:
    """Return a runner in the site's checkout, with the conditions of a pull request of
    the repository's own and an empty cache.
    """
    directory = site.directory
    github = {"GITHUB_BASE_REF": "main", "GITHUB_REPOSITORY": "o/r", "no_proxy": "127.0.0.1,localhost"}

    def download(given):
        (directory / given["path"]).mkdir()
        shutil.copy(directory / "plan.json", directory / given["path"])

    return Runner(
        directory,
        {**environment, **github, "GITHUB_STEP_SUMMARY": str(site.home / "summary.md"), **more},
        values={
            "vars.INGOT_ENVIRONMENT": "",
            "github.token": "token",
            "secrets.INGOT_UPGRADE_TOKEN || github.token": "token",
            "github.event.pull_request.number": "7",
            "needs.plan.outputs.report": "https://github.example/artifacts/1",
        },
        conditions={
            "steps.cache.outputs.cache-matched-key != ''": lambda: False,
            "steps.cache.outputs.cache-hit != 'true'": lambda: True,
            "(failure() || cancelled()) && steps.credentials.outcome == 'success'": lambda: False,
            "always() && hashFiles('plan.json') != ''": (directory / "plan.json").is_file,
            "hashFiles('tools/runner') != ''": (directory / "tools/runner").is_file,
            "needs.plan.outputs.report != ''": lambda: True,
            "needs.plan.outputs.report != '' && hashFiles('tools/runner') != ''": lambda: True,
            UNPLANNED: lambda: False,
            # The role is the local cloud's environment, which a job has from its beginning or not at all.
            OF_THIS_REPOSITORY: lambda: False,
        },
        actions={
            "actions/checkout": lambda _: None,
            "actions/cache/restore": lambda _: None,
            "actions/cache/save": lambda given: (directory / given["path"]).stat(),
            "actions/upload-artifact": lambda given: [
                (directory / name).stat() for name in given["path"].split()
            ],
            "actions/download-artifact": download,
            "aws-actions/configure-aws-credentials": lambda _: None,
        },
    )


@pytest.fixture(scope="module")
def planned(site):
    """A pull request from the branch `topic`, planned: the plan, its report and the job's summary."""
    site.git("checkout", "--quiet", "-b", "topic", site.begin)
    site.edit(PAGE, "<h1>", "<h1>Hello from a pull request: ")
    site.commit("Greet")
    jobs = runner(site, site.environment())
    jobs.job(site.workflow("pull-request"), "check")
    jobs.job(site.workflow("pull-request"), "plan")
    plan = (site.directory / "plan.json").read_text()
    summary = (site.home / "summary.md").read_text()
    return json.loads(plan), (site.directory / "plan.html").read_text(), summary


@pytest.fixture(scope="module")
def deployed(site, planned):
    """The pull request, merged and deployed: the commands that ran."""
    site.git("checkout", "--quiet", "main")
    site.git("merge", "--quiet", "--no-ff", "--message", "Merge", "topic")
    site.git("push", "--quiet", "origin", "main")
    site.run("ingot", "cloud", "up")
    site.in_cloud("ingot", "deploy", "--bootstrap-only")
    jobs = runner(site, site.cloud())
    jobs.job(site.workflow("deploy"), "deploy")
    return jobs.ran


def test_a_pull_request_is_planned_baked_and_booted(planned):
    plan, report, summary = planned
    assert plan["verdict"] == "something"
    assert plan["head"]["dirty"] == []
    [recipe], [image] = plan["recipes"], plan["images"]
    assert (recipe["name"], image["recipe"], image["state"]) == ("web", "web", "stored")
    [reason] = recipe["reasons"]
    assert reason == {"place": PAGE, "what": "/srv/web/index.html: another content"}
    diff = image["diff"]
    assert [file["path"] for file in diff["files"] if file["origin"] == "recipe"] == ["/srv/web/index.html"]
    assert diff["packages"] == []
    [boot] = plan["boots"]
    assert boot["tests"]
    assert all(test["ok"] for test in boot["tests"])
    assert any("Linux version" in line for _, line in boot["lines"])
    assert {rollout["environment"] for rollout in plan["rollouts"]} == {None, "prod"}
    assert "something changes" in summary
    assert "Hello from a pull request" in report


def test_the_plan_is_one_comment(site, planned, served):
    github = served()
    jobs = runner(site, site.environment(), GITHUB_API_URL=github.url)
    jobs.job(site.workflow("pull-request"), "comment")
    [comment] = github.comments
    assert "booted, " in comment["body"]
    assert "(https://github.example/artifacts/1)" in comment["body"]
    assert "+<h1>Hello from a pull request: " in comment["body"]
    shutil.rmtree(site.directory / "artifact")


def test_a_merge_is_deployed(site, deployed):
    assert any("ingot deploy --verify" in command for command in deployed)
    status = site.status()
    code, body = fetch(status["url"])
    assert code == 200
    assert b"Hello from a pull request" in body
    assert (site.directory / "store.tar.zst").stat().st_size > 50 << 20
    (site.directory / "store.tar.zst").unlink()


def test_at_night_nothing_is_removed_that_is_in_use_or_young(site, deployed):
    jobs = runner(site, site.cloud())
    jobs.job(site.workflow("nightly"), "prune")
    assert jobs.ran[-1].startswith(".venv/bin/ingot prune ")
    assert len(site.status()["clones"]) == 1
    [kept] = json.loads(site.in_cloud("ingot", "prune", "--json").stdout)["keep"]
    assert kept["recipe"] == "web"


def test_what_is_deployed_is_what_a_plan_compares_with(site, deployed):
    site.git("checkout", "--quiet", "main")
    plan = json.loads(site.in_cloud("ingot", "plan", "--deployed", "--json").stdout)
    assert plan["against"] == "deployed"
    assert plan["verdict"] == "nothing"
    assert {image["recipe"]: image["state"] for image in plan["images"]}["web"] == "published"
    site.edit("environments.yaml", "max_clones: 4", "max_clones: 3")
    plan = json.loads(site.in_cloud("ingot", "plan", "--deployed", "--json").stdout)
    [stack] = [stack for stack in plan["stacks"] if stack["change"] == "changed"]
    assert [part["name"] for resource in stack["resources"] for part in resource["properties"]] == ["MaxSize"]
    site.git("checkout", "--quiet", "--", "environments.yaml")


@pytest.fixture
def old_lock(site):
    """The web recipe's lock on main with a version of libssl3 that is long gone, until the test ends."""
    site.git("checkout", "--quiet", "main")
    before = site.git("rev-parse", "HEAD")
    lock = site.directory / LOCK
    line = next(line for line in lock.read_text().splitlines() if '"name": "libssl3"' in line)
    entry = json.loads(line.strip().rstrip(","))
    site.edit(LOCK, f'"version": "{entry["version"]}"', '"version": "1.0-0old"')
    site.commit("An old lock")
    yield
    site.git("checkout", "--quiet", "--force", "main")
    site.git("reset", "--quiet", "--hard", before)


def test_newer_packages_are_one_pull_request(site, old_lock, served):
    github = served(Pulls)
    jobs = runner(site, site.environment(), GITHUB_API_URL=github.url)
    for _ in range(2):  # the second night refreshes what the first one opened
        jobs.job(site.workflow("nightly"), "upgrade")
    [pull] = github.comments
    assert (pull["head"], pull["base"]) == ("ingot/lock-web", "main")
    assert "1.0-0old -> " in pull["body"]
    changed = site.git("diff", "--name-only", "main", "origin/main").splitlines()
    assert changed == [LOCK]
    assert site.git("ls-remote", "origin", "refs/heads/ingot/lock-web")
    assert site.git("status", "--porcelain") == ""
