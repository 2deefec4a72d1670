"""The resources that Ingot's stacks are made of are created, changed and deleted through the real APIs."""

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.fleet import (
    POLICY,
    Refreshes,
    fleet,
    group_of,
    outputs_of,
    refreshes,
    versions_of,
)
from tests.localcloud.services.cloudformation.support import create, events, settled, update

__all__ = ["refreshes"]


def test_a_new_image_makes_a_version_and_refreshes_the_group(
    local_cloud: LocalCloud, refreshes: Refreshes
) -> None:
    one, two = local_cloud.image("one"), local_cloud.image("two")
    outputs = outputs_of(create(local_cloud, "fleet", fleet(one)))
    assert refreshes.asked == []
    vpc = local_cloud.client("ec2").describe_vpcs(VpcIds=[outputs["Vpc"]])["Vpcs"][0]
    assert {"Key": "aws:cloudformation:stack-name", "Value": "fleet"} in vpc["Tags"]
    (egress,) = local_cloud.client("ec2").describe_security_groups(GroupIds=[outputs["Group"]])[
        "SecurityGroups"
    ][0]["IpPermissionsEgress"]
    assert egress["FromPort"] == 443
    assert update(local_cloud, "fleet", fleet(two))["StackStatus"] == "UPDATE_COMPLETE"
    assert versions_of(local_cloud, outputs["Template"]) == [one, two]
    assert refreshes.asked == [(outputs["Clones"], POLICY["AutoScalingInstanceRefresh"])]
    group = group_of(local_cloud, outputs["Clones"])
    assert group["LaunchTemplate"]["Version"] == "2"
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    assert (tags["Name"], tags["aws:cloudformation:stack-name"]) == ("clone", "fleet")


def test_a_change_of_sizes_refreshes_nothing(local_cloud: LocalCloud, refreshes: Refreshes) -> None:
    image = local_cloud.image("sizes")
    outputs = outputs_of(create(local_cloud, "sizes", fleet(image)))
    # Somebody set this meanwhile: sizes that the template does not change stay
    # (IgnoreUnmodifiedGroupSizeProperties).
    autoscaling = local_cloud.client("autoscaling")
    autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=outputs["Clones"], HealthCheckType="EC2", MaxSize=3
    )
    update(local_cloud, "sizes", fleet(image, maximum="2", grace=90))
    assert group_of(local_cloud, outputs["Clones"])["MaxSize"] == 3
    update(local_cloud, "sizes", fleet(image, maximum="4", grace=90))
    assert group_of(local_cloud, outputs["Clones"])["MaxSize"] == 4
    assert versions_of(local_cloud, outputs["Template"]) == [image]
    assert refreshes.asked == []


def test_a_failed_refresh_rolls_back_to_a_version_with_the_old_image(
    local_cloud: LocalCloud, refreshes: Refreshes
) -> None:
    good, bad = local_cloud.image("good"), local_cloud.image("bad")
    outputs = outputs_of(create(local_cloud, "refresh", fleet(good)))
    refreshes.fails = True
    assert update(local_cloud, "refresh", fleet(bad))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert versions_of(local_cloud, outputs["Template"]) == [good, bad, good]
    assert group_of(local_cloud, outputs["Clones"])["LaunchTemplate"]["Version"] == "3"
    assert len(refreshes.asked) == 2
    assert any(s == "UPDATE_FAILED" and "do not answer" in r for _, s, r in events(local_cloud, "refresh"))


def test_deletion_leaves_nothing(local_cloud: LocalCloud) -> None:
    stack = create(local_cloud, "leaves", fleet(local_cloud.image("leaves")))
    outputs = outputs_of(stack)
    local_cloud.client("cloudformation").delete_stack(StackName="leaves")
    assert settled(local_cloud, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    vpcs = local_cloud.client("ec2").describe_vpcs()["Vpcs"]
    assert outputs["Vpc"] not in [vpc["VpcId"] for vpc in vpcs]
    assert not local_cloud.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[outputs["Clones"]]
    )["AutoScalingGroups"]
