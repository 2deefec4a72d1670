"""The aws CLI: stacks, files, images and refusals."""

import json
from pathlib import Path

import pytest

from tests.localcloud.clients.conftest import Run
from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import parameter, settled, value_of


def stack(value: str) -> str:
    return json.dumps(
        {
            "Parameters": {"Value": {"Type": "String"}},
            "Resources": {"P": parameter("/cli/p", {"Fn::Sub": f"{value}-${{Value}}"})},
            "Outputs": {"Name": {"Value": {"Ref": "P"}}},
        }
    )


@pytest.mark.slow
def test_a_stack_is_deployed_changed_and_deleted(
    clients: Run, local_cloud: LocalCloud, tmp_path: Path
) -> None:
    file = tmp_path / "template.json"
    file.write_text(stack("one"))
    deploy = ("aws", "cloudformation", "deploy", "--stack-name", "cli", "--template-file", file.name)
    created = clients(*deploy, "--parameter-overrides", "Value=a")
    assert created.returncode == 0, created.stdout + created.stderr
    assert value_of(local_cloud, "/cli/p") == "one-a"
    same = clients(*deploy, "--no-fail-on-empty-changeset")
    assert (same.returncode, "No changes to deploy" in same.stdout + same.stderr) == (0, True)
    file.write_text(stack("two"))
    assert clients(*deploy).returncode == 0
    assert value_of(local_cloud, "/cli/p") == "two-a"
    asked = "Stacks[0].[StackStatus, Outputs[0].OutputValue]"
    described = clients("aws", "cloudformation", "describe-stacks", "--stack-name", "cli", "--query", asked)
    assert json.loads(described.stdout) == ["UPDATE_COMPLETE", "/cli/p"]
    [found] = local_cloud.client("cloudformation").describe_stacks(StackName="cli")["Stacks"]
    clients("aws", "cloudformation", "delete-stack", "--stack-name", "cli")
    settled(local_cloud, found["StackId"])
    assert value_of(local_cloud, "/cli/p") is None


@pytest.mark.slow
def test_files_images_and_blocks(clients: Run, local_cloud: LocalCloud, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(bytes(range(256)) * 4096)
    local_cloud.client("s3").create_bucket(Bucket="cli")
    assert clients("aws", "s3", "cp", "up", "s3://cli/key").returncode == 0
    assert clients("aws", "s3", "cp", "s3://cli/key", "down").returncode == 0
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
    image = local_cloud.image("cli")
    assert clients("aws", "ec2", "wait", "image-available", "--image-ids", image).returncode == 0
    mapping = "Images[0].BlockDeviceMappings[0].Ebs.SnapshotId"
    found = clients(
        "aws", "ec2", "describe-images", "--owners", "self", "--image-ids", image, "--query", mapping
    )
    snapshot = json.loads(found.stdout)
    blocks = clients("aws", "ebs", "list-snapshot-blocks", "--snapshot-id", snapshot)
    assert [block["BlockIndex"] for block in json.loads(blocks.stdout)["Blocks"]] == [0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("ec2", "describe-images", "--image-ids", "ami-0123456789abcdef0"), "InvalidAMIID.NotFound"),
        (("cloudformation", "describe-stacks", "--stack-name", "nobody"), "ValidationError"),
        (("ssm", "get-parameter", "--name", "/nobody"), "ParameterNotFound"),
        (("ec2", "describe-scheduled-instances"), "InvalidAction"),
    ],
)  # fmt: skip
def test_refusals_are_read(clients: Run, words: tuple[str, ...], code: str) -> None:
    """Exit status 255 is that of version 1; "aws help return-codes"."""
    refused = clients("aws", *words)
    assert (refused.returncode, refused.stdout) == (255, "")
    assert f"({code})" in refused.stderr
