"""The real CDK CLI bootstraps, deploys, updates, finds nothing to do, fails and destroys."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.localcloud.conftest import LocalCloud

ENVIRONMENT = "aws://123456789012/us-east-1"


def cdk(cloud: LocalCloud, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{ROOT / '.venv/bin'}:{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}"
    # HOME: the CLI's cache of accounts must not be the user's.
    environment = {
        **os.environ,
        **cloud.variables,
        "HOME": str(home),
        "PATH": path,
        "CDK_DISABLE_CLI_TELEMETRY": "1",
    }
    command = ["cdk", "--no-notices", "--ci", *words]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


def assembly(home: Path, name: str, parameter: str) -> Path:
    """Write a cloud assembly as `cdk synth` does: without an app, only the CLI and the cloud are tested."""
    directory = home / name
    directory.mkdir()
    data = {"ImageId": f"{{{{resolve:ssm:{parameter}}}}}", "InstanceType": "t3.small"}
    template = {
        "Resources": {
            "Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}},
            "Meta": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2"}},
        },
        "Outputs": {"Version": {"Value": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}}},
    }
    (directory / "App.template.json").write_text(json.dumps(template))
    artifact = {
        "type": "aws:cloudformation:stack",
        "environment": ENVIRONMENT,
        "properties": {"templateFile": "App.template.json", "validateOnSynth": False},
    }
    (directory / "manifest.json").write_text(
        json.dumps({"version": "36.0.0", "artifacts": {"App": artifact}})
    )
    return directory


@pytest.mark.slow
def test_the_cdk_cli_works_as_with_aws(local_cloud: LocalCloud, tmp_path: Path) -> None:
    for name in ("one", "two"):
        image = local_cloud.image(f"cdk-{name}")
        local_cloud.client("ssm").put_parameter(Name=f"/ingot/web/{name}", Value=image, Type="String")
    bootstrap = cdk(local_cloud, tmp_path, "bootstrap", ENVIRONMENT)
    assert bootstrap.returncode == 0, bootstrap.stdout + bootstrap.stderr
    again = cdk(local_cloud, tmp_path, "bootstrap", ENVIRONMENT)
    assert "(no changes)" in again.stdout + again.stderr

    def deploy(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return cdk(
            local_cloud,
            tmp_path,
            "deploy",
            "--all",
            "-a",
            str(directory),
            "--require-approval",
            "never",
            *words,
        )

    one, two = assembly(tmp_path, "a1", "/ingot/web/one"), assembly(tmp_path, "a2", "/ingot/web/two")
    created = deploy(one)
    assert "App.Version = 1" in created.stdout, created.stderr
    unchanged = deploy(one, "--force")
    assert "(no changes)" in unchanged.stdout + unchanged.stderr
    changed = deploy(two)
    assert "App.Version = 2" in changed.stdout, changed.stderr
    failed = deploy(assembly(tmp_path, "a3", "/ingot/web/missing"))
    assert failed.returncode != 0
    assert "Parameters: [ssm:/ingot/web/missing] cannot be found." in failed.stdout + failed.stderr
    stack = local_cloud.client("cloudformation").describe_stacks(StackName="App")["Stacks"][0]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    destroyed = cdk(local_cloud, tmp_path, "destroy", "--all", "--force", "-a", str(two))
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert local_cloud.client("ec2").describe_launch_templates()["LaunchTemplates"] == []
