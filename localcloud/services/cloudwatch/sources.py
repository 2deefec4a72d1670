"""What load balancers and machines measure, written as CloudWatch's metrics once a minute is over.

Sources: "CloudWatch metrics for your Application Load Balancer" and "… for your Network Load Balancer", ELB
user guides (counts are written when they are not zero; dimensions LoadBalancer, and TargetGroup with
LoadBalancer; of network load balancers healthy hosts alone); "CloudWatch metrics that are available for your
instances", EC2 user guide (CPUUtilization; every five minutes, with detailed monitoring every minute);
"Amazon CloudWatch metrics for Amazon EC2 Auto Scaling", user guide (where a group has them enabled). Metrics
by Availability Zone are not written.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moto.autoscaling import autoscaling_backends
from moto.cloudwatch.models import MetricAggregatedDatum, MetricDatum, cloudwatch_backends
from moto.ec2 import ec2_backends
from moto.elbv2 import elbv2_backends

from localcloud.core.context import CloudContext, Served
from localcloud.core.moto_types import Datum

ELB, NETWORK_ELB, EC2, GROUPS = "AWS/ApplicationELB", "AWS/NetworkELB", "AWS/EC2", "AWS/AutoScaling"
MINUTE, BASIC = 60, 300  # seconds
KEPT = 3 * 3600  # seconds
GROUP_TAG = "aws:autoscaling:groupName"

Dimensions = tuple[tuple[str, str], ...]


@dataclass
class Sources:
    """Counts requests and reads machines; ``flush`` is called at least once a second."""

    context: CloudContext
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _minute: int = 0
    _counts: dict[tuple[str, Dimensions], int] = field(default_factory=lambda: defaultdict(int))
    _latencies: list[tuple[Dimensions, float]] = field(default_factory=list)
    _hosts: dict[tuple[str, Dimensions], list[int]] = field(default_factory=lambda: defaultdict(list))
    # instance -> (when, CPU seconds)
    _processors: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # instance -> (when, CPU seconds)

    def served(self, request: Served) -> None:
        """Take in one answered request."""
        balancer = (("LoadBalancer", _full_name(request.balancer, "loadbalancer/")),)
        target = (*balancer, ("TargetGroup", "targetgroup/" + request.group.rpartition("targetgroup/")[2]))
        family = f"{request.status // 100}XX_Count"
        with self._lock:
            self._counts["RequestCount", balancer] += 1
            if not request.from_target:
                self._counts[f"HTTPCode_ELB_{family}", balancer] += 1
            if request.from_target:
                for dimensions in (balancer, target):
                    self._counts[f"HTTPCode_Target_{family}", dimensions] += 1
                    self._latencies.append((dimensions, request.seconds))
                self._counts["RequestCount", target] += 1

    def flush(self, now: float) -> bool:
        """Look at hosts; write the metrics of the minute that is over. Say whether there was one."""
        self._look_at_hosts()
        minute = int(now // MINUTE)
        if self._minute == 0:
            self._minute = minute
        if minute == self._minute:
            return False
        at = datetime.fromtimestamp(self._minute * MINUTE, UTC).replace(tzinfo=None)
        self._minute = minute
        with self._lock:
            counts, self._counts = dict(self._counts), defaultdict(int)
            latencies, self._latencies = self._latencies, []
            hosts, self._hosts = dict(self._hosts), defaultdict(list)
        backend = cloudwatch_backends[self.context.account][self.context.region]
        data: list[Datum] = [
            _sum(ELB, name, dimensions, count, at) for (name, dimensions), count in counts.items()
        ]
        data += [
            MetricDatum(ELB, "TargetResponseTime", seconds, _listed(dimensions), at, "Seconds")
            for dimensions, seconds in latencies
        ]
        data += [
            _spread(_namespace(dimensions), name, dimensions, values, at)
            for (name, dimensions), values in hosts.items()
        ]
        data += self._sizes(at)
        data += self._processors_of(now, at)
        oldest = now - KEPT
        kept = [
            datum
            for datum in backend.metric_data
            if not _ours(datum) or datum.timestamp.replace(tzinfo=UTC).timestamp() > oldest
        ]
        backend.metric_data[:] = kept + data
        return True

    def _look_at_hosts(self) -> None:
        elb = elbv2_backends[self.context.account][self.context.region]
        ec2 = ec2_backends[self.context.account][self.context.region]
        for group in list(elb.target_groups.values()):
            states = [group.health_for(target, ec2).status for target in list(group.targets.values())]
            for balancer in group.load_balancer_arns:
                dimensions = (
                    ("LoadBalancer", _full_name(balancer, "loadbalancer/")),
                    ("TargetGroup", "targetgroup/" + group.arn.rpartition("targetgroup/")[2]),
                )
                with self._lock:
                    self._hosts["HealthyHostCount", dimensions].append(states.count("healthy"))
                    self._hosts["UnHealthyHostCount", dimensions].append(states.count("unhealthy"))

    def _sizes(self, at: datetime) -> list[Datum]:
        """Return the sizes of the groups that have these metrics enabled."""
        data = []
        backend = autoscaling_backends[self.context.account][self.context.region]
        for group in list(backend.autoscaling_groups.values()):
            # Who waits for a lifecycle hook is "Pending:Wait" or "Terminating:Wait".
            states = [state.lifecycle_state.partition(":")[0] for state in list(group.instance_states)]
            sizes = {
                "GroupMinSize": group.min_size,
                "GroupMaxSize": group.max_size,
                "GroupDesiredCapacity": group.desired_capacity,
                "GroupTotalInstances": len(states),
                "GroupInServiceInstances": states.count("InService"),
                "GroupPendingInstances": states.count("Pending"),
                "GroupTerminatingInstances": states.count("Terminating"),
            }
            of_group = (("AutoScalingGroupName", group.name),)
            data += [
                _spread(GROUPS, name, of_group, [size], at)
                for name, size in sizes.items()
                if name in group.metrics
            ]
        return data

    def _processors_of(self, now: float, at: datetime) -> list[Datum]:
        look = self.context.hooks.processor_time
        if look is None:
            return []
        ec2, groups, data = ec2_backends[self.context.account][self.context.region], defaultdict(list), []
        for reservation in list(ec2.reservations.values()):
            for instance in reservation.instances:
                used = look(instance.id)
                if used is None:
                    self._processors.pop(instance.id, None)
                    continue
                known = self._processors.get(instance.id)
                period = MINUTE if instance.monitoring_state == "enabled" else BASIC
                if known is not None and now - known[0] < period - 5:
                    continue
                self._processors[instance.id] = (now, used.seconds)
                if known is None:
                    continue
                share = 100 * (used.seconds - known[1]) / ((now - known[0]) * used.processors)
                percent = min(100.0, max(0.0, share))
                dimensions = _listed((("InstanceId", instance.id),))
                data.append(MetricDatum(EC2, "CPUUtilization", percent, dimensions, at, "Percent"))
                tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
                if GROUP_TAG in tags:
                    groups[tags[GROUP_TAG]].append(percent)
        for name, values in groups.items():
            of_group = (("AutoScalingGroupName", name),)
            data.append(_spread(EC2, "CPUUtilization", of_group, values, at))
        return data


def _ours(datum: Datum) -> bool:
    return datum.namespace in (ELB, NETWORK_ELB, EC2, GROUPS) and isinstance(datum.timestamp, datetime)


def _namespace(dimensions: Dimensions) -> str:
    return NETWORK_ELB if dict(dimensions)["LoadBalancer"].startswith("net/") else ELB


def _full_name(arn: str, before: str) -> str:
    return arn.partition(before)[2]


def _listed(dimensions: Dimensions) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions]


def _sum(namespace: str, name: str, dimensions: Dimensions, count: int, at: datetime) -> Datum:
    datum: Datum = MetricAggregatedDatum(
        namespace, name, 1, 1, count, count, _listed(dimensions), at, "Count"
    )
    return datum


def _spread(
    namespace: str, name: str, dimensions: Dimensions, values: Iterable[float], at: datetime
) -> Datum:
    known = list(values)
    listed = _listed(dimensions)
    datum: Datum = MetricAggregatedDatum(
        namespace, name, min(known), max(known), len(known), sum(known), listed, at, None
    )
    return datum
