"""What a deployment costs: counted from the templates; and the page about it says the same."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingot.cli.cost import app
from ingot.errors import InputError
from ingot.plan.cost import Item, known_prices, monthly, once
from tests import ROOT
from tests.outputs import document_of
from tests.stacks.conftest import make_app, project  # noqa: F401 - fixtures
from tests.stacks.everything import EVERYTHING

PAGE = ROOT / "docs" / "cost.md"
PRICES = known_prices()
# Heading of a table in the page -> the settings that it is of.
TABLES = {
    "With the defaults": {},
    "With a way out for the clones": {"egress": True},
    "With everything that docs/constructs.md offers": EVERYTHING,
}


@pytest.fixture
def items(make_app):  # noqa: F811 - a fixture
    def of(**settings):
        out = Path(make_app(**settings).synth().directory)
        return monthly(
            {file.name: json.loads(file.read_text()) for file in out.glob("*.template.json")}, PRICES
        )

    return of


def table(heading):
    [section] = re.findall(
        rf"^### {re.escape(heading)}.*?\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    rows = [
        [cell.strip(" *") for cell in row.strip("|").split("|")]
        for row in section.splitlines()
        if row.startswith("|")
    ]
    return [tuple(row) for row in rows[2:]]


def shown(items, *, digits=2):
    rows = [(item.what, item.how, f"{item.usd:.{digits}f}") for item in items]
    return rows if digits != 2 else [*rows, ("a month", "", f"{sum(item.usd for item in items):.2f}")]


@pytest.mark.parametrize("heading", TABLES)
def test_the_page_says_what_the_templates_cost(heading, items):
    assert table(heading) == shown(items(**TABLES[heading]))


def test_the_page_says_what_bursting_costs_where_clones_may_burst(make_app):  # noqa: F811 - a fixture
    """A type of T3 bills what it takes above its baseline (EC2 user guide, "unlimited mode")."""
    out = Path(make_app().synth().directory)
    fleet = json.loads((out / "IngotFleet.template.json").read_text())["Resources"].values()
    [data] = [r["Properties"]["LaunchTemplateData"] for r in fleet if r["Type"] == "AWS::EC2::LaunchTemplate"]
    [policy] = [r["Properties"] for r in fleet if r["Type"] == "AWS::AutoScaling::ScalingPolicy"]
    target = policy["TargetTrackingConfiguration"]["TargetValue"]
    assert data["InstanceType"] == "t3.small", "the page speaks of another type"
    page = " ".join(PAGE.read_text().split())
    assert "surplus credits cost 0.05 USD per vCPU-hour" in page
    assert f"Target tracking at {target:g} % CPU (`cpu_target`)" in page


def test_the_page_says_what_a_publish_costs():
    assert table("Publishing an image") == shown(once(PRICES), digits=4)


def test_the_page_says_of_when_and_where_the_prices_are():
    assert PRICES["known"] in " ".join(PAGE.read_text().split())
    assert PRICES["region"] in PAGE.read_text()


GROUP = {
    "Type": "AWS::AutoScaling::AutoScalingGroup",
    "Properties": {
        "MinSize": "2",
        "DesiredCapacity": "3",
        "LaunchTemplate": {"LaunchTemplateId": {"Ref": "T"}},
    },
}
DATA = {
    "InstanceType": "t3.small",
    "Monitoring": {"Enabled": True},
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10}}],
}


def template(**resources):
    template = {"T": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": DATA}}}
    return {"a": {"Resources": template | resources}}


def test_a_group_costs_its_clones_their_volumes_and_what_is_measured():
    assert monthly(template(G=GROUP), PRICES) == [
        Item("clones, t3.small", "3 × 730 h × 0.0208", 45.55),
        Item("their root volumes, gp3", "3 × 10 GiB × 0.08", 2.4),
        Item("detailed monitoring", "3 × 2.1", 6.3),
    ]


def test_a_warm_pool_costs_its_volumes():
    pool = {"Type": "AWS::AutoScaling::WarmPool", "Properties": {"MinSize": 2}}
    assert Item("volumes of the warm pool", "2 × 10 GiB × 0.08", 1.6) in monthly(
        template(G=GROUP, P=pool), PRICES
    )


def test_two_of_a_kind_are_one_line():
    nat = {"Type": "AWS::EC2::NatGateway"}
    assert monthly(template(A=nat, B=nat), PRICES) == [Item("NAT gateway", "2 × 730 h × 0.045", 65.7)]


def test_a_type_without_a_price_is_named():
    unknown = {**PRICES, "instance": {}}
    with pytest.raises(InputError, match=r"no price is known for t3\.small") as caught:
        monthly(template(G=GROUP), unknown)
    assert "--price t3.small=0.1" in str(caught.value)


def test_the_command(tmp_path):
    (tmp_path / "A.template.json").write_text(json.dumps(template(G=GROUP)["a"]))
    lines = CliRunner().invoke(app, [str(tmp_path)]).stdout.splitlines()
    assert lines[0] == "    45.55  clones, t3.small: 3 × 730 h × 0.0208"
    done = CliRunner().invoke(app, [str(tmp_path), "--json", "--price", "t3.small=1"])
    assert document_of("cost", done.stdout)["items"][0]["usd"] == 2190.0


def test_where_nothing_was_synthesized(tmp_path):
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert "there is no template in" in str(result.exception)


def test_a_price_that_is_none():
    result = CliRunner().invoke(app, ["--price", "t3.small=cheap"])
    assert "is not a type and its price" in str(result.exception)
