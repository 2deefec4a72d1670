"""The apps of the examples with one fleet each: what their stacks say."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests import ROOT
from tests.localcloud.conftest import register_empty, stand_in_cloud
from tests.localcloud.services.cloudformation.support import create, events

__all__ = ["stand_in_cloud"]
pytestmark = pytest.mark.slow
BALANCER, TARGETS = (f"AWS::ElasticLoadBalancingV2::{kind}" for kind in ("LoadBalancer", "TargetGroup"))


@pytest.fixture(scope="module")
def synthesized(tmp_path_factory):
    """Return a function that gives the templates of an example's stacks by name, synthesized once for each
    context.
    """

    @functools.cache
    def templates(example: str, **more: str) -> dict[str, Any]:
        return synthesize(example, tmp_path_factory.mktemp(example), more)

    return templates


def synthesize(example: str, out: Path, more: dict[str, str]) -> dict[str, Any]:
    """Return the templates of an example's stacks by name; ``more``: context."""
    context = json.loads((ROOT / "examples" / example / "cdk.json").read_text())["context"] | more
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "CDK_OUTDIR": str(out),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT / "examples" / example,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {file.name.partition(".")[0]: json.loads(file.read_text()) for file in out.glob("*.template.json")}


def only(template: dict[str, Any], kind: str) -> dict[str, Any]:
    [found] = [resource for resource in template["Resources"].values() if resource["Type"] == kind]
    return found["Properties"]


@pytest.mark.parametrize(("name", "port"), [("flask", 80), ("express", 80), ("java", 8080)])
def test_a_web_app_has_its_image_and_its_port(name, port, synthesized):
    templates = synthesized(name)
    web = templates["Web"]
    digest = recipe_digest(load_recipe(ROOT / "examples" / name / "image_recipes" / name))
    assert web["Outputs"]["RecipeDigest"]["Value"] == digest
    assert only(web, TARGETS)["Port"] == port
    assert only(web, BALANCER)["Scheme"] == "internet-facing"


def test_the_flask_app_and_its_database_know_one_password(synthesized):
    web = synthesized("flask")["Web"]
    [login] = [name for name, one in web["Resources"].items() if one["Type"] == "AWS::SecretsManager::Secret"]
    server = only(web, "AWS::RDS::DBInstance")
    assert {"Ref": login} in server["MasterUserPassword"]["Fn::Join"][1]
    assert server["StorageEncrypted"]
    assert server["DBName"] == "web"
    data = json.dumps(only(web, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["UserData"])
    assert "Endpoint.Address" in data
    assert "password" in data
    [rule] = [
        one["Properties"]
        for one in web["Resources"].values()
        if one["Type"] == "AWS::EC2::SecurityGroupIngress"
        and "Server" in json.dumps(one["Properties"]["GroupId"])
    ]
    assert "Fleet" in json.dumps(rule["SourceSecurityGroupId"])


def test_the_flask_example_is_deployed_to_the_local_cloud_with_its_secret(stand_in_cloud, synthesized):
    web = synthesized("flask", database="sqlite")["Web"]
    digest = web["Outputs"]["RecipeDigest"]["Value"]
    ssm = stand_in_cloud.client("ssm")
    for name, value in (
        (f"/ingot/flask/{digest}", register_empty(stand_in_cloud.client)),
        ("/cdk-bootstrap/hnb659fds/version", "30"),
    ):
        ssm.put_parameter(Name=name, Value=value, Type="String")
    stack = create(stand_in_cloud, "Web", json.dumps(web), Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE", events(stand_in_cloud, "Web")
    manager = stand_in_cloud.client("secretsmanager")
    [secret] = manager.list_secrets()["SecretList"]
    login = json.loads(manager.get_secret_value(SecretId=secret["ARN"])["SecretString"])
    assert login["username"] == "web"
    assert len(login["password"]) == 32


def test_the_database_is_reached_inside_its_network_and_keeps_its_volume(synthesized):
    database = synthesized("postgresql")["Database"]
    balancer = only(database, BALANCER)
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internal")
    assert (only(database, TARGETS)["Port"], only(database, TARGETS)["Protocol"]) == (5432, "TCP")
    data = only(database, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    root, volume = data["BlockDeviceMappings"]
    assert root["DeviceName"] == "/dev/xvda"
    ebs = volume["Ebs"]
    assert (ebs["VolumeSize"], ebs["Encrypted"], ebs["DeleteOnTermination"]) == (20, True, False)
    [group] = [r for r in database["Resources"].values() if r["Type"] == "AWS::AutoScaling::AutoScalingGroup"]
    refresh = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]
    assert (refresh["Strategy"], refresh["Preferences"]["MinHealthyPercentage"]) == ("ReplaceRootVolume", 0)
    # The password is made by Secrets Manager, and read by the clones' role alone.
    secret = only(database, "AWS::SecretsManager::Secret")
    assert secret["GenerateSecretString"]["PasswordLength"] == 32
    statements = only(database, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert [line["Action"] for line in statements] == ["secretsmanager:GetSecretValue"]


def test_the_database_recipe_declares_what_the_app_gives():
    recipe = load_recipe(ROOT / "examples" / "postgresql" / "image_recipes" / "postgresql")
    assert recipe_digest(recipe)
    assert [(volume.name, volume.mount) for volume in recipe.volumes] == [("data", "/var/lib/postgresql")]
