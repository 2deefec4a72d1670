"""Who may do what from GitHub Actions: the trust and the permissions of both roles."""

import json
import os
import re
from pathlib import Path

import pytest
from aws_cdk import App, Aspects
from aws_cdk.assertions import Annotations, Match
from cdk_nag import AwsSolutionsChecks
from cfnlint.api import lint
from ruamel.yaml import YAML

from ingot.errors import InputError
from tests import ROOT
from tests.stacks.everything import add_review
from tests.stacks.readable import readable

SNAPSHOT = Path(__file__).parent / "snapshots" / "IngotReview.yaml"
PROJECT = ROOT / "ingot" / "templates" / "project"
ISSUER = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"


def make(project, **context):
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(analytics_reporting=False, context=flags)
    add_review(app, **context)
    return app


def template(project, **context):
    out = Path(make(project, **context).synth().directory)
    return json.loads((out / "IngotReview.template.json").read_text())


def of_type(template, kind):
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == kind]


def role(template, word):
    [found] = [r for r in of_type(template, "AWS::IAM::Role") if word in r["Description"]]
    return found


def policy(template, word):
    return [s for inline in role(template, word)["Policies"] for s in inline["PolicyDocument"]["Statement"]]


def actions(statement):
    found = statement["Action"]
    return [found] if isinstance(found, str) else found


def test_the_credentials_of_a_deployment_last_as_long_as_its_job_may(project):
    """A bake on a builder instance may take two hours, and what fails at its end has to
    be cleaned up with the same credentials.
    """
    [job] = YAML(typ="safe").load(PROJECT / "dot-github" / "workflows" / "deploy.yml")["jobs"].values()
    [asked] = [step["with"] for step in job["steps"] if "role-to-assume" in step.get("with", {})]
    resources = template(project)
    assert role(resources, "publishes and deploys")["MaxSessionDuration"] == asked["role-duration-seconds"]
    [deploy] = [step for step in job["steps"] if "ingot deploy" in step.get("run", "")]
    [clean_up] = [step for step in job["steps"] if "ingot prune" in step.get("run", "")]
    bake, roll_out = 120, 120
    assert deploy["timeout-minutes"] >= bake + roll_out
    assert job["timeout-minutes"] > deploy["timeout-minutes"] + clean_up["timeout-minutes"]
    assert asked["role-duration-seconds"] > job["timeout-minutes"] * 60
    assert role(resources, "may look")["MaxSessionDuration"] == 3600


def test_the_template_is_the_reviewed_one(project):
    text = readable(template(project), "0" * 64)
    if os.environ.get("INGOT_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text()


@pytest.mark.parametrize(
    ("word", "subject"),
    [
        ("may not deploy", "repo:acme/site:pull_request"),
        ("publishes and deploys", "repo:acme/site:ref:refs/heads/main"),
        ("removes old images", "repo:acme/site:ref:refs/heads/main"),
    ],
)
def test_each_role_trusts_one_subject_of_one_repository(project, word, subject):
    [statement] = role(template(project), word)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": subject}
    }


IDS = {"github_owner_id": "1234", "github_repository_id": "5678"}


@pytest.mark.parametrize(
    ("word", "event"),
    [
        ("may not deploy", "pull_request"),
        ("publishes and deploys", "ref:refs/heads/main"),
        ("removes old images", "ref:refs/heads/main"),
    ],
)
def test_with_ids_each_role_trusts_both_forms_of_the_subject_of_this_very_repository(project, word, event):
    """GitHub's subjects have ids for repositories created, renamed or transferred since 15 July 2026."""
    [statement] = role(template(project, **IDS), word)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            f"{ISSUER}:aud": "sts.amazonaws.com",
            f"{ISSUER}:sub": [f"repo:acme/site:{event}", f"repo:acme@1234/site@5678:{event}"],
            f"{ISSUER}:repository_id": "5678",
        }
    }


def test_one_id_without_the_other_is_refused(project):
    for key in IDS:
        with pytest.raises(InputError, match="must be given together"):
            make(project, **{key: "1"})


def test_a_pull_request_only_reads_and_is_denied_the_rest(project):
    allowed = [
        a for s in policy(template(project), "may not deploy") if s["Effect"] == "Allow" for a in actions(s)
    ]
    assert allowed
    assert all(re.match(r"[a-z0-9]+:(Describe|Get|List)", action) for action in allowed)
    [denied] = [s for s in policy(template(project), "may not deploy") if s["Effect"] == "Deny"]
    assert {"sts:AssumeRole", "cloudformation:ExecuteChangeSet", "ssm:PutParameter"} <= set(actions(denied))
    assert denied["Resource"] == "*"


def test_no_statement_allows_all_actions(project):
    for word in ("may not deploy", "publishes and deploys", "removes old images"):
        allowed = [one for one in policy(template(project), word) if one["Effect"] == "Allow"]
        assert allowed
        for statement in allowed:
            assert not [action for action in actions(statement) if "*" in action]


def test_the_roles_have_the_policies_of_the_docs(project):
    def documented(*names):
        files = [ROOT / "ingot" / "policies" / f"{name}.json" for name in names]
        return {
            action
            for file in files
            for s in json.loads(file.read_text())["Statement"]
            for action in s["Action"]
        }

    def allowed(word):
        return {a for s in policy(template(project), word) if s["Effect"] == "Allow" for a in actions(s)}

    plan = {"cloudformation:DescribeStackResource", "cloudformation:GetTemplate"}
    assert allowed("may not deploy") == documented("look") | plan
    deploys = documented("look", "publish", "build") | plan | {"sts:AssumeRole"}
    assert allowed("publishes and deploys") == deploys
    assert allowed("removes old images") == documented("prune")
    text = json.dumps(template(project)).replace("AWS::AccountId", "")
    assert not [
        word
        for word in ("ACCOUNT", "STACKS", "BUILDER_STACK", "BUILDER_TEMPLATE", "BUNDLE_BUCKET")
        if word in text
    ]


def test_the_deploying_role_is_within_what_iam_takes(project):
    """All inline policies of a role together: 10,240 characters without white space (IAM
    user guide, "IAM and STS quotas").
    """
    policies = role(template(project), "publishes and deploys")["Policies"]
    text = json.dumps([inline["PolicyDocument"] for inline in policies], separators=(",", ":"))
    assert len(text) < 10_240  # references are longer here than what they stand for, an id or an ARN's part


def test_an_account_that_has_the_provider_keeps_it(project):
    assert len(of_type(template(project), "AWS::IAM::OIDCProvider")) == 1
    given = template(project, github_provider=PROVIDER)
    assert of_type(given, "AWS::IAM::OIDCProvider") == []
    [statement] = role(given, "may not deploy")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Federated": PROVIDER}


def test_another_branch_deploys(project):
    [statement] = role(template(project, github_branch="release"), "deploys")["AssumeRolePolicyDocument"][
        "Statement"
    ]
    assert statement["Condition"]["StringEquals"][f"{ISSUER}:sub"] == "repo:acme/site:ref:refs/heads/release"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("github", "acme", "a GitHub repository as OWNER/NAME"),
        ("github", "acme/*", "a GitHub repository as OWNER/NAME"),
        ("github", "*/site", "a GitHub repository as OWNER/NAME"),
        ("github", "acme/site:pull_request", "a GitHub repository as OWNER/NAME"),
        ("github", 7, "must be text"),
        ("github_branch", "*", "a branch's name without wildcards"),
        ("github_owner_id", "*", "the id of a GitHub owner or repository"),
        ("github_repository_id", "5678/x@9", "the id of a GitHub owner or repository"),
        ("github_provider", "arn:aws:iam::1:oidc-provider/x", "the ARN of GitHub's identity provider"),
    ],
)
def test_what_would_open_the_roles_to_others_is_refused(project, key, value, expected):
    with pytest.raises(InputError) as caught:
        make(project, **{key: value})
    assert repr(value) in str(caught.value)
    assert expected in str(caught.value)


def test_linters_find_nothing(project):
    app = make(project)
    Aspects.of(app).add(AwsSolutionsChecks(verbose=True))
    out = Path(app.synth().directory)
    assert not [
        str(match) for match in lint((out / "IngotReview.template.json").read_text(), regions=["us-east-1"])
    ]
    annotations = Annotations.from_stack(app.node.find_child("IngotReview"))
    rules = Match.string_like_regexp("AwsSolutions-.*")
    found = [*annotations.find_error("*", rules), *annotations.find_warning("*", rules)]
    assert not [f"{message.id}: {message.entry.data}" for message in found]
