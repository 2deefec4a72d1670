"""What watches a fleet: alarms, and a dashboard to look at when one fires."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from ingot.constructs.fleet.balancing.front import Front
from ingot.constructs.fleet.options import Alarms

APPLICATIONS, NETWORKS, SCALING = "AWS/ApplicationELB", "AWS/NetworkELB", "AWS/AutoScaling"
# "CloudWatch metrics for your Application Load Balancer", ELB user guide.
CLONE_ERRORS, BALANCER_ERRORS = "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"


@dataclass(frozen=True)
class _AlarmRule:
    """When an alarm fires: ``threshold`` reached, or with ``below`` missed, in each of so many minutes."""

    metric: str
    statistic: str
    threshold: float
    minutes: int
    below: bool = False
    namespace: str = APPLICATIONS


@dataclass(frozen=True)
class Health:
    """How many healthy clones a fleet has to have, and how long a new one may take to become one."""

    minimum: int
    grace: Duration


class FleetAlarms(Construct):
    """Alarms on the errors of clones and of their load balancer, on too few healthy clones, on latency.

    Two for errors: an answer with 5xx that the load balancer gives, because no clone answers, is none of a
    clone's. Those that the fleet's load balancer has no metric for are None.
    """

    errors: cloudwatch.Alarm | None = None
    balancer_errors: cloudwatch.Alarm | None = None
    unhealthy: cloudwatch.Alarm | None = None
    latency: cloudwatch.Alarm | None = None

    def __init__(
        self, scope: Construct, id_: str, *, front: Front | None, health: Health, settings: Alarms
    ) -> None:
        super().__init__(scope, id_)
        self._topics = list(settings.topics)
        self._health = health
        if front is None:
            return
        of_balancer = {"LoadBalancer": front.full_name}
        of_targets = {**of_balancer, "TargetGroup": front.targets.target_group_full_name}
        if front.is_network:
            self._watch_health(NETWORKS, "HealthyHostCount", of_targets)
            return
        self.errors = self._alarm(
            "Errors",
            "Clones answer with 5xx",
            _AlarmRule(CLONE_ERRORS, "Sum", settings.errors, 2),
            of_targets,
        )
        self.balancer_errors = self._alarm(
            "BalancerErrors",
            "The load balancer answers with 5xx: no clone does",
            _AlarmRule(BALANCER_ERRORS, "Sum", settings.errors, 2),
            of_balancer,
        )
        self._watch_health(APPLICATIONS, "HealthyHostCount", of_targets)
        latency = settings.latency or Duration.seconds(1)
        self.latency = self._add(
            "Latency",
            f"One answer in twenty takes too long (minutes of {settings.latency_requests} requests or more)",
            _slow_answers(of_targets, settings.latency_requests),
            _AlarmRule("TargetResponseTime", "p95", latency.to_milliseconds() / 1000, 3),
        )

    @property
    def all(self) -> list[cloudwatch.Alarm]:
        """All the alarms that there are."""
        alarms = (self.errors, self.balancer_errors, self.unhealthy, self.latency)
        return [alarm for alarm in alarms if alarm is not None]

    def watch_group(self, group: autoscaling.AutoScalingGroup) -> None:
        """Watch a group without a load balancer by its own count of instances in service."""
        self._watch_health(
            SCALING, "GroupInServiceInstances", {"AutoScalingGroupName": group.auto_scaling_group_name}
        )

    def _watch_health(self, namespace: str, metric: str, dimensions: dict[str, str]) -> None:
        """Fire where there are too few healthy clones.

        Single clones come and go unhealthy in waves of refreshes, after Spot interruptions and as a group
        grows; that there are too few is what counts. A clone that replaces one may take as long as its grace
        lasts.
        """
        minutes = max(5, math.ceil(self._health.grace.to_seconds() / 60))
        minimum = max(1, self._health.minimum)
        how = "are in service" if namespace == SCALING else "pass the load balancer's health check"
        self.unhealthy = self._alarm(
            "Unhealthy",
            f"Fewer than {minimum} clones {how} for {minutes} minutes",
            _AlarmRule(metric, "Maximum", minimum, minutes, below=True, namespace=namespace),
            dimensions,
        )

    def _alarm(
        self, id_: str, description: str, rule: _AlarmRule, dimensions: dict[str, str]
    ) -> cloudwatch.Alarm:
        return self._add(id_, description, _metric(rule, dimensions), rule)

    def _add(
        self, id_: str, description: str, metric: cloudwatch.IMetric, rule: _AlarmRule
    ) -> cloudwatch.Alarm:
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


def _metric(rule: _AlarmRule, dimensions: dict[str, str]) -> cloudwatch.Metric:
    """Return what a rule looks at, by the minute."""
    return cloudwatch.Metric(
        namespace=rule.namespace,
        metric_name=rule.metric,
        dimensions_map=dimensions,
        statistic=rule.statistic,
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
            "requests": _metric(_AlarmRule("RequestCount", "Sum", 0, 1), dimensions),
            "latency": _metric(_AlarmRule("TargetResponseTime", "p95", 0, 1), dimensions),
        },
    )


@dataclass(frozen=True)
class Shown:
    """What a dashboard shows of a fleet; ``title`` is that of the row of alarms."""

    title: str
    front: Front | None
    group: autoscaling.AutoScalingGroup
    alarms: list[cloudwatch.Alarm]


def dashboard(scope: Construct, shown: Shown) -> cloudwatch.CfnDashboard:
    """Return a dashboard: alarms, what the load balancer knows, size, CPU."""
    of_group = ["AutoScalingGroupName", shown.group.auto_scaling_group_name]
    sizes = ("GroupDesiredCapacity", "GroupInServiceInstances", "GroupPendingInstances")
    graphs = [
        *([] if shown.front is None else _of_front(shown.front)),
        ("Clones of the group", "Average", [[SCALING, name, *of_group] for name in sizes]),
        ("CPU, percent", "Average", [["AWS/EC2", "CPUUtilization", *of_group]]),
    ]
    ringing = {
        "type": "alarm", "x": 0, "y": 0, "width": 24, "height": 2,
        "properties": {"title": shown.title, "alarms": [alarm.alarm_arn for alarm in shown.alarms]},
    }  # fmt: skip
    widgets = [_graph(number, *graph) for number, graph in enumerate(graphs)]
    body = Stack.of(scope).to_json_string({"widgets": [ringing, *widgets]})
    return cloudwatch.CfnDashboard(scope, "Dashboard", dashboard_body=body)


# A graph: its title, its statistic, its metrics.
Graph = tuple[str, str, list[list[Any]]]


def _of_front(front: Front) -> list[Graph]:
    """Return what there is to see at the load balancer: requests, errors, latency, health; or connections."""
    of_balancer = ["LoadBalancer", front.full_name]
    of_targets = [*of_balancer, "TargetGroup", front.targets.target_group_full_name]
    namespace = NETWORKS if front.is_network else APPLICATIONS
    counts = ("HealthyHostCount", "UnHealthyHostCount")
    health: Graph = ("Clones by health", "Maximum", [[namespace, name, *of_targets] for name in counts])
    if front.is_network:
        return [
            ("Connections", "Average", [[namespace, "ActiveFlowCount", *of_balancer]]),
            ("New connections a minute", "Sum", [[namespace, "NewFlowCount", *of_balancer]]),
            ("Bytes a minute", "Sum", [[namespace, "ProcessedBytes", *of_balancer]]),
            health,
        ]
    response = [namespace, "TargetResponseTime", *of_targets]
    errors = [[namespace, CLONE_ERRORS, *of_targets], [namespace, BALANCER_ERRORS, *of_balancer]]
    return [
        ("Requests a minute", "Sum", [[namespace, "RequestCount", *of_balancer]]),
        ("Answers with 5xx a minute", "Sum", errors),
        ("Seconds to answer", "p50", [[*response, {"stat": s}] for s in ("p50", "p95", "p99")]),
        health,
    ]


def _graph(number: int, title: str, statistic: str, metrics: list[list[Any]]) -> dict[str, Any]:
    """Return the graph of a number, two in a row below the alarms.

    Source: "Dashboard body structure and syntax", CloudWatch API reference.
    """
    x, y = number % 2 * 12, 2 + number // 2 * 6
    properties = {
        "title": title, "view": "timeSeries", "region": Aws.REGION,
        "period": 60, "stat": statistic, "metrics": metrics,
    }  # fmt: skip
    return {"type": "metric", "x": x, "y": y, "width": 12, "height": 6, "properties": properties}
