"""What watches a fleet: alarms, and a dashboard to look at when one fires."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from ingot.constructs.fleet.options import Alarms

NAMESPACE, SCALING = "AWS/ApplicationELB", "AWS/AutoScaling"
# "CloudWatch metrics for your Application Load Balancer", ELB user guide.
CLONE_ERRORS, BALANCER_ERRORS = "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"


@dataclass(frozen=True)
class _Rule:
    """When an alarm fires: ``threshold`` reached, or with ``below`` missed, in each of so many minutes."""

    metric: str
    statistic: str
    threshold: float
    minutes: int
    below: bool = False


@dataclass(frozen=True)
class Health:
    """How many healthy clones a fleet has to have, and how long a new one may take to become one."""

    minimum: int
    grace: Duration


class FleetAlarms(Construct):
    """Alarms on the errors of clones and of their load balancer, on too few healthy clones, on latency.

    Two for errors: an answer with 5xx that the load balancer gives, because no clone answers, is none of a
    clone's.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        balancer: str,
        targets: elb.ApplicationTargetGroup,
        health: Health,
        settings: Alarms,
    ) -> None:
        super().__init__(scope, id_)
        of_balancer = {"LoadBalancer": balancer}
        of_targets = {**of_balancer, "TargetGroup": targets.target_group_full_name}
        self._topics = list(settings.topics)
        self.errors = self._alarm(
            "Errors", "Clones answer with 5xx", _Rule(CLONE_ERRORS, "Sum", settings.errors, 2), of_targets
        )
        self.balancer_errors = self._alarm(
            "BalancerErrors",
            "The load balancer answers with 5xx: no clone does",
            _Rule(BALANCER_ERRORS, "Sum", settings.errors, 2),
            of_balancer,
        )
        # Single clones come and go unhealthy in waves of refreshes, after Spot interruptions and as a group
        # grows; that there are too few is what counts. A clone that replaces one may take as long as its
        # grace lasts.
        minutes = max(5, math.ceil(health.grace.to_seconds() / 60))
        minimum = max(1, health.minimum)
        self.unhealthy = self._alarm(
            "Unhealthy",
            f"Fewer than {minimum} clones pass the load balancer's health check for {minutes} minutes",
            _Rule("HealthyHostCount", "Maximum", minimum, minutes, below=True),
            of_targets,
        )
        latency = settings.latency or Duration.seconds(1)
        self.latency = self._add(
            "Latency",
            f"One answer in twenty takes too long (minutes of {settings.latency_requests} requests or more)",
            _slow_answers(of_targets, settings.latency_requests),
            _Rule("TargetResponseTime", "p95", latency.to_milliseconds() / 1000, 3),
        )

    @property
    def all(self) -> list[cloudwatch.Alarm]:
        """All the alarms."""
        return [self.errors, self.balancer_errors, self.unhealthy, self.latency]

    def _alarm(self, id_: str, description: str, rule: _Rule, dimensions: dict[str, str]) -> cloudwatch.Alarm:
        return self._add(id_, description, _metric(rule.metric, rule.statistic, dimensions), rule)

    def _add(self, id_: str, description: str, metric: cloudwatch.IMetric, rule: _Rule) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            id_,
            alarm_description=description,
            metric=metric,
            threshold=rule.threshold,
            evaluation_periods=rule.minutes,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD if rule.below else None,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        cfn = alarm.node.default_child
        assert isinstance(cfn, cloudwatch.CfnAlarm)  # noqa: S101 - what the construct is made of
        if self._topics:
            cfn.alarm_actions = cfn.ok_actions = self._topics
        return alarm


def _metric(name: str, statistic: str, dimensions: dict[str, str]) -> cloudwatch.Metric:
    """Return a metric of the load balancer by the minute."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=Duration.minutes(1),
    )


def _slow_answers(dimensions: dict[str, str], requests: int) -> cloudwatch.MathExpression:
    """Return how long 95 % of the answers take, in minutes with so many requests; 0 in quieter ones.

    Of 20 answers or fewer the 95th percentile is the slowest one, and says nothing about the rest (CloudWatch
    User Guide, "Using metric math": IF).
    """
    return cloudwatch.MathExpression(
        expression=f"IF(requests >= {requests}, latency, 0)",
        label="p95 of busy minutes",
        period=Duration.minutes(1),
        using_metrics={
            "requests": _metric("RequestCount", "Sum", dimensions),
            "latency": _metric("TargetResponseTime", "p95", dimensions),
        },
    )


@dataclass(frozen=True)
class Shown:
    """What a dashboard shows of a fleet; ``title`` is that of the row of alarms.

    ``balancer``: the load balancer's full name.
    """

    title: str
    balancer: str
    targets: elb.ApplicationTargetGroup
    group: autoscaling.AutoScalingGroup
    alarms: list[cloudwatch.Alarm]


def dashboard(scope: Construct, shown: Shown) -> cloudwatch.CfnDashboard:
    """Return a dashboard: alarms, requests, errors, latency, health, size, CPU."""
    of_balancer = ["LoadBalancer", shown.balancer]
    of_targets = [*of_balancer, "TargetGroup", shown.targets.target_group_full_name]
    of_group = ["AutoScalingGroupName", shown.group.auto_scaling_group_name]
    errors = [[NAMESPACE, CLONE_ERRORS, *of_targets], [NAMESPACE, BALANCER_ERRORS, *of_balancer]]
    response = [NAMESPACE, "TargetResponseTime", *of_targets]
    health = ("HealthyHostCount", "UnHealthyHostCount")
    sizes = ("GroupDesiredCapacity", "GroupInServiceInstances", "GroupPendingInstances")
    widgets = [
        _graph(0, 2, "Requests a minute", "Sum", [[NAMESPACE, "RequestCount", *of_balancer]]),
        _graph(12, 2, "Answers with 5xx a minute", "Sum", errors),
        _graph(0, 8, "Seconds to answer", "p50", [[*response, {"stat": s}] for s in ("p50", "p95", "p99")]),
        _graph(12, 8, "Clones by health", "Maximum", [[NAMESPACE, name, *of_targets] for name in health]),
        _graph(0, 14, "Clones of the group", "Average", [[SCALING, name, *of_group] for name in sizes]),
        _graph(12, 14, "CPU, percent", "Average", [["AWS/EC2", "CPUUtilization", *of_group]]),
    ]
    ringing = {
        "type": "alarm", "x": 0, "y": 0, "width": 24, "height": 2,
        "properties": {"title": shown.title, "alarms": [alarm.alarm_arn for alarm in shown.alarms]},
    }  # fmt: skip
    body = Stack.of(scope).to_json_string({"widgets": [ringing, *widgets]})
    return cloudwatch.CfnDashboard(scope, "Dashboard", dashboard_body=body)


def _graph(x: int, y: int, title: str, statistic: str, metrics: list[list[Any]]) -> dict[str, Any]:
    """Return a graph; "Dashboard body structure and syntax", CloudWatch API reference."""
    properties = {
        "title": title, "view": "timeSeries", "region": Aws.REGION,
        "period": 60, "stat": statistic, "metrics": metrics,
    }  # fmt: skip
    return {"type": "metric", "x": x, "y": y, "width": 12, "height": 6, "properties": properties}
