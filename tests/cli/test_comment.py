"""`ingot comment` against a server on loopback that does what GitHub's API does with comments."""

import json

import pytest

from ingot.cli.main import main
from ingot.report.plan.comment import MARKER
from tests.forge.server import GitHub
from tests.outputs import document_of
from tests.plan import plans


@pytest.fixture
def github(monkeypatch, serve):
    server = serve(GitHub())
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    monkeypatch.setenv("GITHUB_TOKEN", "secret-token")
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    return server


@pytest.fixture
def plan_file(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plans.plan()))
    return path


def comment(path, *arguments):
    try:
        main(["comment", str(path), "--pull-request", "7", *arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_first_comment_is_made_and_the_next_plan_replaces_it(github, plan_file, capsys):
    github.add("hello", login="someone")
    assert comment(plan_file) == 0
    assert capsys.readouterr().out == "https://github.example/c/2\n"
    plan_file.write_text(json.dumps(plans.plan(verdict="nothing")))
    assert comment(plan_file) == 0
    assert [c["body"].splitlines()[0] for c in github.comments] == ["hello", MARKER]
    assert "nothing changes" in github.comments[1]["body"]
    method, path, headers = github.requests[1]
    assert (method, path) == ("POST", "/repos/o/r/issues/7/comments")
    assert headers["Authorization"] == "Bearer secret-token"


def test_json_has_the_comment_and_its_url(github, plan_file, capsys):
    assert comment(plan_file, "--json", "--dry-run") == 0
    without = document_of("comment", capsys.readouterr().out)
    assert comment(plan_file, "--json") == 0
    sent = document_of("comment", capsys.readouterr().out)
    assert (without["url"], sent["url"]) == (None, "https://github.example/c/1")
    assert without["body"] == sent["body"] == github.comments[0]["body"]


def test_a_push_without_a_plan_replaces_the_comment_of_the_one_before(github, plan_file):
    comment(plan_file)
    assert comment("--failed", "--report", "https://github.example/runs/1") == 0
    [found] = github.comments
    assert found["body"].startswith(f"{MARKER}\n## Ingot plan: this push could not be planned\n")
    assert "[The run](https://github.example/runs/1) says why." in found["body"]
    comment(plan_file)
    assert "something changes" in github.comments[0]["body"]


@pytest.mark.parametrize("words", [["plan.json", "--failed"], ["--dry-run"]])
def test_a_plan_or_none(github, capfd, words):
    assert comment(*words) == 2
    assert (
        "give either a plan or --failed\n  hint: make a plan with: ingot plan --json"
        in capfd.readouterr().err
    )


def test_a_plan_that_says_the_same_sends_nothing(github, plan_file):
    comment(plan_file)
    comment(plan_file)
    assert [method for method, _, _ in github.requests] == ["GET", "POST", "GET"]


def test_anothers_comment_with_the_marker_stays(github, plan_file):
    github.add(f"{MARKER}\nmine", login="mallory")
    github.add(f"as it says:\n{MARKER}")
    comment(plan_file)
    assert github.comments[0]["body"] == f"{MARKER}\nmine"
    assert len(github.comments) == 3


def test_the_comment_is_found_behind_many_others(github, plan_file):
    for number in range(230):
        github.add(f"comment {number}", login="someone")
    comment(plan_file)
    plan_file.write_text(json.dumps(plans.plan(verdict="nothing")))
    comment(plan_file)
    assert len(github.comments) == 231


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [
        (403, "Resource not accessible by integration", "a pull request from a fork never has it"),
        (401, "Bad credentials", "GITHUB_TOKEN is no valid token"),
        (404, "Not Found", "is the repository's name right"),
        (422, "Validation Failed", ""),
    ],
)
def test_what_github_refuses_is_told(github, plan_file, capfd, status, said, hint):
    github.refuse = (status, {"message": said})
    assert comment(plan_file) == 1
    error = capfd.readouterr().err
    assert f"GitHub answers {status} to GET issues/7/comments of o/r: {said}" in error
    assert hint in error
    assert "secret-token" not in error


def test_a_server_that_does_not_answer(plan_file, monkeypatch, github, capfd):
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1")
    assert comment(plan_file) == 1
    assert "http://127.0.0.1:1 does not answer" in capfd.readouterr().err


def test_what_is_missing_is_named(github, plan_file, monkeypatch, capfd):
    assert comment(plan_file, "--repository", "no slash") == 2
    assert "'no slash' is not the name of a repository" in capfd.readouterr().err
    monkeypatch.delenv("GITHUB_TOKEN")
    assert comment(plan_file) == 2
    assert "GITHUB_TOKEN is missing\n  hint: `--dry-run` works without it" in capfd.readouterr().err
    assert comment(plan_file, "--dry-run") == 0
    assert capfd.readouterr().out.startswith(MARKER)
    assert github.requests == []
