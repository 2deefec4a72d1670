"""What reviewers get to see of the stacks.

After a change that is meant: INGOT_UPDATE_SNAPSHOTS=1 pytest tests/stacks
"""

import json
import os
import re
from pathlib import Path

import pytest
from aws_cdk import Aspects
from aws_cdk.assertions import Annotations, Match
from cdk_nag import AwsSolutionsChecks
from cfnlint.api import lint

from ingot.errors import InputError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests import ROOT
from tests.constructs.recipes import write_recipe
from tests.stacks.descriptions import EC2_DESCRIPTION, security_group_descriptions
from tests.stacks.everything import EVERYTHING
from tests.stacks.readable import readable

SNAPSHOTS = Path(__file__).parent / "snapshots"
STACKS = ["IngotBuilder", "IngotFleet"]


@pytest.mark.parametrize("stack", STACKS)
def test_the_template_is_the_reviewed_one(templates, project, stack):
    text = readable(templates[stack], recipe_digest(load_recipe(project / "image_recipes" / "web")))
    snapshot = SNAPSHOTS / f"{stack}.yaml"
    if os.environ.get("INGOT_UPDATE_SNAPSHOTS"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(text)
    assert text == snapshot.read_text()


@pytest.fixture
def everything(make_app):
    """The fleet's template with everything on."""

    def template(**changed):
        out = Path(make_app(**{**EVERYTHING, **changed}).synth().directory)
        return json.loads((out / "IngotFleet.template.json").read_text())

    return template


def test_the_template_with_everything_on_is_the_reviewed_one(everything, project):
    text = readable(everything(), recipe_digest(load_recipe(project / "image_recipes" / "web")))
    snapshot = SNAPSHOTS / "IngotFleet-everything.yaml"
    if os.environ.get("INGOT_UPDATE_SNAPSHOTS"):
        snapshot.write_text(text)
    assert text == snapshot.read_text()


def test_snapshots_name_no_machine_and_no_account():
    for snapshot in SNAPSHOTS.iterdir():
        text = snapshot.read_text().replace("111122223333", "")
        assert not re.search(r"/home/|/root/|/work/|/tmp/|\b[0-9]{12}\b", text), snapshot


@pytest.mark.parametrize("region", [None, "us-east-1", "eu-central-1"])
def test_cfn_lint_finds_nothing(make_app, region):
    known = {} if region is None else {"account": "111122223333", "region": region}
    out = Path(make_app(**known).synth().directory)
    for stack in STACKS:
        found = lint((out / f"{stack}.template.json").read_text(), regions=[region or "us-east-1"])
        assert not [str(match) for match in found]


WARM = {"spot_percentage": 0, "on_demand_base": 0, "more_instance_types": "none", "warm_pool": 2}
GIVEN = {
    "vpc_id": "vpc-0a1b2c3d", "vpc_zones": "eu-central-1a,eu-central-1b", "zones": 2, "egress": True,
    "public_subnets": "subnet-0000000a,subnet-0000000b", "clone_subnets": "subnet-0000000c,subnet-0000000d",
}  # fmt: skip


@pytest.mark.parametrize("changed", [{}, WARM, GIVEN], ids=["spot", "warm pool", "given VPC"])
def test_cfn_lint_finds_nothing_with_everything_on(everything, changed):
    assert not [str(match) for match in lint(json.dumps(everything(**changed)), regions=["eu-central-1"])]


@pytest.mark.parametrize("changed", [{}, WARM, GIVEN], ids=["spot", "warm pool", "given VPC"])
def test_cdk_nag_finds_nothing_with_everything_on_that_no_reason_answers(make_app, changed):
    app = make_app(**{**EVERYTHING, **changed})
    Aspects.of(app).add(AwsSolutionsChecks(verbose=True))
    rules = Match.string_like_regexp("AwsSolutions-.*")
    annotations = Annotations.from_stack(app.node.find_child("IngotFleet"))
    found = [*annotations.find_error("*", rules), *annotations.find_warning("*", rules)]
    assert not [f"{message.id}: {message.entry.data}" for message in found]


@pytest.mark.parametrize("changed", [{}, {"egress": True}, GIVEN, {**GIVEN, "egress": False}])
def test_ec2_takes_every_description_of_a_security_group(everything, templates, changed):
    for template in [*templates.values(), everything(**changed)]:
        found = security_group_descriptions(template)
        assert found
        assert not [text for text in found if not EC2_DESCRIPTION.fullmatch(text)]


def test_cfn_lint_would_find_something(templates):
    template = templates["IngotFleet"]
    [group] = [r for r in template["Resources"].values() if r["Type"] == "AWS::AutoScaling::AutoScalingGroup"]
    group["Properties"]["MinimumSize"] = group["Properties"].pop("MinSize")
    assert lint(json.dumps(template), regions=["us-east-1"])


def test_cdk_nag_would_find_something(make_app):
    app = make_app()
    bucket = next(c for c in app.node.find_all() if c.node.path == "IngotBuilder/Builder/Bundles/Resource")
    bucket.add_metadata("cdk_nag", {"rules_to_suppress": []})
    Aspects.of(app).add(AwsSolutionsChecks(verbose=True))
    with pytest.raises(RuntimeError, match="AwsSolutions-S1"):
        app.synth()


def test_cdk_nag_finds_nothing_that_no_reason_answers(make_app):
    app = make_app()
    Aspects.of(app).add(AwsSolutionsChecks(verbose=True))
    rules = Match.string_like_regexp("AwsSolutions-.*")
    for name in STACKS:
        annotations = Annotations.from_stack(app.node.find_child(name))
        found = [*annotations.find_error("*", rules), *annotations.find_warning("*", rules)]
        assert not [f"{message.id}: {message.entry.data}" for message in found]


def test_no_look_ups_no_functions_no_secrets(make_app):
    app = make_app(account="111122223333", region="eu-central-1")
    out = Path(app.synth().directory)
    assert "missing" not in json.loads((out / "manifest.json").read_text())
    for stack in STACKS:
        text = (out / f"{stack}.template.json").read_text()
        assert "AWS::Lambda" not in text
        assert "Custom::" not in text
        assert not re.search(r"AKIA[0-9A-Z]{16}|PRIVATE KEY|[Pp]assword", text)


def test_a_new_image_changes_the_reference_and_the_output_that_names_it(make_app, project):
    def lines():
        out = Path(make_app().synth().directory)
        return (out / "IngotFleet.template.json").read_text().splitlines()

    before = lines()
    write_recipe(project, motd="changed")
    changed = [new.split('"')[1] for old, new in zip(before, lines(), strict=True) if old != new]
    assert changed == ["ImageId", "Value"]


def test_the_outputs_are_those_that_the_commands_read(templates):
    assert {name: sorted(template["Outputs"]) for name, template in templates.items()} == {
        "IngotBuilder": [
            "BuilderImage",
            "BuilderLaunchTemplateId",
            "BuilderMode",
            "BundleBucketName",
            "LocalBuilderImage",
            "LogGroupName",
            "SubnetIds",
            "TestLaunchTemplateId",
        ],
        "IngotFleet": ["AutoScalingGroupName", "LaunchTemplateId", "RecipeDigest", "RecipeName", "Url"],
    }
    assert not [
        out for template in templates.values() for out in template["Outputs"].values() if "Export" in out
    ]


def test_settings_reach_the_template(make_app):
    app = make_app(
        min_clones="1", max_clones="1", instance_type="m7i.large", vpc_cidr="172.30.0.0/20", health_path="/up"
    )
    text = (Path(app.synth().directory) / "IngotFleet.template.json").read_text()
    for word in ('"MinSize": "1"', '"MaxSize": "1"', "m7i.large", "172.30.0.0/20", "/up"):
        assert word in text


def test_the_page_says_how_many_networks_of_the_quota_are_taken(make_app):
    """Five VPCs a region by default (Amazon VPC user guide, "Amazon VPC quotas")."""

    def networks(**context):
        out = Path(make_app(**context).synth().directory)
        templates = [json.loads(path.read_text()) for path in out.glob("*.template.json")]
        resources = [r for template in templates for r in template["Resources"].values()]
        return sorted(r["Properties"]["CidrBlock"] for r in resources if r["Type"] == "AWS::EC2::VPC")

    assert networks() == ["172.20.0.0/16", "172.21.0.0/24"]
    assert networks(vpc_cidr="172.22.0.0/16") == ["172.21.0.0/24", "172.22.0.0/16"]
    page = " ".join((ROOT / "docs" / "aws.md").read_text().split())
    assert "A builder and a fleet with networks of their own take two, and each further environment" in page
    assert "All fleets have 172.20.0.0/16 unless `vpc_cidr` says otherwise" in page


def test_watching_leaves_recipes_out():
    """Each save would bake an image and roll the fleet."""
    watched = json.loads((ROOT / "cdk.json").read_text())["watch"]["include"]
    assert watched
    assert not [pattern for pattern in watched if pattern.startswith(("image_recipes", "**"))]


def test_zones_by_name(make_app):
    """The first zones of a region may be fewer than are wanted, or lack the instance type."""
    out = Path(make_app(zones=3, zone_names="eu-west-1a,eu-west-1c,eu-west-1d").synth().directory)
    for stack, wanted in (
        ("IngotFleet", {"eu-west-1a", "eu-west-1c", "eu-west-1d"}),
        ("IngotBuilder", set()),
    ):
        resources = json.loads((out / f"{stack}.template.json").read_text())["Resources"].values()
        zones = [r["Properties"]["AvailabilityZone"] for r in resources if r["Type"] == "AWS::EC2::Subnet"]
        assert {zone for zone in zones if isinstance(zone, str)} == wanted
    with pytest.raises(InputError, match="zone_names has 2 names, and zones is 3"):
        make_app(zones=3, zone_names="eu-west-1a,eu-west-1c")
