"""The stack of continuous integration, deployed: two roles that trust GitHub's provider."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from aws_cdk import App

from stacks.config import Config
from stacks.review_stack import ReviewStack


def template(tmp_path: Path, branch: str) -> str:
    app = App(analytics_reporting=False, outdir=str(tmp_path / branch))
    context = {"github": "acme/site", "github_branch": branch}
    ReviewStack(app, "IngotReview", config=Config.read({}, environment={}), context=context)
    content = json.loads((Path(app.synth().directory) / "IngotReview.template.json").read_text())
    # What the CDK asks of a bootstrapped account is no matter of this stack.
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

    given = {"StackName": "IngotReview", "Capabilities": ["CAPABILITY_IAM"]}
    cloudformation.create_stack(**given, TemplateBody=template(tmp_path, "main"))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="IngotReview", WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert subjects() == {
        "PullRequestRoleArn": "repo:acme/site:pull_request",
        "DeployRoleArn": "repo:acme/site:ref:refs/heads/main",
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
