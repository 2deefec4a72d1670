"""Proposals of newer packages: a real repository with a real remote, and GitHub's API on loopback."""

import subprocess

import pytest

from ingot.errors import IngotError
from ingot.forge.github import GitHub
from ingot.forge.upgrade import LockUpgrade, TakenOver, propose, push
from tests.forge.server import GitHub as Server
from tests.forge.server import Pulls


@pytest.fixture
def server(monkeypatch, serve):
    return serve(Server(Pulls))


@pytest.fixture
def remote(project, tmp_path):
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", path], check=True)
    project.git("remote", "add", "origin", str(path))
    project.git("push", "--quiet", "origin", "main")
    return path


def upgrade(project, text="new\n", moved=("  openssl 3.0-1 -> 3.0-2",)):
    return LockUpgrade("web", {project.recipe / "recipe.lock": text}, tuple(moved))


def seen(remote, *words):
    done = subprocess.run(["git", "-C", remote, *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_lock_alone_is_committed_on_the_base_and_the_tree_stays(project, remote):
    base = project.git("rev-parse", "HEAD")
    project.write("settings.json", "{}")  # uncommitted, and not proposed
    status = project.git("status", "--porcelain")
    assert push(upgrade(project), base)
    assert seen(remote, "diff", "--name-only", "main", "ingot/lock-web") == "image_recipes/web/recipe.lock\n"
    assert seen(remote, "show", "ingot/lock-web:image_recipes/web/recipe.lock") == "new\n"
    assert (
        seen(remote, "log", "-1", "--format=%P %s", "ingot/lock-web") == f"{base} Upgrade 1 package of web\n"
    )
    assert project.git("status", "--porcelain") == status
    assert project.git("branch", "--list").split() == ["*", "main"]
    assert not list((project.path / ".git").glob("*.index"))


def test_the_same_proposal_is_pushed_once_and_a_newer_one_replaces_it(project, remote):
    base = project.git("rev-parse", "HEAD")
    assert push(upgrade(project), base)
    assert not push(upgrade(project), base)
    assert push(upgrade(project, "newer\n"), base)
    assert seen(remote, "rev-list", "--count", "main..ingot/lock-web") == "1\n"


def test_a_base_that_moved_is_a_new_proposal(project, remote):
    push(upgrade(project), project.git("rev-parse", "HEAD"))
    project.write("other", "x")
    assert push(upgrade(project), project.commit("Other"))
    assert seen(remote, "show", "ingot/lock-web:other") == "x"


@pytest.mark.parametrize("words", [[], ["--amend"], ["merge"]], ids=["on top", "amended", "merged"])
def test_anothers_commit_on_the_branch_is_not_replaced(project, remote, words):
    base = project.git("rev-parse", "HEAD")
    push(upgrade(project), base)
    project.git("fetch", "--quiet", "origin", "ingot/lock-web")
    project.git("checkout", "--quiet", "-b", "fix", "FETCH_HEAD")
    project.write("fix", "by hand")
    project.git("add", "fix")
    if words == ["merge"]:
        project.git("checkout", "--quiet", "-b", "other", base)
        project.commit("Other")
        project.git("checkout", "--quiet", "fix")
        project.git("merge", "--quiet", "--no-ff", "--message", "Merge", "other")
    else:
        project.git("commit", "--quiet", "--message", "Fix", *words)
    project.git("push", "--quiet", "--force", "origin", "HEAD:ingot/lock-web")
    with pytest.raises(TakenOver, match="which is not Ingot's: the branch stays as it is"):
        push(upgrade(project, "newer\n"), base)
    assert seen(remote, "show", "ingot/lock-web:fix") == "by hand"


def test_a_remote_that_refuses_is_told(project, remote):
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected branch >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(IngotError, match=r"git push failed: (.|\n)*protected branch"):
        push(upgrade(project), project.git("rev-parse", "HEAD"))


def test_one_pull_request_is_opened_and_refreshed(project, server):
    github = GitHub("o/r", "t", server.url)
    assert propose(upgrade(project), github, "main") == "https://g/1"
    propose(upgrade(project, moved=["+ a 1", "+ b 2"]), github, "main")
    [pull] = server.comments
    assert pull["title"] == "Upgrade 2 packages of web"
    assert pull["head"] == "ingot/lock-web"
    assert "+ b 2" in pull["body"]


def test_a_body_that_is_too_long_says_how_much_is_left():
    body = LockUpgrade("web", {}, [f"+ package-{number} 1.0" for number in range(10_000)]).body
    assert len(body) < 65_536
    assert "more, in the diff of the lock" in body


def test_names_of_packages_make_no_markup():
    body = LockUpgrade("web", {}, ["+ ``` @everyone 1", "+ </details><b> 1"]).body
    assert "````\n+ ``` @everyone 1\n" in body
