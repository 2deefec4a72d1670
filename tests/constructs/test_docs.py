"""The app in the docs is one."""

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from types import SimpleNamespace

import pytest
from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template

from ingot.constructs import (
    Alarms,
    Clone,
    CloneFleet,
    GoldenImage,
    HealthCheck,
    Hook,
    Refresh,
    Rule,
    Scaling,
    Schedule,
    Serving,
    Spot,
    Volume,
    WarmPool,
)
from tests import ROOT
from tests.constructs.recipes import write_recipe

PAGE = ROOT / "docs" / "constructs.md"
ESCAPES = ROOT / "docs" / "escape-hatches.md"
VOLUMES = ROOT / "docs" / "volumes.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"


def test_the_app_in_the_docs_synthesizes(project):
    write_recipe(project, "api")
    code, grants, balanced, scheduled, shared, roles = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    names: dict = {}
    exec(code.replace("app.synth()\n", ""), names)
    exec(grants, names)
    fleet = names["stack"]
    for number, part in enumerate((balanced, scheduled)):
        names["stack"] = Stack(names["app"], f"More{number}")
        exec(part, names)
    names["stack"] = Stack(names["app"], "Shared")
    exec(shared, names)
    names["stack"] = Stack(names["app"], "Review")
    exec("from ingot.constructs import ReviewRoles\n" + roles, names)
    assert names["roles"].deploy.role_name
    template = Template.from_stack(fleet)
    assert set(template.to_json()["Outputs"]) == {
        "Url", "AutoScalingGroupName", "LaunchTemplateId", "RecipeName", "RecipeDigest",
    }  # fmt: skip
    template.has_resource_properties("AWS::AutoScaling::AutoScalingGroup", {"MinSize": "3", "MaxSize": "9"})


def test_the_configured_fleet_in_the_docs_synthesizes(project, stack):
    text = CONFIGURATION.read_text()
    [recipe] = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    write_recipe(project, "api", configured=recipe)
    image = GoldenImage(stack, "Image", recipe="api")
    exec(code, {"stack": stack, "image": image, "CloneFleet": CloneFleet})
    Template.from_stack(stack).resource_count_is("AWS::EC2::VPCEndpoint", 2)


def test_the_fleet_with_volumes_in_the_docs_synthesizes(project, stack):
    text = VOLUMES.read_text()
    [recipe] = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    write_recipe(project, "db", configured=recipe, requested={"packages": ["postgresql"]})
    image = GoldenImage(stack, "Image", recipe="db")
    exec(code, {"stack": stack, "image": image, "CloneFleet": CloneFleet})
    Template.from_stack(stack).resource_count_is("AWS::EC2::LaunchTemplate", 1)


def test_the_escape_hatches_of_the_docs_open(project, stack):
    write_recipe(project, "api")
    image = GoldenImage(stack, "Image", recipe="api")
    fleet = CloneFleet(stack, "Fleet", image=image)
    peer = ec2.SecurityGroup(stack, "Peer", vpc=fleet.vpc)
    database = ec2.Connections(security_groups=[peer], default_port=ec2.Port.tcp(5432))
    names = {
        "stack": stack,
        "image": image,
        "fleet": fleet,
        "database_group": SimpleNamespace(connections=database),
    }
    for code in re.findall(r"^```python\n(.*?)^```", ESCAPES.read_text(), re.DOTALL | re.MULTILINE):
        exec(code, names)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::AutoScaling::ScalingPolicy", 3)
    template.resource_count_is("AWS::ElasticLoadBalancingV2::Listener", 2)
    template.resource_count_is("AWS::EC2::Instance", 1)
    template.has_resource_properties("AWS::AutoScaling::AutoScalingGroup", {"MaxInstanceLifetime": 2592000})


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


@pytest.mark.parametrize(("construct", "page"), [(CloneFleet, PAGE), (Clone, ESCAPES)])
def test_every_option_is_documented_where_it_is_and_on_the_page(construct, page):
    options = set(inspect.signature(construct.__init__).parameters) - {"self", "scope", "id_"}
    assert len(options) > 10
    assert construct.__doc__ is not None
    described = {
        name
        for names in re.findall(r":param ([\w, \n]+):", construct.__doc__)
        for name in re.split(r",\s*", names)
    }
    assert described == options
    assert options - words_of(page.read_text()) == set()


@pytest.mark.parametrize(
    "value",
    [Alarms, HealthCheck, Hook, Refresh, Rule, Scaling, Schedule, Serving, Spot, Volume, WarmPool],
)
def test_every_field_of_a_value_is_described_and_named_on_the_page(value):
    """The description is the string below the field: what editors and the table of the page are made of."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    assert isinstance(tree, ast.ClassDef)
    described = {
        before.target.id
        for before, after in itertools.pairwise(tree.body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    fields = {field.name for field in dataclasses.fields(value)}
    assert fields - described == set()
    assert fields - words_of(PAGE.read_text()) == set()
