"""Policies against the Service Authorization Reference, as cfn-lint brings it along:
actions, resource types, condition keys.
"""

import json
import re
from importlib.resources import files

import pytest

from tests import ROOT
from tests.audit.account import POLICIES, document
from tests.stacks.everything import EVERYTHING, add_review

REFERENCE = json.loads((files("cfnlint.data.AdditionalSpecs") / "Policies.json").read_text())
# Keys of every request: IAM user guide, "AWS global condition context keys". Keys that the reference lists
# for an action, not for a resource.
GLOBAL = {"aws:requestedregion", "aws:principalarn", "ec2:createaction", "aws:tagkeys", "iam:passedtoservice"}
# It names composite alarms only to permissions that are scoped to *: CloudWatch API reference.
NEED_EVERYTHING = {"cloudwatch:DescribeAlarms"}
NAMES = sorted(path.stem for path in POLICIES.glob("*.json"))


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(policies):
    return [(name, statement) for name, policy in policies.items() for statement in policy["Statement"]]


@pytest.fixture
def policies(make_app):
    """The policies of the docs, and those in the stacks' templates with references made plain."""
    found = {name: document(name) for name in NAMES}
    app = make_app(**EVERYTHING)
    add_review(app)
    for artifact in app.synth().stacks:
        for name, resource in artifact.template["Resources"].items():
            if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
                found[name] = plain(resource["Properties"]["PolicyDocument"])
            for number, inline in enumerate(resource.get("Properties", {}).get("Policies", [])):
                if resource["Type"] == "AWS::IAM::Role":
                    found[f"{name} {number}"] = plain(inline["PolicyDocument"])
    assert len(found) > len(NAMES)
    return found


def plain(value):
    """Resolve references to words that fit where they stand in ARNs."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("Ref", "AWS::Partition")]:
            return "aws"
        case [("Ref", "AWS::AccountId")]:
            return "123456789012"
        case [("Ref", "AWS::Region")]:
            return "us-east-1"
        case [("Ref", name)]:
            return name.lower()
        case [("Fn::GetStackOutput", reference)]:
            return reference["OutputName"].lower()
        case [("Fn::GetAtt", [name, "Arn"])]:
            return arn_of(name)
        case [("Fn::GetAtt", [name, attribute])]:
            return f"{name}-{attribute}"
        case [("Fn::Join", [separator, parts])]:
            return separator.join(plain(parts))
    return {key: plain(item) for key, item in value.items()}


def arn_of(logical_id):
    if "Bundles" in logical_id or "Bucket" in logical_id:
        return f"arn:aws:s3:::{logical_id.lower()}"
    if "Log" in logical_id:
        return f"arn:aws:logs:us-east-1:123456789012:log-group:{logical_id}:*"
    return f"arn:aws:iam::123456789012:role/{logical_id}"


def reference_of(action):
    service, _, name = action.partition(":")
    assert service in REFERENCE, action
    known = REFERENCE[service]["Actions"]
    assert name.lower() in known, f"there is no action {action}"
    return REFERENCE[service], known[name.lower()].get("Resources", [])


def formats(service, kind):
    for pattern in service["Resources"][kind]["ARNFormats"]:
        text = re.sub(r"\$\{[A-Za-z]+\}", "[^:]*", pattern)
        yield re.compile(text.replace("/.*", "(/.*)?") if text.endswith("/.*") else text)


def test_each_stack_has_policies(policies):
    assert {"build", "look", "prune", "publish"} <= policies.keys()
    assert {name[:5] for name in policies} >= {"Build", "Fleet", "Roles"}


def test_no_action_is_a_wildcard(policies):
    for name, statement in statements(policies):
        assert not [action for action in listed(statement["Action"]) if "*" in action], (
            name,
            statement["Sid"],
        )


def test_every_action_exists_and_takes_the_resources_of_its_statement(policies):
    for name, statement in statements(policies):
        for action in listed(statement["Action"]):
            service, kinds = reference_of(action)
            for resource in listed(statement["Resource"]):
                if resource != "*":
                    fits = [
                        kind for kind in kinds if any(f.fullmatch(resource) for f in formats(service, kind))
                    ]
                    assert fits, f"{name}, {statement['Sid']}: {action} takes {kinds}, not {resource}"


def test_everything_is_allowed_on_nothing_but_what_takes_no_resource(policies):
    for name, statement in statements(policies):
        # A Deny may say everything: it only takes away.
        if statement["Effect"] == "Allow" and "*" in listed(statement["Resource"]):
            for action in listed(statement["Action"]):
                kinds = reference_of(action)[1] if action not in NEED_EVERYTHING else []
                assert not kinds, f"{name}, {statement['Sid']}: {action} could be limited to {kinds}"


def test_every_condition_key_exists_where_it_is_used(policies):
    for name, statement in statements(policies):
        keys = [key for tests in statement.get("Condition", {}).values() for key in tests]
        for action in listed(statement["Action"]):
            service, kinds = reference_of(action)
            for resource in listed(statement["Resource"]):
                here = [kind for kind in kinds if any(f.fullmatch(resource) for f in formats(service, kind))]
                known = {
                    re.sub(r"/\$\{[A-Za-z]+\}$", "", key).lower()
                    for kind in here
                    for key in service["Resources"][kind].get("ConditionKeys", [])
                }
                for key in keys:
                    bare = re.sub(r"(?i)^((aws|ec2):(request|resource)tag)/.*", r"\1", key).lower()
                    assert bare in known | GLOBAL, f"{name}, {statement['Sid']}: {action} does not know {key}"


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_of_the_docs_fits_a_managed_policy(name):
    """IAM user guide, "IAM and AWS STS quotas": 6,144 characters, blanks not counted."""
    text = (POLICIES / f"{name}.json").read_text()
    assert len(re.sub(r"\s", "", text)) <= 6144 * 0.9, "the words in capitals become longer"


def test_the_page_says_which_policy_is_too_long_for_a_user():
    """IAM user guide, "IAM and AWS STS quotas": a user's inline policies have 2,048 characters in all."""
    long = [
        f"`{name}.json`"
        for name in NAMES
        if len(re.sub(r"\s", "", (POLICIES / f"{name}.json").read_text())) > 2048
    ]
    page = " ".join((ROOT / "docs" / "aws.md").read_text().split())
    few = f"inline policies have 2,048 characters in all, too few for {', '.join(long)}"
    assert few in page
