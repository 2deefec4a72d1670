"""Log groups, alarms, dashboards, topics."""

from __future__ import annotations

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Lookup,
    Properties,
    ResourceType,
    named,
    pick,
    reading,
)

# -- log group


def _group_attributes(env: Env, name: str) -> Attributes:
    return {"Arn": f"arn:aws:logs:{env.region}:{env.context.account}:log-group:{name}:*"}


def _read_group(env: Env, name: str) -> Attributes | None:
    listed = env.call("logs", "describe_log_groups", logGroupNamePrefix=name)["logGroups"]
    exists = any(group["logGroupName"] == name for group in listed)
    return _group_attributes(env, name) if exists else None


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
    return _alarm_attributes(env, name)


def _put_composite(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    given: dict[str, Value] = {k: v for k, v in new.items() if k not in ("AlarmName", "Tags")}
    env.call("cloudwatch", "put_composite_alarm", AlarmName=name, **given)
    return _alarm_attributes(env, name)


def _read_composite(env: Env, name: str) -> Attributes | None:
    found = env.call("cloudwatch", "describe_alarms", AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
    return _alarm_attributes(env, name) if found.get("CompositeAlarms") else None


def _read_alarm(env: Env, name: str) -> Attributes | None:
    found = env.call("cloudwatch", "describe_alarms", AlarmNames=[name])
    return _alarm_attributes(env, name) if found.get("MetricAlarms") else None


def _alarm_attributes(env: Env, name: str) -> Attributes:
    return {"Arn": f"arn:aws:cloudwatch:{env.region}:{env.context.account}:alarm:{name}"}


def _delete_alarm(env: Env, name: str, properties: Properties) -> None:
    env.call("cloudwatch", "delete_alarms", AlarmNames=[name])


# -- dashboard


@reading
def _read_dashboard(env: Env, name: str) -> Attributes | None:
    env.call("cloudwatch", "get_dashboard", DashboardName=name)
    return {}


def _put_dashboard(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    env.call("cloudwatch", "put_dashboard", DashboardName=name, DashboardBody=new["DashboardBody"])
    return {}


def _delete_dashboard(env: Env, name: str, properties: Properties) -> None:
    env.call("cloudwatch", "delete_dashboards", DashboardNames=[name])


# -- topic


def _topic_attributes(arn: str) -> Attributes:
    return {"TopicArn": arn, "TopicName": arn.rpartition(":")[2]}


def _topic_arn(env: Env, properties: Properties) -> str | None:
    name = properties.get("TopicName")
    return f"arn:aws:sns:{env.region}:{env.context.account}:{name}" if name else None


@reading
def _read_topic(env: Env, arn: str) -> Attributes | None:
    env.call("sns", "get_topic_attributes", TopicArn=arn)
    return _topic_attributes(arn)


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
    ).found_by("LogGroupName", _read_group),
    "AWS::CloudWatch::Alarm": named("AlarmName", None, _put_alarm, _delete_alarm).found_by(
        "AlarmName", _read_alarm
    ),
    "AWS::CloudWatch::CompositeAlarm": named("AlarmName", None, _put_composite, _delete_alarm).found_by(
        "AlarmName", _read_composite
    ),
    "AWS::CloudWatch::Dashboard": named("DashboardName", None, _put_dashboard, _delete_dashboard).found_by(
        "DashboardName", _read_dashboard
    ),
    "AWS::SNS::Topic": ResourceType(
        _create_topic, None, _delete_topic, lookup=Lookup(_topic_arn, _read_topic)
    ),
}
