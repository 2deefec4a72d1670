"""`ingot prune` as it is called."""

import pytest
from typer.testing import CliRunner

from ingot import paths
from ingot.aws.publish.cleanup.journal import PublishTarget, open_journal
from ingot.cli.prune import app
from ingot.errors import InputError
from tests.aws.conftest import KEYS
from tests.aws.prune.account import Account
from tests.aws.support import holdings
from tests.outputs import document_of


@pytest.fixture
def run(proxy, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return lambda *arguments: CliRunner().invoke(app, ["--min-age", "0", "--keep", "1", *arguments])


@pytest.fixture
def amis(direct):
    account = Account(direct)
    return account.image(), account.image()


def test_by_itself_it_only_says_what_would_go(run, amis, direct):
    before = holdings(direct)
    result = run()
    assert result.exit_code == 0
    first, second, end = result.stdout.splitlines()
    assert first.startswith(f"remove  {amis[0]}  web")
    assert second.startswith(f"keep    {amis[1]}  web")
    assert second.endswith("one of the newest 1 of web")
    assert end == "nothing was changed: --yes removes what says remove"
    assert holdings(direct) == before


def test_yes_does_it(run, amis, direct):
    result = run("--yes")
    assert (result.exit_code, result.stdout) == (
        0, "removed 1 images, 1 snapshots, 0 launch template versions\n")  # fmt: skip
    assert holdings(direct)["images"] == [amis[1]]
    assert run().stdout.endswith("nothing to remove\n")


@pytest.fixture
def killed(tmp_path, direct, monkeypatch):
    """A publish from this machine that was killed when it had started its snapshot."""
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    account = direct.sts.get_caller_identity()["Account"]
    target = PublishTarget(account, "us-east-1", "web", "0" * 64)
    tags = {"ingot:recipe": "web", "ingot:publish-id": "p1", "ingot:state": "in-progress"}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    snapshot = direct.ebs.start_snapshot(VolumeSize=1, Tags=listed)["SnapshotId"]
    with open_journal(paths.store() / "records" / "publishing", target) as journal:
        journal.begin("p1")
        journal.record("snapshot", snapshot)
    return snapshot


def test_what_a_killed_publish_left_is_named_and_with_yes_removed(run, amis, killed, direct):
    before = holdings(direct)
    result = run("--interrupted")
    assert result.stdout == (f"remove  snapshot {killed}\nnothing was changed: --yes removes it\n")
    assert holdings(direct) == before
    assert document_of("prune", run("--interrupted", "--json").stdout) == {"remove": [["snapshot", killed]]}
    assert run("--interrupted", "--yes").stdout == f"removed  snapshot {killed}\n"
    assert holdings(direct)["images"] == before["images"]
    assert killed not in holdings(direct)["snapshots"]
    assert run("--interrupted", "--yes").stdout == "nothing was left behind\n"


def test_a_publish_that_still_runs_is_left_alone(run, killed, direct):
    account = direct.sts.get_caller_identity()["Account"]
    target = PublishTarget(account, "us-east-1", "web", "0" * 64)
    with open_journal(paths.store() / "records" / "publishing", target):
        assert run("--interrupted", "--yes").stdout == "nothing was left behind\n"
    assert killed in holdings(direct)["snapshots"]


def test_interrupted_publishes_are_all_or_none(run):
    result = run("--interrupted", "web")
    assert isinstance(result.exception, InputError)
    assert "--interrupted looks at all recipes" in str(result.exception)


def test_json_for_scripts(run, amis):
    plan = document_of("prune", run("--json").stdout)
    assert [image["ami"] for image in plan["remove"]] == [amis[0]]
    assert [image["reasons"] for image in plan["keep"]] == [["one of the newest 1 of web"]]
    done = document_of("prune", run("--json", "--yes").stdout)
    assert (done["removed"]["images"], done["stayed"]) == ([amis[0]], [])


def test_what_stays_is_told_and_the_exit_code_is_1(run, amis, proxy):
    proxy.fail("DeregisterImage", code="UnauthorizedOperation", status=403)
    result = run("--yes")
    assert result.exit_code == 1
    assert f"error: {amis[0]} stays: DeregisterImage was refused" in result.stderr


def test_a_name_that_is_no_recipes_is_bad_input(run, amis, tmp_path, monkeypatch, direct):
    """A recipe that the project deleted stays prunable; so does one that has no image yet."""
    before = holdings(direct)
    monkeypatch.chdir(tmp_path)
    result = run("wbe", "--yes")
    assert isinstance(result.exception, InputError)
    assert (
        str(result.exception)
        == "no recipe 'wbe' in image_recipes, and no image of one in us-east-1; there is: web\n  hint: did"
        " you mean web?"
    )
    assert holdings(direct) == before
    assert run("web/").stdout.startswith(f"remove  {amis[0]}  web")
    (tmp_path / "image_recipes" / "new").mkdir(parents=True)
    (tmp_path / "image_recipes" / "new" / "recipe.yaml").touch()
    assert (run("new").exit_code, run("new").stdout) == (0, "nothing to remove\n")


def test_at_least_one_image_of_a_recipe_stays(run):
    result = run("--keep", "0")
    assert result.exit_code == 2
