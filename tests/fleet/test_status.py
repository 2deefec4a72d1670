"""The fleet's status, by a group, launch templates and target groups of the local cloud."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ingot.aws.session.tags import tag_list
from ingot.aws.session.waiting import wait_until
from ingot.cli.terminal.fleets import show
from ingot.errors import IngotError
from ingot.fleet.rollout import refresh_line, refreshes_reported, wait_steady
from ingot.fleet.status import Clone, FleetStatus, InstanceRefresh, fleet_status
from tests.fleet.support import NO_REFRESH, REFRESH, deploy_fleet, remove_fleet
from tests.outputs import document_of

DIGEST = "ab" * 32
CLONE = Clone("i-1", "ami-1", "2", "InService", "healthy", "web", DIGEST)
STEADY = FleetStatus("IngotFleet", "http://x", "group", "web", DIGEST, 1, "2", (CLONE,), None)


def quiet(_message):
    """Progress that nobody reads."""


def test_a_fleet_with_all_clones_newest_and_healthy_is_steady():
    assert STEADY.steady
    assert replace(STEADY, refresh=InstanceRefresh("r", "Successful", 100, "")).steady


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"desired": 2}, "1 of 2 clones of version 2 serve"),
        ({"version": "3"}, "i-1 version 2 InService healthy"),
        ({"clones": (replace(CLONE, health="unhealthy"),)}, "i-1 version 2 InService unhealthy"),
        (
            {"clones": (CLONE, replace(CLONE, instance_id="i-2", lifecycle="Terminating"))},
            "i-2 version 2 Terminating healthy",
        ),
        ({"refresh": InstanceRefresh("r", "InProgress", 50, "")}, "refresh InProgress, 50 %"),
        ({"refresh": InstanceRefresh("r", "RollbackInProgress", 50, "")}, "refresh RollbackInProgress, 50 %"),
    ],
)
def test_what_a_fleet_waits_for_is_named(changed, reason):
    status = replace(STEADY, **changed)
    assert not status.steady
    assert reason in status.reasons()


@pytest.fixture
def ami(direct):
    """An AMI of a published image."""
    ec2 = direct.ec2
    zone = ec2.describe_subnets()["Subnets"][0]["AvailabilityZone"]
    volume = ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1})
    values = {"ingot:recipe": "web", "ingot:digest": DIGEST}
    return ec2.register_image(
        Name="ingot/web/1",
        RootDeviceName="/dev/xvda",
        Architecture="x86_64",
        VirtualizationType="hvm",
        EnaSupport=True,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
        TagSpecifications=[{"ResourceType": "image", "Tags": tag_list(values)}],
    )["ImageId"]


@pytest.fixture
def stack(direct, proxy, ami):
    """A stack with the fleet's outputs, and a group of one instance behind a target group."""
    deploy_fleet(direct, proxy, ami, DIGEST)
    yield ami
    remove_fleet(direct)


@pytest.fixture
def unbalanced(direct, proxy, ami):
    """The same without a load balancer."""
    deploy_fleet(direct, proxy, ami, DIGEST, balanced=False)
    yield ami
    remove_fleet(direct)


def test_a_fleet_without_a_load_balancer_goes_by_what_ec2_says_of_its_clones(unbalanced, clients, capsys):
    status = fleet_status(clients, "IngotFleet")
    assert status.url is None
    assert [clone.health for clone in status.clones] == ["healthy"]
    assert wait_steady(clients, "IngotFleet", progress=quiet, limit=5).steady
    show(status)
    assert "IngotFleet: no load balancer" in capsys.readouterr().out
    assert document_of("status", status.as_dict())["url"] is None


def test_the_clones_are_shown_with_what_they_were_launched_from(stack, clients):
    status = fleet_status(clients, "IngotFleet")
    assert (status.url, status.recipe, status.digest, status.desired) == (
        "http://localhost:1",
        "web",
        DIGEST,
        1,
    )
    (clone,) = status.clones
    assert (clone.ami_id, clone.version, clone.recipe, clone.digest) == (stack, "1", "web", DIGEST)
    assert clone.lifecycle == "InService"
    assert status.version == "1"
    assert document_of("status", status.as_dict())["clones"][0]["ami_id"] == stack
    assert clone.host.startswith("ip-")
    assert "." not in clone.host


def test_a_refresh_that_runs_is_shown(stack, clients, proxy):
    proxy.answers["DescribeInstanceRefreshes"] = NO_REFRESH % REFRESH
    status = fleet_status(clients, "IngotFleet")
    assert status.refresh == InstanceRefresh("08b91cf7", "InProgress", 50, "Waiting")
    assert not status.steady


def test_a_fleet_that_does_not_settle_is_told_with_reasons(stack, direct, clients):
    direct.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="fleet", LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "2"}
    )
    with pytest.raises(IngotError, match="0 of 1 clones of version 2 serve"):
        wait_steady(clients, "IngotFleet", progress=quiet, limit=0.5)


def test_a_stack_that_is_not_deployed_is_named(direct):
    with pytest.raises(IngotError, match="IngotFleet is not deployed in us-east-1"):
        fleet_status(direct, "IngotFleet")


def test_a_group_of_more_than_200_clones_is_asked_for_in_parts(cloud, clients, proxy):
    """EC2 takes 200 values in a filter, and so does the local cloud."""
    from ingot.fleet.status import described_instances

    assert described_instances(clients, [f"i-{number:017x}" for number in range(401)]) == {}
    assert proxy.seen["DescribeInstances"] == 3


@pytest.mark.parametrize(("desired", "said"), [(2, "2 clones"), (1, "2 clones (1 desired)")])
def test_the_table_counts_the_clones_and_names_their_hosts_as_the_page_does(capsys, desired, said):
    clones = (replace(CLONE, host="ip-172-20-192-4"), replace(CLONE, instance_id="i-2"))
    show(FleetStatus("IngotFleet", "http://x", "g", "web", "d" * 64, desired, "2", clones, None))
    out = capsys.readouterr().out
    assert f"web {'d' * 12}: {said} " in out
    assert [line.split("│")[2].strip() for line in out.splitlines() if line.startswith("│")] == [
        "ip-172-20-192-4",
        "unknown",
    ]


def test_a_roll_out_is_told_while_something_else_waits(stack, clients, proxy):
    proxy.answers["DescribeInstanceRefreshes"] = NO_REFRESH % REFRESH
    lines: list[str] = []
    seen = threading.Event()

    def progress(line: str) -> None:
        lines.append(line)
        seen.set()

    with refreshes_reported(clients, ("IngotNetwork", "IngotFleet"), progress, pause=0.01):
        assert seen.wait(120)
    assert lines == ["IngotFleet: refresh InProgress, 50 %; 1 of 1 new clones serve"]


def test_new_clones_that_do_not_serve_yet_are_named():
    young = (replace(CLONE, health="initial"), replace(CLONE, instance_id="i-2", lifecycle="Pending"))
    refresh = InstanceRefresh("r", "InProgress", 0, "")
    status = replace(STEADY, desired=2, clones=(*young, replace(CLONE, version="1")), refresh=refresh)
    said = "IngotFleet: refresh InProgress, 0 %; 0 of 2 new clones serve; i-1 initial, i-2 Pending"
    assert refresh_line(status) == said


def test_what_cannot_be_seen_of_a_roll_out_is_not_told(clients, proxy):
    lines: list[str] = []
    with refreshes_reported(clients, ("IngotFleet",), lines.append, pause=0.01):
        wait_until(lambda: proxy.seen["DescribeStacks"] > 1, "two looks", limit=120)
    assert lines == []


def test_a_fleet_without_a_load_balancer_is_shown(capsys):
    show(replace(STEADY, url=None))
    printed = capsys.readouterr().out
    assert printed.startswith("IngotFleet: no load balancer\n")
    assert "steady" in printed
