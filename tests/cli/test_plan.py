"""`ingot plan` in a real repository, with the real CDK CLI and an app that takes no time."""

import json
import os
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from ingot.cli.main import main
from ingot.plan.infrastructure.cdk import Cdk, environment
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests import ROOT
from tests.cli.test_deploy import publish_image
from tests.outputs import document_of

GROUP = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "x"}}
RULE = {
    "Type": "AWS::EC2::SecurityGroupIngress",
    "Properties": {
        "GroupId": "sg-1",
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "CidrIp": "0.0.0.0/0",
    },
}
BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "one"}}


@pytest.fixture(scope="module")
def syntheses(tmp_path_factory):
    """What plans keep of base revisions. The tests' projects begin with the same commit: it is synthesized
    once, as for a user who plans again.
    """
    return tmp_path_factory.mktemp("plan")


@pytest.fixture
def project(project, syntheses, tmp_path):
    """The project of each test, with the syntheses of them all."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "plan").symlink_to(syntheses)
    return project


def plan(*arguments):
    """Run the command; return its exit code."""
    try:
        main(["plan", *arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def planned(capsys, *arguments):
    assert plan("--json", *arguments) == 0
    return document_of("plan", capsys.readouterr().out)


def digest(project):
    return recipe_digest(load_recipe(project.recipe))


def test_nothing_changes(project, capsys):
    assert plan("--detailed-exitcode") == 0
    out = capsys.readouterr().out
    assert out.startswith("Nothing changes.\n")
    assert f"web: {digest(project):.12}, as before" in out
    assert "Fleet (aws://unknown-account/unknown-region): no change" in out


def test_another_digest_that_replaces_a_resource_is_no_noise(project, capsys):
    image = "{{resolve:ssm:/ingot/web/DIGEST}}"
    instance = {"Type": "AWS::EC2::Instance", "Properties": {"ImageId": image}}
    project.settings(resources={"One": instance})
    project.commit("An instance")
    project.write("image_recipes/web/app/index.html", "changed\n")
    found = planned(capsys)
    assert found["verdict"] == "dangerous"
    assert found["dangerous"] == ["Fleet: replaces One (AWS::EC2::Instance), because of ImageId"]
    [stack] = found["stacks"]
    # The launch template only gets another version: that stays folded.
    assert [resource["logical_id"] for resource in stack["resources"]] == ["One"]
    assert "AWS::EC2::Instance" in stack["cdk_diff"]
    assert "LaunchTemplate" not in stack["cdk_diff"]


def test_a_change_of_the_app_is_one_line_for_the_stack_and_a_rollout(project, capsys):
    before = digest(project)
    project.write("image_recipes/web/app/index.html", "changed\n")
    after = digest(project)
    assert plan("--detailed-exitcode") == 4
    out = capsys.readouterr().out
    assert out.startswith("Something changes.\n")
    assert "  uncommitted, and included: image_recipes/web/app/index.html\n" in out
    assert f"    image web: {before:.12} → {after:.12}\n" in out
    assert out.count(after[:12]) == 5  # the recipe, the image (twice), the stack, the rollout
    assert after not in out
    assert "1. instance refresh replaces 2 clones" in out
    assert "2. starts up to 1 at a time before old ones end: 2 to 3 run meanwhile" in out
    assert "an alarm stops it, and CloudFormation goes back: Errors" in out
    assert "`ingot plan --bake` bakes it and compares" in out
    assert "cdk diff" not in out  # nothing is left once the digests are folded


STAGE = """
stage = out / "assembly-Prod"
stage.mkdir(exist_ok=True)
(out / "Fleet.template.json").rename(stage / "Fleet.template.json")
stack["displayName"] = "Prod/Fleet"
stack["properties"]["stackName"] = "Prod-Fleet"
(stage / "manifest.json").write_text(json.dumps({"version": "36.0.0", "artifacts": {"ProdFleet": stack}}))
nested = {"type": "cdk:cloud-assembly",
    "properties": {"directoryName": "assembly-Prod", "displayName": "Prod"}}
manifest = {"version": "36.0.0", "artifacts": {"assembly-Prod": nested}}
(out / "manifest.json").write_text(json.dumps(manifest))
"""


def test_stacks_of_a_stage_are_planned(project, capsys):
    project.write("app.py", (project.path / "app.py").read_text() + STAGE)
    project.commit("A stage")
    project.write("image_recipes/web/app/index.html", "changed\n")
    project.settings(instance_type="m7i.large")
    [stack] = planned(capsys)["stacks"]
    assert (stack["name"], stack["change"]) == ("Prod-Fleet", "changed")
    assert [(folded["kind"], folded["name"]) for folded in stack["folded"]] == [("image", "web")]
    assert [resource["logical_id"] for resource in stack["resources"]] == ["Clone"]
    assert "t3.small" in stack["cdk_diff"]
    assert "m7i.large" in stack["cdk_diff"]


def test_a_recipe_that_no_stack_deploys_is_baked_by_no_deployment(project, capsys):
    shutil.copytree(project.recipe, project.recipe.parent / "api")
    recipe = project.recipe.parent / "api" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: web", "name: api"))
    project.write("image_recipes/web/app/index.html", "changed\n")
    assert plan() == 0
    out = capsys.readouterr().out
    assert f"{digest(project):.12}: is baked when it is deployed" in out
    assert f"api {recipe_digest(load_recipe(recipe.parent)):.12}: no stack deploys it\n" in out


def test_a_context_that_the_base_refuses_leaves_the_base_as_it_is_without(project, capsys):
    app = project.path / "app.py"
    refuse = (
        'if context.get("recipe") == "api" and not pathlib.Path("image_recipes/api").is_dir():\n    print("no'
        ' recipe api", file=sys.stderr)\n    sys.exit(2)\n'
    )
    app.write_text(app.read_text().replace('if settings.get("broken"', refuse + 'if settings.get("broken"'))
    project.commit("An app that knows its recipes")
    shutil.copytree(project.recipe, project.recipe.parent / "api")
    recipe = project.recipe.parent / "api" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: web", "name: api"))
    found = planned(capsys, "-c", "recipe=api", "-c", "instance_type=m7i.large")
    [note] = [note for note in found["notes"] if "--context" in note]
    assert note.startswith(
        "the base revision is taken without --context recipe=api instance_type=m7i.large, which it refuses: "
    )
    [stack] = found["stacks"]
    assert stack["change"] == "changed"


def test_without_the_option_the_exit_code_says_only_that_it_worked(project):
    project.settings(instance_type="m7i.large")
    assert plan() == 0


def test_replacements_deletions_and_open_ports_are_dangerous_and_first(project, capsys):
    project.settings(resources={"Bucket": BUCKET, "Old": GROUP})
    project.commit("Bucket")
    project.git("checkout", "--quiet", "-b", "topic")
    bucket = {**BUCKET, "Properties": {"BucketName": "two"}}
    project.settings(resources={"Bucket": bucket, "Rule": RULE}, instance_type="m7i.large")
    project.commit("Dangers")
    assert plan("--detailed-exitcode") == 5
    out = capsys.readouterr().out
    dangers = [line for line in out.splitlines() if line.startswith("  ! ")]
    assert dangers == [
        "  ! Fleet: deletes Old (AWS::EC2::SecurityGroup)",
        "  ! Fleet: replaces Bucket (AWS::S3::Bucket), because of BucketName",
        "  ! Fleet: opens sg-1 inwards: TCP 22, Everyone (IPv4)",
    ]
    words = [line.split()[1] for line in out.splitlines() if "(AWS::" in line and not line.startswith("  !")]
    assert words[:4] == ["deletes", "replaces", "changes", "creates"]
    assert "[~] AWS::S3::Bucket Bucket replace" in out  # the real `cdk diff`
    assert "the launch template: LaunchTemplateData" in out


def test_the_json_is_whole(project, capsys):
    project.settings(instance_type="m7i.large")
    found = planned(capsys)
    assert found["format"] == 1
    assert found["verdict"] == "something"
    assert found["head"]["dirty"] == ["settings.json"]
    [stack] = found["stacks"]
    [resource] = stack["resources"]
    [part] = resource["properties"]
    assert part["before"]["InstanceType"] == "t3.small"
    assert part["after"]["InstanceType"] == "m7i.large"


def test_context_reaches_both_sides(project, capsys):
    assert planned(capsys, "-c", "instance_type=m7i.large")["verdict"] == "nothing"


def test_a_base_without_ingot_has_nothing(project, capsys):
    project.git("checkout", "--quiet", "--orphan", "empty")
    project.git("rm", "--quiet", "-r", "--cached", ".")
    project.git("commit", "--quiet", "--allow-empty", "--message", "Empty")
    found = planned(capsys, "--base", "empty")
    assert found["notes"] == [
        "the base revision has no image_recipes: every recipe is new",
        "the base revision has no CDK app (no cdk.json): every stack is new",
    ]
    assert [recipe["change"] for recipe in found["recipes"]] == ["added"]
    assert [stack["change"] for stack in found["stacks"]] == ["new"]
    assert found["rollouts"][0]["steps"] == ["starts 2 clones"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("it fell over", "the base revision cannot be synthesized"),
        (2, "the base revision is refused by its own app"),
    ],
)
def test_a_base_that_cannot_be_synthesized_is_said_and_the_rest_is_planned(project, capsys, broken, said):
    project.settings(broken=broken)
    project.commit("Break the app")
    project.settings()
    found = planned(capsys)
    assert found["verdict"] == "something"
    assert any(note.startswith(said) for note in found["notes"])
    assert found["stacks"] == []
    assert found["recipes"][0]["change"] == "same"


class Refusing(BaseHTTPRequestHandler):
    """AWS, as it answers to credentials that are too old."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        data = json.dumps(
            {"__type": "ExpiredTokenException", "message": "The security token is expired"}
        ).encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_a_registry_that_refuses_was_not_asked(project, capsys, serve, monkeypatch):
    server = serve(ThreadingHTTPServer(("127.0.0.1", 0), Refusing))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "old")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    project.write("image_recipes/web/app/index.html", "changed\n")
    assert plan() == 0
    out = capsys.readouterr().out
    assert "is baked when it is deployed (no registry was asked)" in out
    assert out.count("Note: the registry was not asked: ") == 1
    assert "The security token is expired" in out


def test_an_entry_that_names_another_ami_is_refused(project, capfd, moto_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    project.write("image_recipes/web/app/index.html", "changed\n")
    ami_id = publish_image(digest(project))
    assert plan() == 0
    boto3.client("ec2").create_tags(Resources=[ami_id], Tags=[{"Key": "ingot:state", "Value": "untested"}])
    assert plan() == 1
    said = f"/ingot/web/{digest(project)} names {ami_id}, which is not the image of web"
    assert said in capfd.readouterr().err


def test_the_base_is_synthesized_once(project, capsys):
    syntheses = project.path.parent / "home" / "plan"
    syntheses.unlink()  # those of the other tests
    project.settings(instance_type="m7i.large")
    planned(capsys)
    [kept] = syntheses.iterdir()
    written = kept.stat().st_ino
    planned(capsys)
    assert [path.stat().st_ino for path in syntheses.iterdir()] == [written]


def test_a_recipe_that_the_stacks_lost(project, capsys):
    project.rename("web", "shop")
    assert plan() == 2  # the app still asks for web, and says so
    project.settings(recipe="shop")
    out = planned(capsys)
    [recipe] = out["recipes"]
    assert (recipe["name"], recipe["change"], recipe["was"]) == ("shop", "renamed", "web")


def test_each_environment_is_planned_and_what_is_the_same_is_shown_once(project, capsys):
    project.write("environments.yaml", "environments:\n  dev: {}\n  prod: {}\n")
    project.commit("Environments")
    project.settings(prod="m7i.large")
    found = planned(capsys, "--all-environments")
    assert [(stack["environment"], stack["change"]) for stack in found["stacks"]] == [
        (None, "same"),
        ("prod", "changed"),
    ]
    [rollout] = found["rollouts"]
    assert rollout["environment"] == "prod"
    assert [recipe["environment"] for recipe in found["recipes"]] == [None]


def test_an_environment_that_the_base_lacks_is_new(project, capsys):
    project.write("environments.yaml", "environments: {prod: {}}")
    found = planned(capsys, "--env", "prod")
    assert found["notes"] == ["the base revision has no environment prod: every stack of it is new"]
    assert [stack["change"] for stack in found["stacks"]] == ["new"]


def test_the_forms_and_files_of_a_plan(project, capsys, tmp_path):
    project.settings(instance_type="m7i.large")
    assert (
        plan("--markdown", "--save", str(tmp_path / "plan.json"), "--html", str(tmp_path / "plan.html")) == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("<!-- ingot-plan -->\n## Ingot plan: something changes")
    assert json.loads((tmp_path / "plan.json").read_text())["boots"] == []
    assert "m7i.large" in (tmp_path / "plan.html").read_text()


def test_ignored_files_are_alike_on_both_sides(project, capsys):
    project.write(".gitignore", "vendor/\n__pycache__/\n")
    project.commit("Ignore what is vendored")
    project.write("image_recipes/web/app/vendor/flask/app.py", "x = 1\n")
    project.write("image_recipes/web/app/vendor/flask/views.py", "x = 1\n")
    project.write("image_recipes/web/app/__pycache__/x.pyc", "x")
    result = planned(capsys)
    assert [recipe["change"] for recipe in result["recipes"]] == ["same"]
    [note] = [note for note in result["notes"] if "git ignores" in note]
    assert note == (
        "git ignores image_recipes/web/app/vendor/flask/app.py and 1 other file: "
        "both revisions are planned with them as they are here"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "prd"], "there is no environment 'prd' in environments.yaml; there is: none"),
        (["--json", "--markdown"], "--json and --markdown exclude each other"),
        (["--base", "nope"], "there is no revision 'nope' in this repository"),
        (["-c", "colour"], "--context colour has no value"),
        (["--deployed"], "--deployed needs AWS credentials, and there are none"),
    ],
)
def test_bad_arguments(project, capfd, arguments, message):
    assert plan(*arguments) == 2
    assert message in capfd.readouterr().err


def test_a_tree_with_a_mistake_is_bad_input(project, capfd):
    project.replace("image_recipes/web/recipe.yaml", "size: 2GiB", "size: much")
    assert plan() == 2
    assert "image_recipes/web/recipe.yaml:3:" in capfd.readouterr().err


def test_without_a_cdk_app_or_a_repository(project, tmp_path, monkeypatch, capfd):
    (project.path / "cdk.json").unlink()
    assert plan() == 2
    assert "the plan needs the CDK app" in capfd.readouterr().err
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cdk.json").write_text("{}")
    assert plan() == 2
    assert "is not in a git repository" in capfd.readouterr().err


def test_nothing_is_left_behind(project, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    project.settings(broken="it fell over")
    assert plan() == 1
    assert list(temporary.iterdir()) == []
    assert len(project.git("worktree", "list").splitlines()) == 1
    assert (
        subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout
        == " M settings.json\n"
    )
    assert not (project.path / "cdk.out").exists()


def test_an_image_that_does_not_bake_is_planned_all_the_same_and_fails_in_the_end(
    project, capfd, monkeypatch, tmp_path
):
    # No mirror has the packages of this lock: their digests are made up.
    project.write("image_recipes/web/app/index.html", "changed\n")
    assert plan("--bake", "--save", str(tmp_path / "plan.json")) == 1
    out, err = capfd.readouterr()
    saved = json.loads((tmp_path / "plan.json").read_text())
    assert saved["images"][0]["state"] == "failed"
    assert saved["dangerous"][0].startswith("image web: it does not bake: ")
    assert saved["rollouts"]
    assert "does NOT bake" in out
    assert "images of this plan fail:" in err


def test_an_image_on_a_base_ami_is_for_a_builder_instance(project, capsys):
    ami = {
        "id": "ami-0123456789abcdef0",
        "owner": "137112412989",
        "name": "al2023",
        "created": "2026-01-01T00:00:00.000Z",
        "root_device": "/dev/xvda",
        "root_size": 2,
        "boot_mode": "uefi-preferred",
    }
    lock = {
        "format": 1,
        "architecture": "x86_64",
        "source": '{"ssm": "/aws/x"}',
        "epoch": 1700000000,
        "ami": {"us-east-1": ami},
    }
    project.replace("image_recipes/web/recipe.yaml", "{debian: bookworm}", "{ami: {ssm: /aws/x}}")
    project.write("image_recipes/web/recipe.lock", json.dumps(lock))
    project.commit("A base AMI")
    project.write("image_recipes/web/app/index.html", "changed\n")
    content = planned(capsys, "--base", "HEAD", "--bake", "--boot")
    [image] = content["images"]
    assert (image["state"], image["diff"]) == ("missing", None)
    assert "by a builder instance, and proved when it is deployed" in image["no_diff"]
    assert "was not booted: it is on a base AMI" in content["notes"][-1]
    assert content["verdict"] == "something"


def test_an_image_that_should_boot_and_is_not_baked_fails_the_plan(project, capfd):
    project.write("image_recipes/web/app/index.html", "changed\n")
    assert plan("--boot") == 1
    out, err = capfd.readouterr()
    assert "FAILED, 0 of 1 tests passed" in out
    assert "it is not baked on this machine; `ingot plan --bake --boot` bakes it before" in err


@pytest.mark.parametrize("package_json", [False, True])
def test_a_missing_differ_is_reported_before_the_synthesis(project, capfd, monkeypatch, package_json):
    modules = project.path / "node_modules"
    modules.unlink()
    (modules / ".bin").mkdir(parents=True)
    cdk = modules / ".bin" / "cdk"
    cdk.write_text("#!/bin/sh\necho ran >> cdk-ran\n")
    cdk.chmod(0o755)
    monkeypatch.setenv("PATH", f"{cdk.parent}:{os.environ['PATH']}")
    if package_json:
        project.write("package.json", "{}")
        project.write("package-lock.json", "{}")
    assert plan() == 3
    err = capfd.readouterr().err
    assert "@aws-cdk/cloudformation-diff is missing" in err
    command = "npm ci" if package_json else "npm install aws-cdk @aws-cdk/cloudformation-diff"
    assert f"install it with: {command}" in err
    assert not list(project.path.rglob("cdk-ran"))


def test_the_differ_beside_the_cdk_cli_is_used(tmp_path):
    beside = tmp_path / "lib" / "node_modules"
    (beside / "aws-cdk" / "bin").mkdir(parents=True)
    (beside / "aws-cdk" / "bin" / "cdk").touch()
    (beside / "@aws-cdk").mkdir()
    (beside / "@aws-cdk" / "cloudformation-diff").symlink_to(
        ROOT / "node_modules" / "@aws-cdk" / "cloudformation-diff"
    )
    project = tmp_path / "project"
    project.mkdir()
    cdk = Cdk(str(beside / "aws-cdk" / "bin" / "cdk"), environment(ROOT), project)
    [diff] = cdk.compare([({}, {"Resources": {"Bucket": BUCKET}})])
    assert [(change.logical_id, change.impact) for change in diff.resources] == [("Bucket", "WILL_CREATE")]


def test_a_manifest_of_a_newer_version_is_said(project, capsys, tmp_path):
    images = tmp_path / "home" / "store" / "images"

    def put(format_):
        directory = images / digest(project)
        directory.mkdir(parents=True)
        (directory / "manifest.json").write_text(json.dumps({"format": format_, "name": "web"}))
        (directory / "disk.raw").touch()

    put(99)
    project.write("image_recipes/web/app/index.html", "changed\n")
    put(99)
    [image] = planned(capsys)["images"]
    assert image["state"] == "stored"
    assert "the images cannot be compared: " in image["no_diff"]
    assert "99" in image["no_diff"]
