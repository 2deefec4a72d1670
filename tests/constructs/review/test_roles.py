"""ReviewRoles in an app of another team; tests/stacks/test_review_stack.py has those of
the app that ships.
"""

import json
from pathlib import Path

import pytest
from aws_cdk import App, Stack

from ingot.constructs import ReviewRoles
from ingot.errors import InputError


def policy(template, word):
    """The statements of the role whose description holds ``word``."""
    roles = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    [role] = [properties for properties in roles if word in properties["Description"]]
    return [s for inline in role["Policies"] for s in inline["PolicyDocument"]["Statement"]]


def actions(statement):
    found = statement["Action"]
    return [found] if isinstance(found, str) else found


def test_an_app_that_bakes_on_its_runner_and_names_its_stacks_itself(project):
    app = App()
    roles = ReviewRoles(
        Stack(app, "Review"), "Roles", repository="acme/site", stacks=["IngotBuilder", "Api*"]
    )
    assert roles.deploy.role_name
    content = json.loads((Path(app.synth().directory) / "Review.template.json").read_text())
    statements = policy(content, "publishes and deploys")
    assert "ec2:DescribeVpcEndpoints" not in [a for s in statements for a in actions(s)]
    stacks = {
        part.rpartition(":")[2]
        for s in statements
        if "cloudformation" in str(s["Resource"])
        for resource in s["Resource"]
        for part in resource["Fn::Join"][1]
        if isinstance(part, str) and "stack/" in part
    }
    assert stacks == {"stack/IngotBuilder/*", "stack/Api*/*"}


@pytest.mark.parametrize("name", ["*", "Ingot*/*", "a b", ""])
def test_a_name_of_stacks_that_opens_the_roles_to_all_is_refused(project, name):
    with pytest.raises(InputError, match="a stack's name"):
        ReviewRoles(Stack(App(), "Review"), "Roles", repository="acme/site", stacks=[name])
