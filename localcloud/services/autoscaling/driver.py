"""What Auto Scaling does to the rest of the cloud, behind one interface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.exceptions import ServiceException
from moto.ec2 import ec2_backends
from moto.elbv2 import elbv2_backends
from moto.iam.models import iam_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from ingot.errors import CloudError
from localcloud.core.moto_types import AutoScalingGroup, Instance, LoadBalancingRecords

NAME_TAG = "aws:autoscaling:groupName"


class Driver(Protocol):
    """EC2 and the load balancers, as Auto Scaling uses them."""

    def launch(self, group: AutoScalingGroup, template: dict[str, str], subnet_id: str | None) -> Instance:
        """Launch an instance of the group and return it; raises CloudError with EC2's refusal."""

    def state(self, instance: Instance) -> tuple[str, str]:
        """Return an instance's state and the reason for it."""

    def terminate(self, instance: Instance) -> None:
        """Terminate an instance; returns at once."""

    def register(self, target_group: str, instance: Instance) -> None:
        """Make an instance a target."""

    def deregister(self, target_group: str, instance: Instance) -> None:
        """Drain an instance; it is no target any more."""

    def health(self, target_group: str, instance: Instance) -> str:
        """Return the state of the target's health: initial, healthy, unhealthy, draining or unused."""

    def alarm(self, name: str) -> str:
        """Return the state of a CloudWatch alarm: OK, ALARM or INSUFFICIENT_DATA.

        "missing" if there is no such alarm.
        """

    def notify(self, target: str, role: str, message: Mapping[str, Any]) -> None:
        """Send a message to a queue or a topic with a role's rights; raises CloudError."""


class MotoDriver:
    """The driver on moto's records."""

    def __init__(self, account: str, region: str) -> None:
        self._account, self._region = account, region

    def launch(self, group: AutoScalingGroup, template: dict[str, str], subnet_id: str | None) -> Instance:
        """Launch an instance by RunInstances, with the group's name and propagated tags."""
        tags = {**group.get_propagated_tags(), NAME_TAG: group.name}
        try:
            reservation = ec2_backends[self._account][self._region].run_instances(
                None, 1, None, [],
                launch_template={key: template[key] for key in ("LaunchTemplateId", "Version")},
                is_instance_type_default=True, instance_type="m1.small",
                region_name=self._region, subnet_id=subnet_id, placement=None, tags={"instance": tags},
                security_group_ids=[], client_token="",
            )  # fmt: skip
        except ServiceException as error:
            raise CloudError(f"{getattr(error, 'code', type(error).__name__)}: {error.message}") from error
        instance: Instance = reservation.instances[0]
        return instance

    def state(self, instance: Instance) -> tuple[str, str]:
        """Return the state that EC2 has for the instance."""
        return instance.state, getattr(instance.state_reason, "message", "") or ""

    def terminate(self, instance: Instance) -> None:
        """Terminate it, whatever its termination protection says, as Auto Scaling may."""
        instance.terminate()

    def register(self, target_group: str, instance: Instance) -> None:
        """Register the instance with the group's own port."""
        group = self._elb.target_groups.get(target_group)
        if group is not None:
            group.register([{"Id": instance.id, "Port": group.port}])

    def deregister(self, target_group: str, instance: Instance) -> None:
        """Deregister the instance if it is still a target."""
        group = self._elb.target_groups.get(target_group)
        if group is not None and instance.id in group.targets:
            group.deregister([{"Id": instance.id}])

    def health(self, target_group: str, instance: Instance) -> str:
        """Return what DescribeTargetHealth says; a group that is gone has no targets."""
        group = self._elb.target_groups.get(target_group)
        if group is None:
            return "unused"
        return str(group.health_for({"Id": instance.id}, ec2_backends[self._account][self._region]).status)

    def alarm(self, name: str) -> str:
        """Return the state that CloudWatch has for the alarm."""
        found = cloudwatch_backends[self._account][self._region].alarms.get(name)
        return "missing" if found is None else str(found.state_value)

    def notify(self, target: str, role: str, message: Mapping[str, Any]) -> None:
        """Send a message as JSON to a standard queue or topic; the role has to be there.

        What the role allows is not looked at.
        """
        text = json.dumps({"AccountId": self._account, **message})
        try:
            iam_backends[self._account]["aws"].get_role_by_arn(role)
            if target.startswith("arn:aws:sqs:") and not target.endswith(".fifo"):
                sqs_backends[self._account][self._region].send_message(target.rpartition(":")[2], text)
            elif target.startswith("arn:aws:sns:") and not target.endswith(".fifo"):
                sns_backends[self._account][self._region].publish(text, target)
            else:
                raise CloudError(f"{target} is neither a standard queue nor a standard topic")
        except ServiceException as error:
            raise CloudError(f"{target}: {error.message}") from error

    @property
    def _elb(self) -> LoadBalancingRecords:
        records: LoadBalancingRecords = elbv2_backends[self._account][self._region]
        return records
