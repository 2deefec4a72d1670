"""Log groups, alarms, dashboards, topics. Alarms are stored and described; nothing measures for them here."""

from __future__ import annotations

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    named,
    pick,
)

# -- log group


def _group_attributes(env: Env, name: str) -> Attributes:
    return {"Arn": f"arn:aws:logs:{env.region}:{env.context.account}:log-group:{name}:*"}


def _create_group(env: Env, name: str, properties: Properties) -> None:
    env.call("logs", "create_log_group", logGroupName=name, tags=env.tags(properties, own=False) or None)


def _update_group(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    days = new.get("RetentionInDays")
    if days is not None:
        env.call("logs", "put_retention_policy", logGroupName=name, retentionInDays=days)
    elif "RetentionInDays" in old:
        env.call("logs", "delete_retention_policy", logGroupName=name)
    return _group_attributes(env, name)


def _delete_group(env: Env, name: str, properties: Properties) -> None:
    env.call("logs", "delete_log_group", logGroupName=name)


# -- alarm


def _put_alarm(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    given: dict[str, Value] = {k: v for k, v in new.items() if k not in ("AlarmName", "Tags")}
    env.call("cloudwatch", "put_metric_alarm", AlarmName=name, **given)
    return {"Arn": f"arn:aws:cloudwatch:{env.region}:{env.context.account}:alarm:{name}"}


def _delete_alarm(env: Env, name: str, properties: Properties) -> None:
    env.call("cloudwatch", "delete_alarms", AlarmNames=[name])


# -- dashboard


def _put_dashboard(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    env.call("cloudwatch", "put_dashboard", DashboardName=name, DashboardBody=new["DashboardBody"])
    return {}


def _delete_dashboard(env: Env, name: str, properties: Properties) -> None:
    env.call("cloudwatch", "delete_dashboards", DashboardNames=[name])


# -- topic


def _topic_attributes(arn: str) -> Attributes:
    return {"TopicArn": arn, "TopicName": arn.rpartition(":")[2]}


def _create_topic(env: Env, properties: Properties) -> Created:
    name = properties.get("TopicName") or env.name(256)
    arn = env.call("sns", "create_topic", Name=name)["TopicArn"]
    env.exists(arn)
    for subscription in properties.get("Subscription") or []:
        env.call("sns", "subscribe", TopicArn=arn, **pick(subscription, "Endpoint", "Protocol"))
    return Created(arn, _topic_attributes(arn))


def _delete_topic(env: Env, arn: str, properties: Properties) -> None:
    env.call("sns", "delete_topic", TopicArn=arn)


TYPES = {
    "AWS::Logs::LogGroup": named(
        "LogGroupName", _create_group, _update_group, _delete_group, lambda env: env.name(512)
    ),
    "AWS::CloudWatch::Alarm": named("AlarmName", None, _put_alarm, _delete_alarm),
    "AWS::CloudWatch::Dashboard": named("DashboardName", None, _put_dashboard, _delete_dashboard),
    "AWS::SNS::Topic": ResourceType(_create_topic, None, _delete_topic),
}
