"""What a fleet was granted is its clones' role's when the stack is deployed; no machine boots."""

import json
import os
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ssm as ssm

from ingot.constructs import CloneFleet, GoldenImage
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipe, load_recipe
from tests.constructs.recipes import write_recipe
from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import create, events, update


@pytest.fixture
def project(local_cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory of a CDK app with one recipe, web, whose image is registered."""
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    ssm_client = local_cloud.client("ssm")
    ssm_client.put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True
    )
    name = f"/ingot/web/{recipe_digest(load_recipe(find_recipe(Path('image_recipes'), 'web')))}"
    if not ssm_client.get_parameters(Names=[name])["Parameters"]:
        ami = local_cloud.image(f"web-{os.urandom(4).hex()}")
        ssm_client.put_parameter(Name=name, Value=ami, Type="String")


def body(*, granted: bool) -> str:
    app = App(analytics_reporting=False)
    stack = Stack(app, "Granted")
    image = GoldenImage(stack, "Image", recipe="web")
    fleet = CloneFleet(stack, "Fleet", image=image, min_clones=0, max_clones=1)
    parameter = ssm.StringParameter(stack, "Setting", string_value="on")
    peer = ec2.SecurityGroup(stack, "Peer", vpc=fleet.vpc)
    ec2.Connections(security_groups=[peer], default_port=ec2.Port.tcp(5432)).allow_default_port_from(fleet)
    if granted:
        parameter.grant_read(fleet)
    # What the test looks up: by output, not by a name that templates would fix.
    stack.export_value(fleet.launch_template.launch_template_id, name="Template")
    return (Path(app.synth().directory) / "Granted.template.json").read_text()


def test_a_grant_reaches_clones_and_goes_again(local_cloud: LocalCloud, project: None) -> None:
    stack = create(local_cloud, "granted", body(granted=False), Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE", events(local_cloud, "granted")
    stack = update(local_cloud, "granted", body(granted=True), Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "UPDATE_COMPLETE", events(local_cloud, "granted")
    [template] = [o["OutputValue"] for o in stack["Outputs"] if o.get("ExportName") == "Template"]
    clients = {name: local_cloud.client(name) for name in ("ec2", "iam")}
    versions = clients["ec2"].describe_launch_template_versions(LaunchTemplateId=template)
    newest = max(versions["LaunchTemplateVersions"], key=lambda version: version["VersionNumber"])
    profile = newest["LaunchTemplateData"]["IamInstanceProfile"]["Arn"].rpartition("/")[2]
    [role] = clients["iam"].get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    [policy] = clients["iam"].list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    document = clients["iam"].get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]
    document = document if isinstance(document, dict) else json.loads(document)
    assert "ssm:GetParameter" in str(document)
    stack = update(local_cloud, "granted", body(granted=False), Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "UPDATE_COMPLETE", events(local_cloud, "granted")
    with pytest.raises(clients["iam"].exceptions.NoSuchEntityException):
        clients["iam"].get_instance_profile(InstanceProfileName=profile)
    local_cloud.client("cloudformation").delete_stack(StackName="granted")
