"""The workflows of this repository and those that `ingot init` writes: what actionlint says, and what must
hold for their rights.

Their commands are run by tests/e2e/test_workflows.py.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ingot.report.plan.comment import MARKER
from tests import ROOT
from tests.e2e.runner import UNPLANNED, Runner
from tests.forge.server import GitHub

FOR_USERS = ROOT / "ingot" / "templates" / "project" / "dot-github" / "workflows"
CI = ROOT / ".github" / "workflows" / "ci.yml"
DOCS = CI.with_name("docs.yml")
WORKFLOWS = [*sorted(FOR_USERS.glob("*.yml")), CI, DOCS]


def load(path):
    return YAML(typ="safe").load(path)


def jobs():
    return [(path.name, name, job) for path in WORKFLOWS for name, job in load(path)["jobs"].items()]


def steps():
    return [(f"{path}: {name}", step) for path, name, job in jobs() for step in job["steps"]]


def actionlint(*files):
    found = shutil.which("actionlint", path=f"{Path(sys.executable).parent}")
    assert found, "actionlint is missing; it is in the requirements of development: make setup"
    return subprocess.run([found, "-no-color", *files], capture_output=True, text=True, check=False)


def test_three_are_for_projects_and_two_are_for_this_repository():
    assert sorted(path.name for path in FOR_USERS.iterdir()) == [
        "deploy.yml",
        "nightly.yml",
        "pull-request.yml",
    ]
    assert set(CI.parent.iterdir()) == {CI, DOCS}


def test_the_site_that_is_published_is_the_one_that_was_built():
    build, publish = load(DOCS)["jobs"].values()
    assert [step["run"] for step in build["steps"] if "run" in step] == ["make docs"]
    assert "tools.site dist/site" in (ROOT / "Makefile").read_text()
    assert build["steps"][-1]["with"] == {"path": "dist/site"}
    assert publish["needs"] == "build"
    # What may publish runs no code of the repository.
    assert ["deploy-pages" in step["uses"] for step in publish["steps"]] == [True]


def test_ci_runs_all_tests_with_no_rights_but_to_read():
    [job] = load(CI)["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        "make setup-tests",
        "make runner",
        "make test",
    ]
    assert job["permissions"] == {"contents": "read"}


def test_actionlint_finds_nothing():
    done = actionlint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_would_find_something(tmp_path):
    text = (FOR_USERS / "pull-request.yml").read_text()
    broken = tmp_path / "broken.yml"
    broken.write_text(
        text.replace("needs: plan", "needs: plans").replace('"$NUMBER"', "${{ github.head_ref }}")
    )
    done = actionlint(broken)
    assert done.returncode == 1
    assert '"plans"' in done.stdout
    assert "untrusted" in done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_runs_a_forks_code_with_rights(path):
    triggers = load(path)["on"]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_given_job_by_job(path):
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert job["timeout-minutes"], name


def test_what_writes_and_what_takes_a_role():
    rights = {
        (path, name): {k for k, v in job["permissions"].items() if v == "write"} for path, name, job in jobs()
    }
    assert {at: given for at, given in rights.items() if given} == {
        ("pull-request.yml", "plan"): {"id-token"},
        ("pull-request.yml", "comment"): {"pull-requests"},
        ("deploy.yml", "deploy"): {"id-token"},
        ("nightly.yml", "upgrade"): {"contents", "pull-requests"},
        ("nightly.yml", "prune"): {"id-token"},
        ("docs.yml", "publish"): {"pages", "id-token"},
    }


def test_a_token_that_writes_never_sees_the_code_of_a_pull_request():
    [comment] = [job for path, name, job in jobs() if (path, name) == ("pull-request.yml", "comment")]
    checkout, *rest = comment["steps"]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    [download] = [step for step in rest if "download-artifact" in step.get("uses", "")]
    assert download["with"]["path"] == "artifact"


def test_a_push_that_cannot_be_planned_replaces_the_comment(serve):
    github = serve(GitHub())
    github.add(f"{MARKER}\nthe plan of the push before")
    runner = Runner(
        ROOT,
        {**os.environ, "GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "o/r", "PYTHONPATH": str(ROOT)},
        values={
            "github.token": "token",
            "github.event.pull_request.number": "7",
            "github.server_url": "https://github.example",
            "github.repository": "o/r",
            "github.run_id": "5",
        },
        conditions={
            "needs.plan.outputs.report != ''": lambda: False,
            "hashFiles('tools/runner') != ''": lambda: True,
            "needs.plan.outputs.report != '' && hashFiles('tools/runner') != ''": lambda: False,
            UNPLANNED: lambda: True,
        },
        actions={"actions/checkout": lambda _: None},
        # What runs is this repository's environment.
        skipped=("tools/runner python",),
    )
    runner.job(FOR_USERS / "pull-request.yml", "comment")
    [comment] = github.comments
    assert "this push could not be planned" in comment["body"]
    assert "(https://github.example/o/r/actions/runs/5)" in comment["body"]


def test_a_deployment_that_is_broken_off_cleans_up_after_it():
    """GitHub kills a cancelled step after ten seconds."""
    [job] = [job for path, name, job in jobs() if (path, name) == ("deploy.yml", "deploy")]
    commands = [step.get("run", "") for step in job["steps"]]
    at = commands.index(".venv/bin/ingot prune --interrupted --yes")
    assert "ingot deploy" in commands[at - 1]
    assert job["steps"][at]["if"] == ("(failure() || cancelled()) && steps.credentials.outcome == 'success'")


def test_a_push_without_a_plan_is_commented_and_a_broken_off_run_is_not():
    [comment] = [job for path, name, job in jobs() if (path, name) == ("pull-request.yml", "comment")]
    assert comment["needs"] == "plan"
    assert "!cancelled()" in comment["if"]
    assert "outputs" not in comment["if"]


def test_each_deployment_has_a_cache_of_its_own_and_the_newest_is_taken():
    keys = "ingot-store-${{ hashFiles('image_recipes/*/*.lock') }}-"
    given = [step["with"] for _, step in steps() if "actions/cache" in step.get("uses", "")]
    assert [cache["key"] for cache in given] == [f"{keys}${{{{ github.sha }}}}"] * 3
    assert [c["restore-keys"].split("\n")[:2] for c in given if "restore-keys" in c] == [
        [keys, "ingot-store-"]
    ] * 2


def test_what_resolves_or_bakes_has_what_a_hosted_runner_lacks():
    for path, name, job in jobs():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        if path in (CI.name, DOCS.name):
            assert ("make runner" in commands) is (path == CI.name), path
            continue
        light = name in ("comment", "prune")
        assert ("tools/runner python" if light else "tools/runner") in commands, f"{path}: {name}"


def test_credentials_are_left_out_for_forks():
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    of_it = {name: job for path, name, job in jobs() if path == "pull-request.yml"}
    steps_of_it = [step for job in of_it.values() for step in job["steps"]]
    [credentials] = [step for step in steps_of_it if "aws-actions" in step.get("uses", "")]
    assert own in credentials["if"]
    assert own in of_it["comment"]["if"]


def test_every_action_is_pinned_to_a_commit():
    used = [step["uses"] for _, step in steps() if "uses" in step]
    written = sum(path.read_text().count("uses: ") for path in WORKFLOWS)
    assert len(used) == written > 0
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
    assert [action for action in used if not pinned.fullmatch(action)] == []


def test_every_pin_says_its_version_and_one_action_has_one_pin():
    pins = {}
    for path in WORKFLOWS:
        for line in re.findall(r"uses: (.*)", path.read_text()):
            action, commit, version = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v[\d.]+)", line).groups()
            repository = "/".join(action.split("/")[:2])
            assert pins.setdefault(repository, (commit, version)) == (commit, version), repository


@pytest.mark.parametrize(("where", "step"), [(where, step) for where, step in steps() if "run" in step])
def test_every_command_is_one_that_other_systems_can_copy(where, step):
    for command in step["run"].split(" && "):
        of_project = (
            r'\.venv/bin/ingot [a-z]+|tools/runner|rm store\.tar\.zst|PATH="\$PWD/\.venv/bin:\$PATH" python'
        )
        assert re.match(rf"(make [a-z]+|{of_project})\b", command), f"{where}: {command}"
    # What GitHub would put in before the shell reads it could be a command of a stranger's.
    assert "${{" not in step["run"], where


@pytest.mark.parametrize("file", [ROOT / ".gitignore", FOR_USERS.parent.parent / "dot-gitignore"], ids=str)
def test_the_reports_of_a_run_are_no_uncommitted_files(file):
    ignored = file.read_text().splitlines()
    assert {"plan.json", "plan.html", "store.tar.zst"} <= set(ignored)


def test_what_is_pinned_moves_by_pull_request():
    for file in (ROOT / ".github" / "dependabot.yml", FOR_USERS.parent / "dependabot.yml"):
        kinds = {update["package-ecosystem"] for update in load(file)["updates"]}
        assert kinds == {"pip", "npm", "github-actions"}, file


def test_what_is_made_here_is_no_uncommitted_file_behind_a_link_either():
    # A pattern with a slash at its end matches directories alone, and each of these may be a link to one.
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".venv", "node_modules", "cdk.out"} <= set(ignored)
