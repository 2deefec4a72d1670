"""An instance refresh that is rolled back by an alarm on what real machines do.

Source: Amazon EC2 Auto Scaling user guide, "Undo changes with a rollback": when an alarm goes into ALARM, an
instance refresh with auto rollback restores the launch template's version of before.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud.services.ec2.test_instances_real import HALT, PRINT, register

# Fourteen milliseconds of work in each tick of 55 ms, a quarter of a processor: a clone that is busy all the
# time takes a whole one from the tests beside it.
# sti; tick: mov bx, 160; outer: xor cx, cx; inner: loop inner; dec bx; jnz outer; hlt; jmp tick
BUSY = b"\xfb\xbb\xa0\x00\x31\xc9\xe2\xfe\x4b\x75\xf9\xf4\xeb\xf3"
# Percent of its two processors: 12 when it is busy, 1 when it is not, with its boot.
THRESHOLD = 4.0


def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], limit: float = 600) -> Any:
    end = time.monotonic() + limit
    while not wanted(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.5)
    return found


@pytest.mark.slow
def test_a_busy_clone_fires_the_alarm_and_the_group_goes_back(machine_cloud: Any) -> None:
    ec2, autoscaling = machine_cloud.client("ec2"), machine_cloud.client("autoscaling")
    cloudwatch = machine_cloud.client("cloudwatch")
    template = {"InstanceType": "t3.micro", "Monitoring": {"Enabled": True}}
    lazy, busy = (
        register(machine_cloud, name, PRINT + end) for name, end in (("lazy", HALT), ("busy", BUSY))
    )
    template_id = ec2.create_launch_template(
        LaunchTemplateName="clones", LaunchTemplateData={**template, "ImageId": lazy}
    )["LaunchTemplate"]["LaunchTemplateId"]
    ec2.create_launch_template_version(
        LaunchTemplateId=template_id, LaunchTemplateData={**template, "ImageId": busy}
    )
    [subnet, *_] = ec2.describe_subnets()["Subnets"]
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="clones", MinSize=1, MaxSize=2, DesiredCapacity=1,
        LaunchTemplate={"LaunchTemplateId": template_id, "Version": "1"},
        VPCZoneIdentifier=subnet["SubnetId"],
    )  # fmt: skip
    cloudwatch.put_metric_alarm(
        AlarmName="busy", Namespace="AWS/EC2", MetricName="CPUUtilization", Statistic="Average", Period=60,
        Dimensions=[{"Name": "AutoScalingGroupName", "Value": "clones"}], EvaluationPeriods=1,
        Threshold=THRESHOLD, ComparisonOperator="GreaterThanThreshold", TreatMissingData="missing",
    )  # fmt: skip

    def alarm() -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=["busy"])["MetricAlarms"][0]["StateValue"])

    def images() -> list[str]:
        found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["clones"])
        ids = [i["InstanceId"] for i in found["AutoScalingGroups"][0]["Instances"]]
        listed = ec2.describe_instances(InstanceIds=ids)["Reservations"] if ids else []
        return [i["ImageId"] for r in listed for i in r["Instances"]]

    eventually(alarm, lambda state: state == "OK")
    autoscaling.start_instance_refresh(
        AutoScalingGroupName="clones",
        Preferences={
            "MinHealthyPercentage": 0, "InstanceWarmup": 0, "AutoRollback": True, "BakeTime": 3600,
            "AlarmSpecification": {"Alarms": ["busy"]},
        },
        DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateId": template_id, "Version": "2"}},
    )  # fmt: skip

    def refresh() -> dict[str, Any]:
        found: dict[str, Any] = autoscaling.describe_instance_refreshes(AutoScalingGroupName="clones")
        last: dict[str, Any] = found["InstanceRefreshes"][0]
        return last

    eventually(images, lambda found: found == [busy])
    done = eventually(refresh, lambda found: found["Status"] == "RollbackSuccessful")
    assert "busy" in done["RollbackDetails"]["RollbackReason"]
    assert images() == [lazy]
