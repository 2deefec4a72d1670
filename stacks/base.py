"""What both stacks have in common."""

from __future__ import annotations

import jsii
from aws_cdk import Environment, Fn, Stack
from constructs import Construct

from stacks.settings.config import Config


class IngotStack(Stack):
    """A stack over the first availability zones of its region, as CloudFormation finds them.

    The CDK would look zones up when it knows the account, and keep the answer in cdk.context.json, where it
    goes stale. Overriding this property is the way that its documentation names ("availabilityZones" of
    Stack).
    """

    def __init__(self, scope: Construct, id_: str, *, config: Config, description: str) -> None:
        self._zones = config.zones
        environment = Environment(account=config.account, region=config.region)
        super().__init__(scope, id_, env=environment, description=description)

    @property
    @jsii.member(jsii_name="availabilityZones")
    def availability_zones(self) -> list[str]:
        """The first zones of the region that the stack is deployed to, as many as the settings want."""
        zones = Fn.get_azs()
        return [Fn.select(number, zones) for number in range(self._zones)]
