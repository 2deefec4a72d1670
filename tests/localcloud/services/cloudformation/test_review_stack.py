"""The stack of continuous integration, deployed: two roles that trust GitHub's provider."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from aws_cdk import App

from tests import ROOT
from tests.stacks.everything import add_review


def template(tmp_path: Path, branch: str, stack: str = "IngotReview") -> str:
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(analytics_reporting=False, outdir=str(tmp_path / f"{branch}-{stack}"), context=flags)
    add_review(app, github_branch=branch)
    content = json.loads((Path(app.synth().directory) / f"{stack}.template.json").read_text())
    # What the CDK asks of a bootstrapped account is no matter of these stacks.
    content.pop("Parameters")
    content.pop("Rules")
    return json.dumps(content)


@pytest.mark.slow
def test_the_roles_are_deployed_changed_and_removed(local_cloud, tmp_path):
    cloudformation, iam = local_cloud.client("cloudformation"), local_cloud.client("iam")

    def subjects():
        stack = cloudformation.describe_stacks(StackName="IngotReview")["Stacks"][0]
        arns = {out["OutputKey"]: out["OutputValue"] for out in stack["Outputs"]}
        found = {}
        for name, arn in arns.items():
            document = iam.get_role(RoleName=arn.rsplit("/", 1)[1])["Role"]["AssumeRolePolicyDocument"]
            document = json.loads(unquote(document)) if isinstance(document, str) else document
            [statement] = document["Statement"]
            found[name] = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
            assert statement["Principal"]["Federated"] == provider["Arn"]
        return found

    cloudformation.create_stack(
        StackName="IngotBuilder",
        Capabilities=["CAPABILITY_IAM"],
        TemplateBody=template(tmp_path, "main", "IngotBuilder"),
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="IngotBuilder", WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )

    def building():
        """What the deploying role's policy takes from the builder's stack."""
        stack = cloudformation.describe_stacks(StackName="IngotReview")["Stacks"][0]
        [arn] = [out["OutputValue"] for out in stack["Outputs"] if out["OutputKey"] == "DeployRoleArn"]
        found = iam.get_role_policy(RoleName=arn.rsplit("/", 1)[1], PolicyName="Build")["PolicyDocument"]
        by_name = {statement["Sid"]: statement for statement in found["Statement"]}
        template = by_name["BuilderOfItsImage"]["Condition"]["ArnLike"]["ec2:LaunchTemplate"]
        return {template.partition(":123456789012:")[2], by_name["FindBundles"]["Resource"]}

    given = {"StackName": "IngotReview", "Capabilities": ["CAPABILITY_IAM"]}
    cloudformation.create_stack(**given, TemplateBody=template(tmp_path, "main"))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="IngotReview", WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert subjects() == {
        "PullRequestRoleArn": "repo:acme/site:pull_request",
        "DeployRoleArn": "repo:acme/site:ref:refs/heads/main",
        "PruneRoleArn": "repo:acme/site:ref:refs/heads/main",
    }
    [builder] = cloudformation.describe_stacks(StackName="IngotBuilder")["Stacks"]
    outputs = {out["OutputKey"]: out["OutputValue"] for out in builder["Outputs"]}
    assert building() == {
        f"launch-template/{outputs['BuilderLaunchTemplateId']}",
        f"arn:aws:s3:::{outputs['BundleBucketName']}",
    }
    cloudformation.update_stack(**given, TemplateBody=template(tmp_path, "release"))
    cloudformation.get_waiter("stack_update_complete").wait(
        StackName="IngotReview", WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    assert subjects()["DeployRoleArn"] == "repo:acme/site:ref:refs/heads/release"
    cloudformation.delete_stack(StackName="IngotReview")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="IngotReview", WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
