"""`ingot comment` against a server on loopback that does what GitHub's API does with comments."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from ingot.cli.main import main
from ingot.report.comment import MARKER
from tests.review import plans

BOT = "github-actions[bot]"


class GitHub(ThreadingHTTPServer):
    """Comments of one pull request, and the requests that came."""

    def __init__(self, handler=None):
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.comments, self.requests, self.refuse = [], [], None

    def add(self, body, login=BOT):
        number = len(self.comments) + 1
        self.comments.append(
            {
                "id": number,
                "body": body,
                "user": {"login": login},
                "html_url": f"https://github.example/c/{number}",
            }
        )
        return self.comments[-1]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        size, page = int(query["per_page"][0]), int(query["page"][0])
        self.reply(200, self.server.comments[(page - 1) * size : page * size])

    def do_POST(self):
        self.reply(201, self.server.add(self.body()))

    def do_PATCH(self):
        number = int(self.path.rsplit("/", 1)[1])
        self.server.comments[number - 1]["body"] = self.body()
        self.reply(200, self.server.comments[number - 1])

    def content(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def body(self):
        return self.content()["body"]

    def reply(self, status, content):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        if self.server.refuse:
            status, content = self.server.refuse
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


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


def test_a_push_without_a_plan_replaces_the_comment_of_the_one_before(github, plan_file):
    comment(plan_file)
    assert comment("--failed", "--report", "https://github.example/runs/1") == 0
    [found] = github.comments
    assert found["body"].startswith(f"{MARKER}\n## Ingot plan: this push could not be planned\n")
    assert "[The run](https://github.example/runs/1) says why." in found["body"]
    comment(plan_file)
    assert "something changes" in github.comments[0]["body"]


@pytest.mark.parametrize(
    ("words", "found"),
    [(["plan.json", "--failed"], "plan.json and --failed"), (["--dry-run"], "neither a plan nor --failed")],
)
def test_a_plan_or_none(github, capfd, words, found):
    assert comment(*words) == 2
    assert f"found {found}; expected one of them" in capfd.readouterr().err


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
    assert "the repository 'no slash'; expected OWNER/NAME" in capfd.readouterr().err
    monkeypatch.delenv("GITHUB_TOKEN")
    assert comment(plan_file) == 2
    assert "GITHUB_TOKEN is missing; --dry-run does without it" in capfd.readouterr().err
    assert comment(plan_file, "--dry-run") == 0
    assert capfd.readouterr().out.startswith(MARKER)
    assert github.requests == []
