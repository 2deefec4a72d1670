"""What load balancers answer becomes CloudWatch's metrics when a minute is over."""

from datetime import UTC, datetime
from typing import Any

from localcloud.core.context import Served
from localcloud.services.cloudwatch.sources import Sources
from tests.localcloud.conftest import LocalCloud

BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/1"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/clones/2"
OF_BALANCER = [{"Name": "LoadBalancer", "Value": "app/web/1"}]
OF_TARGETS = [*OF_BALANCER, {"Name": "TargetGroup", "Value": "targetgroup/clones/2"}]
MINUTE = 30_000_000  # a minute of 2027


def value(cloud: LocalCloud, name: str, dimensions: list[dict[str, str]], statistic: str) -> Any:
    answer = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/ApplicationELB", MetricName=name, Dimensions=dimensions, Statistics=[statistic],
        StartTime=datetime.fromtimestamp(MINUTE * 60 - 60, UTC),
        EndTime=datetime.fromtimestamp(MINUTE * 60 + 120, UTC), Period=60,
    )  # fmt: skip
    return [point[statistic] for point in answer["Datapoints"]]


def test_answers_are_counted_by_who_gave_them(local_cloud: LocalCloud) -> None:
    """ELB user guide, "CloudWatch metrics for your Application Load Balancer"."""
    sources = Sources(local_cloud.context)
    assert sources.flush(MINUTE * 60 + 1) is False
    for status, from_target, seconds in (
        (200, True, 0.1),
        (200, True, 0.3),
        (500, True, 0.2),
        (503, False, 0),
    ):
        sources.served(Served(BALANCER, GROUP if from_target else "", status, from_target, seconds))
    assert sources.flush(MINUTE * 60 + 59) is False
    assert sources.flush(MINUTE * 60 + 60) is True
    found = {
        (name, len(dimensions)): value(local_cloud, name, dimensions, statistic)
        for name, dimensions, statistic in (
            ("RequestCount", OF_BALANCER, "Sum"),
            ("HTTPCode_Target_2XX_Count", OF_TARGETS, "Sum"),
            ("HTTPCode_Target_5XX_Count", OF_TARGETS, "Sum"),
            ("HTTPCode_ELB_5XX_Count", OF_BALANCER, "Sum"),
            ("HTTPCode_ELB_4XX_Count", OF_BALANCER, "Sum"),
            ("TargetResponseTime", OF_TARGETS, "Maximum"),
        )
    }
    assert found == {
        ("RequestCount", 1): [4.0],
        ("HTTPCode_Target_2XX_Count", 2): [2.0],
        ("HTTPCode_Target_5XX_Count", 2): [1.0],
        ("HTTPCode_ELB_5XX_Count", 1): [1.0],
        ("HTTPCode_ELB_4XX_Count", 1): [],
        ("TargetResponseTime", 2): [0.3],
    }
