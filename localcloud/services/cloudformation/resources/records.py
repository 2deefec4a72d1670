"""Types that the local cloud records and does nothing for: what they do on AWS has no effect here."""

from __future__ import annotations

from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
)


def _create(env: Env, properties: Properties) -> Created:
    name = env.name()
    return Created(name, {"Arn": f"arn:aws:cloudformation:{env.region}:{env.context.account}:record/{name}"})


def _update(env: Env, physical_id: str, old: Properties, new: Properties) -> Attributes:
    return {"Arn": f"arn:aws:cloudformation:{env.region}:{env.context.account}:record/{physical_id}"}


RECORD = ResourceType(_create, _update)

TYPES = {
    "AWS::CDK::Metadata": RECORD,
    "AWS::CloudFormation::WaitConditionHandle": RECORD,
}
