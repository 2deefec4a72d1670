"""Every template is held against CloudFormation's own resource schemas, which cfn-lint
brings along; and that check bites.
"""

import copy
import json
import re
from pathlib import Path

import pytest
from cfnlint.api import lint
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests import ROOT
from tests.stacks.everything import EVERYTHING, add_review

PAGE = ROOT / "docs" / "security.md"
REGION = "us-east-1"


@pytest.fixture
def synthesized(make_app):
    """The templates with everything on: what the defaults have is in them, too."""
    app = make_app(**EVERYTHING)
    add_review(app)
    out = Path(app.synth().directory)
    return {path.name: json.loads(path.read_text()) for path in out.glob("*.template.json")}


def rules(template):
    return [match.rule.id for match in lint(json.dumps(template), regions=[REGION])]


def test_there_is_a_schema_for_every_resource_type(synthesized):
    for template in synthesized.values():
        for resource in template["Resources"].values():
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource["Type"])
            assert schema.schema["properties"], resource["Type"]


def test_every_resource_is_held_against_it(synthesized):
    """A property that the schema does not have is found in each single resource."""
    for template in synthesized.values():
        for resource in template["Resources"].values():
            resource.setdefault("Properties", {})["NoSuchProperty"] = "1"
        found = {
            match.path[1]
            for match in lint(json.dumps(template), regions=[REGION])
            if match.rule.id == "E3002" and match.path[-1] == "NoSuchProperty"
        }
        assert found == set(template["Resources"])


def first(template, kind):
    return next(r["Properties"] for r in template["Resources"].values() if r["Type"] == kind)


@pytest.mark.parametrize(
    ("kind", "change", "rule"),
    [
        ("AWS::EC2::LaunchTemplate", lambda p: p.pop("LaunchTemplateData"), "E3003"),
        ("AWS::ElasticLoadBalancingV2::TargetGroup", lambda p: p.update(Port="eighty"), "E3012"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", lambda p: p.update(Type="neural"), "E3030"),
        ("AWS::EC2::VPC", lambda p: p.update(InstanceTenancy="shared"), "E3030"),
        ("AWS::CloudWatch::Alarm", lambda p: p.update(EvaluationPeriods=[1]), "E3012"),
        ("AWS::Logs::LogGroup", lambda p: p.update(RetentionInDays=31), "E3030"),
    ],
)
def test_what_the_schema_forbids_is_found(synthesized, kind, change, rule):
    template = next(
        copy.deepcopy(t)
        for t in synthesized.values()
        if any(r["Type"] == kind for r in t["Resources"].values())
    )
    assert rule not in rules(template)
    change(first(template, kind))
    assert rule in rules(template)


# What a page calls the services whose resources the templates have.
SERVICES = {
    "AutoScaling": "Auto Scaling",
    "CloudWatch": "CloudWatch",
    "EC2": "EC2",
    "ElasticLoadBalancingV2": "Elastic Load Balancing",
    "IAM": "IAM",
    "Logs": "CloudWatch Logs",
    "S3": "S3",
}
OF_IAM = {
    "InstanceProfile": "instance profiles",
    "OIDCProvider": "identity provider",
    "Policy": "policies",
    "Role": "roles",
}


def test_the_page_on_security_lists_what_cloudformation_must_be_allowed(synthesized):
    """For those who narrow CloudFormation's role by `--cloudformation-execution-policies`."""
    [sentence] = re.findall(
        r"--cloudformation-execution-policies` narrows(.*?);\n- ", PAGE.read_text(), re.DOTALL
    )
    kinds = {
        tuple(resource["Type"].split("::")[1:])
        for template in synthesized.values()
        for resource in template["Resources"].values()
    }
    assert {service for service, _ in kinds} == SERVICES.keys()
    assert {kind for service, kind in kinds if service == "IAM"} == OF_IAM.keys()
    words = " ".join(sentence.split())
    assert not [word for word in (*SERVICES.values(), *OF_IAM.values()) if word not in words]
