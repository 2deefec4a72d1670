"""`ingot deploy` with a `cdk` that only records, against moto's server."""

import json
import os
import sys
import urllib.request
from pathlib import Path

import boto3
import pytest

from ingot.cli.main import main
from ingot.cli.terminal.deployments import print_deployment
from ingot.errors import InputError, MissingToolError, PublishError
from ingot.fleet.status import FleetStatus
from ingot.fleet.verify import CloneVerdict, FleetVerdict
from ingot.pipeline import deploy as pipeline
from tests.outputs import document_of

DIGEST = "4f" * 32
# A cdk that records its arguments; with MAKE_STACKS it makes a stack of each name when it deploys.
CDK = """\
import json, os, pathlib, sys
here = pathlib.Path(os.environ["RECORDS"])
with (here / "calls").open("a") as calls:
    print(json.dumps(["cdk", *sys.argv[1:]]), file=calls)
if sys.argv[1] == "synth":
    complaint = here / "complaint"
    if complaint.exists():
        sys.exit(complaint.read_text())
if sys.argv[1] == "deploy":
    print("deploying")
    if "HANG_CDK" in os.environ:
        import signal
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
        (here / "deploying").touch()
        signal.pause()
if sys.argv[1] == "deploy" and "MAKE_STACKS" in os.environ:
    import boto3
    cloudformation = boto3.client("cloudformation")
    known = [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]]
    template = {"Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}
    for name in sys.argv[2:]:
        if name.startswith("Ingot") and name not in known:
            cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


FAILURES = {
    1: PublishError("it failed"),
    2: InputError("it is wrong"),
    3: MissingToolError("tool", package="tool", needed_for="publish"),
}


def write_assembly(directory: Path) -> None:
    directory.mkdir()
    command = ["python", "-m", "ingot.cli.main", "publish", "web", "--digest", DIGEST, "--asset"]
    files = {
        DIGEST: {"source": {"executable": command}},
        "0" * 64: {"source": {"path": "IngotFleet.template.json"}},
    }
    (directory / "IngotFleet.assets.json").write_text(json.dumps({"files": files}))
    (directory / "IngotBuilder.assets.json").write_text(json.dumps({"files": {}}))
    artifacts = {}
    for name in ("IngotBuilder", "IngotFleet"):
        (directory / f"{name}.template.json").write_text(json.dumps({"Resources": {}}))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {
                "templateFile": f"{name}.template.json",
                "bootstrapStackVersionSsmParameter": "/cdk-bootstrap/hnb659fds/version",
            },
        }
        artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json"},
        }
    (directory / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))


@pytest.fixture
def project(moto_server, tmp_path, monkeypatch):
    """A bootstrapped account and a directory with a synthesized app whose image was never published."""
    for key, value in {
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "RECORDS": str(tmp_path),
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    program(tmp_path / "node_modules" / ".bin" / "cdk", CDK)
    # Before the project's own cdk, which may be on the caller's PATH.
    monkeypatch.setenv("PATH", f"{tmp_path}/node_modules/.bin:{os.environ['PATH']}")
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {"ingot:builder_stack": "IngotBuilder"}}))
    write_assembly(tmp_path / "cdk.out")
    monkeypatch.chdir(tmp_path)

    def publish(target, clients, options, progress):
        with (tmp_path / "calls").open("a") as calls:
            print(json.dumps(["publish", options.name, "--digest", options.digest]), file=calls)
        (tmp_path / "region").write_text(clients.region)
        (tmp_path / "builder").write_text(str(options.builder_stack))
        progress("published")
        status = int(os.environ.get("PUBLISH_STATUS", "0"))
        if status:
            raise FAILURES[status]

    # There is no recipe, and the digest is none.
    monkeypatch.setattr(pipeline, "load_target", lambda options: None)
    monkeypatch.setattr(pipeline, "publish_recipe", publish)
    # What a test that failed left behind.
    urllib.request.urlopen(urllib.request.Request(f"{moto_server}/moto-api/reset", method="POST")).close()
    boto3.client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String", Overwrite=True
    )
    yield tmp_path
    boto3.client("ssm").delete_parameters(Names=["/cdk-bootstrap/hnb659fds/version", f"/ingot/web/{DIGEST}"])
    cloudformation = boto3.client("cloudformation")
    for stack in cloudformation.describe_stacks()["Stacks"]:
        cloudformation.delete_stack(StackName=stack["StackName"])


def tag_list(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": f"ingot:{key}", "Value": value} for key, value in values.items()]


def publish_image(digest: str = DIGEST) -> str:
    """Do what `ingot publish` does in the end: an AMI, and its name in the registry; return the AMI's id."""
    values = {"recipe": "web", "digest": digest, "root-digest": "ab" * 32, "state": "published"}
    ec2 = boto3.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    image = ec2.register_image(
        Name=f"web-{os.urandom(4).hex()}",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
    )
    # By a call of its own: moto leaves out the tags that come with RegisterImage.
    ec2.create_tags(Resources=[image["ImageId"]], Tags=tag_list(values))
    boto3.client("ssm").put_parameter(Name=f"/ingot/web/{digest}", Value=image["ImageId"], Type="String")
    return image["ImageId"]


def deploy(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["deploy", *arguments])
    return int(ended.value.code or 0)


def calls(project: Path) -> list[list[str]]:
    file = project / "calls"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


SYNTH = ["cdk", "synth", "--quiet", "--output", "cdk.out"]
DEPLOY = [
    "cdk",
    "deploy",
    "--app",
    "cdk.out",
    "IngotBuilder",
    "IngotFleet",
    "--require-approval",
    "broadening",
]


def test_outside_of_an_app_it_says_where_to_run(project, capfd):
    (project / "cdk.json").unlink()
    assert deploy() == 2
    assert f"there is no cdk.json in {project}" in capfd.readouterr().err
    assert calls(project) == []


def test_a_missing_image_is_published_after_the_builder_and_before_the_rest(project, capfd):
    assert deploy() == 0
    assert calls(project) == [
        SYNTH,
        [
            "cdk",
            "deploy",
            "--app",
            "cdk.out",
            "IngotBuilder",
            "--exclusively",
            "--require-approval",
            "broadening",
        ],
        ["publish", "web", "--digest", DIGEST],
        DEPLOY,
    ]
    out, err = capfd.readouterr()
    assert out == ""
    assert "1 image to publish; deploying IngotBuilder first" in err
    assert " s  published\n" in err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"digest": "0" * 64}, f"its ingot:digest is {'0' * 64}, not {DIGEST}"),
        ({"recipe": "api"}, "its ingot:recipe is api, not web"),
        ({"state": "untested"}, "its ingot:state is untested, not published"),
        ({"root-digest": ""}, "it has no tag ingot:root-digest"),
    ],
)
def test_an_entry_that_names_another_ami_is_refused_before_anything_is_deployed(
    changes, said, project, capfd
):
    ami_id = publish_image()
    boto3.client("ec2").create_tags(Resources=[ami_id], Tags=tag_list(changes))
    assert deploy() == 1
    assert calls(project) == [SYNTH]
    err = capfd.readouterr().err
    assert f"/ingot/web/{DIGEST} names {ami_id}, which is not the image of web {DIGEST[:12]}: {said}" in err


def move_into_stage(project: Path, *names: str) -> None:
    """Put the fleet, and stacks of other names, into a stage Prod, as the CDK writes it;
    tests/plan/infrastructure/test_assembly.py reads the CDK's own.
    """
    out = project / "cdk.out"
    stage = out / "assembly-Prod"
    stage.mkdir()
    artifacts = json.loads((out / "manifest.json").read_text())["artifacts"]
    inner = {}
    for name in ("IngotFleet", *names):
        for file in out.glob(f"{name}.*"):
            file.rename(stage / file.name)
        inner |= {key: artifacts.pop(key) for key in (name, f"{name}.assets")}
        inner[name] |= {"displayName": f"Prod/{name}"}
        inner[name]["properties"]["stackName"] = f"Prod-{name}"
    inner["IngotFleet"]["displayName"] = "Prod/Fleet"
    inner["IngotFleet"]["properties"]["stackName"] = "Prod-Fleet"
    artifacts["assembly-Prod"] = {
        "type": "cdk:cloud-assembly",
        "properties": {"directoryName": stage.name, "displayName": "Prod"},
    }
    (stage / "manifest.json").write_text(json.dumps({"artifacts": inner}))
    (out / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))


@pytest.mark.parametrize("stack", ["Prod/Fleet", "Prod-Fleet", "Prod/*"])
def test_images_of_a_stage_are_published_and_its_stacks_deployed(project, stack):
    move_into_stage(project)
    assert deploy("--stack", stack) == 0
    assert calls(project)[-2:] == [
        ["publish", "web", "--digest", DIGEST],
        ["cdk", "deploy", "--app", "cdk.out", "Prod/Fleet", "--require-approval", "broadening"],
    ]


def test_the_builder_of_the_same_stage_is_found(project):
    move_into_stage(project, "IngotBuilder")
    assert deploy("--stack", "Prod/Fleet") == 0
    commands = calls(project)
    assert [command[4] for command in commands if command[:2] == ["cdk", "deploy"]] == [
        "Prod/IngotBuilder",
        "Prod/Fleet",
    ]
    assert (project / "builder").read_text() == "Prod-IngotBuilder"


def test_the_stack_with_the_builder_is_the_one_that_the_image_names(project):
    file = project / "cdk.out" / "IngotFleet.assets.json"
    manifest = json.loads(file.read_text())
    manifest["files"][DIGEST]["source"]["executable"][5:5] = ["--builder-stack", "Images"]
    file.write_text(json.dumps(manifest))
    for path in (project / "cdk.out").glob("*.json"):
        path.write_text(path.read_text().replace("IngotBuilder", "Images"))
        path.rename(path.with_name(path.name.replace("IngotBuilder", "Images")))
    assert deploy() == 0
    assert [call[4] for call in calls(project) if call[:2] == ["cdk", "deploy"]] == ["Images", "Images"]
    assert "--exclusively" in calls(project)[1]


def place(project: Path, **environments: str) -> None:
    """Say where stacks are deployed to, as the CDK does."""
    file = project / "cdk.out" / "manifest.json"
    manifest = json.loads(file.read_text())
    for stack, environment in environments.items():
        manifest["artifacts"][stack]["environment"] = environment
    file.write_text(json.dumps(manifest))


def test_images_go_to_the_region_of_the_stacks(project, capfd):
    here = "aws://123456789012/eu-west-1"
    place(project, IngotBuilder=here, IngotFleet=here)
    publish_image()  # in the caller's region, which is another one
    ssm = boto3.client("ssm", region_name="eu-west-1")
    assert deploy() == 1
    assert "run: cdk bootstrap aws://123456789012/eu-west-1" in capfd.readouterr().err
    ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String")
    try:
        assert deploy() == 0
    finally:
        ssm.delete_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    assert ["publish", "web", "--digest", DIGEST] in calls(project)
    assert (project / "region").read_text() == "eu-west-1"


@pytest.mark.parametrize(
    ("fleet", "message"),
    [
        (
            "aws://111122223333/us-east-1",
            "the credentials in use belong to the account 123456789012, but the app names 111122223333",
        ),
        (
            "aws://unknown-account/eu-west-1",
            "one deployment goes to one account and region, but the stacks are in eu-west-1, us-east-1",
        ),
    ],
)
def test_a_place_that_cannot_be_is_said_before_anything_is_made(project, capfd, fleet, message):
    place(project, IngotBuilder="aws://unknown-account/us-east-1", IngotFleet=fleet)
    assert deploy() == 2
    assert message in capfd.readouterr().err
    assert calls(project) == [SYNTH]


def test_a_published_image_is_not_published_again(project, capfd, monkeypatch):
    monkeypatch.setenv("MAKE_STACKS", "1")
    publish_image()
    assert deploy() == 0
    assert calls(project) == [SYNTH, DEPLOY]
    assert "deployed: IngotBuilder, IngotFleet" in capfd.readouterr().err
    assert deploy() == 0
    assert "no changes: all stacks are up to date" in capfd.readouterr().err


def test_an_entry_whose_ami_is_gone_counts_as_missing(project):
    boto3.client("ssm").put_parameter(
        Name=f"/ingot/web/{DIGEST}", Value="ami-0123456789abcdef0", Type="String"
    )
    assert deploy() == 0
    assert ["publish", "web", "--digest", DIGEST] in calls(project)


def test_a_stack_without_images_needs_no_publish(project):
    assert deploy("--stack", "IngotBuilder") == 0
    assert [call[0] for call in calls(project)] == ["cdk", "cdk"]


def test_context_and_further_arguments_reach_the_cdk(project):
    publish_image()
    assert (
        deploy("-c", "min_clones=1", "-c", "builder=host", "--require-approval", "never", "--", "--verbose")
        == 0
    )
    synth, run = calls(project)
    assert synth[-4:] == ["--context", "min_clones=1", "--context", "builder=host"]
    assert run[-5:] == ["--require-approval", "never", "--verbose", "--progress", "events"]


@pytest.mark.parametrize("status", [1, 2, 3])
def test_a_publish_that_fails_ends_it_with_its_own_exit_code(project, capfd, monkeypatch, status):
    monkeypatch.setenv("PUBLISH_STATUS", str(status))
    assert deploy() == status
    assert FAILURES[status].message in capfd.readouterr().err.splitlines()[-1 if status < 3 else -2]
    assert calls(project)[-1][0] == "publish"


def test_an_account_that_is_not_bootstrapped_is_told_how(project, capfd):
    boto3.client("ssm").delete_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    assert deploy() == 1
    assert "run: cdk bootstrap aws://123456789012/us-east-1" in capfd.readouterr().err
    assert calls(project) == [SYNTH]


def test_bootstrap_runs_once(project, capfd):
    assert deploy("--bootstrap-only") == 0
    assert "is bootstrapped" in capfd.readouterr().err
    assert calls(project) == []
    boto3.client("ssm").delete_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    assert deploy("--bootstrap-only") == 0
    assert calls(project) == [["cdk", "bootstrap", "aws://123456789012/us-east-1"]]


def test_bad_input_found_by_the_app_is_bad_input(project, capfd):
    (project / "complaint").write_text(
        "context key x must be 2, not 1\npython3 app.py: Subprocess exited with error 2"
    )
    assert deploy() == 2
    assert capfd.readouterr().err.splitlines()[-1] == "error: context key x must be 2, not 1"


def test_an_app_that_breaks_is_shown_whole(project, capfd):
    (project / "complaint").write_text("Traceback\npython3 app.py: Subprocess exited with error 1")
    assert deploy() == 1
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-c", "colour"], "--context colour has no value"),
        (
            ["--require-approval", "maybe"],
            "invalid --require-approval 'maybe'\n  hint: use never, any-change or broadening",
        ),
        (["--stack", "Nope"], "there is no stack 'Nope'; the app has: IngotBuilder, IngotFleet"),
    ],
)
def test_bad_arguments(project, capfd, arguments, message):
    assert deploy(*arguments) == 2
    assert message in capfd.readouterr().err
    assert not [call for call in calls(project) if call[1] == "deploy"]


def test_without_the_cdk_cli_it_is_named(project, capfd, monkeypatch):
    (project / "node_modules" / ".bin" / "cdk").unlink()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert deploy() == 3
    assert "cdk is missing on this machine" in capfd.readouterr().err


def launching(project, kind):
    """Let the fleet's stack launch the image on a type."""
    data = {"ImageId": f"{{{{resolve:ssm:/ingot/web/{DIGEST}}}}}", "InstanceType": kind}
    template = {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}}
    file = project / "cdk.out" / "IngotFleet.template.json"
    file.write_text(json.dumps({"Resources": {"Clones": template}}))


def test_a_type_that_cannot_boot_the_image_stops_before_anything_is_published(project, capfd):
    launching(project, "p4d.24xlarge")
    assert deploy() == 2
    assert "Clones: the instance type p4d.24xlarge boots by legacy-bios only" in capfd.readouterr().err
    assert [call[1] for call in calls(project)] == ["synth"]


def verified(stack, problem):
    """A deployment of two fleets, of which one has no clones and hence no verdict."""
    clones = (CloneVerdict("i-1", "ami-1", DIGEST, problem=problem, age=None if problem else 60),)
    fleet = FleetStatus(stack, None, "group", "web", DIGEST, 1, "1", (), None)
    empty = FleetStatus("Empty", None, "group", "web", DIGEST, 0, "1", (), None)
    return pipeline.Deployment((), (fleet, empty), (), (FleetVerdict(stack, DIGEST, clones, 1),))


def test_with_verify_each_clone_is_told_below_its_fleet(capsys):
    print_deployment(verified("Fleet", "it is silent"), as_json=False)
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == [f"i-1  ami-1  {DIGEST[:12]}  NOT PROVED", "  it is silent"]
    assert err.splitlines()[-1] == "Fleet: 0 of 1 clones equal their manifest"


def test_with_json_a_verdict_is_part_of_its_fleet(capsys):
    print_deployment(verified("Fleet", ""), as_json=True)
    fleet, empty = document_of("deploy", capsys.readouterr().out)
    assert (fleet["stack"], fleet["verdict"]["ok"]) == ("Fleet", True)
    assert "verdict" not in empty
