"""Puts our Auto Scaling behind moto's API, and adds the operations that moto lacks.

Names and errors: botocore's service model autoscaling/2011-01-01.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.utils import parse_timestamp
from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from localcloud.core.moto_types import (
    AutoScalingGroup,
    AutoScalingHandler,
    AutoScalingRecords,
)
from localcloud.core.patching import Patches
from localcloud.services.autoscaling.members import ABANDON, CONTINUE, members_of
from localcloud.services.autoscaling.schedules import MOST_OF_A_BATCH
from localcloud.services.autoscaling.service import AutoScaling

PAGE = 50  # records of a page unless the caller says otherwise (MaxRecords)


def replace(patches: Patches, service: AutoScaling) -> None:
    """Replace what moto does at once and only in its books; add what it does not know."""
    _replace_groups(patches, service)
    _replace_responses(patches, service)


def _replace_groups(patches: Patches, service: AutoScaling) -> None:
    def set_desired(group: AutoScalingGroup, capacity: int | None) -> None:
        group.desired_capacity = group.min_size if capacity is None else int(capacity)
        service.wake()

    def nothing(*arguments: object) -> None:
        """Leave to the loop what moto would do here: it registers, deregisters and replaces."""
        service.wake()

    def take_out(backend: AutoScalingRecords, instance_id: str, should_decrement: bool) -> object:
        return service.take_out(instance_id, decrement=should_decrement).shown()

    patches.replace(FakeAutoScalingGroup, "set_desired_capacity", lambda _: set_desired)
    patches.replace(AutoScalingBackend, "update_attached_target_groups", lambda _: nothing)
    patches.replace(AutoScalingBackend, "notify_terminate_instances", lambda _: nothing)
    patches.replace(AutoScalingBackend, "terminate_instance", lambda _: take_out)
    patches.replace(AutoScalingBackend, "create_auto_scaling_group", _new_name)
    for name in (
        "update_auto_scaling_group",
        "detach_instances",
        "set_instance_health",
        "detach_load_balancer_target_groups",
    ):
        patches.replace(AutoScalingBackend, name, lambda original: _locked(original, service))
    patches.replace(
        FakeAutoScalingGroup,
        "status",
        lambda _: property(lambda group: "Delete in progress" if group.name in service.deleting else None),
    )


def _new_name(original: Callable[..., Any]) -> Callable[..., Any]:
    def create(backend: AutoScalingRecords, name: str, *rest: object, **named: object) -> object:
        """CreateAutoScalingGroup: moto would replace a group of that name."""
        if name in backend.autoscaling_groups:
            raise AutoscalingClientError(
                "AlreadyExists",
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
            )
        return original(backend, name, *rest, **named)

    return create


def _locked(original: Callable[..., Any], service: AutoScaling) -> Callable[..., Any]:
    def method(*args: object, **kwargs: object) -> object:
        with service.lock:
            answer = original(*args, **kwargs)
        service.wake()
        return answer

    return method


def _replace_responses(patches: Patches, service: AutoScaling) -> None:
    operations: dict[str, Callable[[AutoScalingHandler], ActionResult]] = {
        "delete_auto_scaling_group": lambda handler: _delete(handler, service),
        "set_desired_capacity": lambda handler: _set_capacity(handler, service),
        "describe_scaling_activities": lambda handler: _activities(handler, service),
        "start_instance_refresh": lambda handler: _start(handler, service),
        "describe_instance_refreshes": lambda handler: _describe(handler, service),
        "cancel_instance_refresh": lambda handler: _cancel(handler, service),
        "rollback_instance_refresh": lambda handler: _rollback(handler, service),
        "put_scheduled_update_group_action": lambda handler: _put_action(handler, service),
        "batch_put_scheduled_update_group_action": lambda handler: _put_actions(handler, service),
        "describe_scheduled_actions": lambda handler: _scheduled(handler, service),
        "delete_scheduled_action": lambda handler: _delete_action(handler, service),
        "batch_delete_scheduled_action": lambda handler: _delete_actions(handler, service),
        "put_lifecycle_hook": lambda handler: _put_hook(handler, service),
        "describe_lifecycle_hooks": lambda handler: _hooks(handler, service),
        "delete_lifecycle_hook": lambda handler: _delete_hook(handler, service),
        "complete_lifecycle_action": lambda handler: _complete(handler, service),
        "record_lifecycle_action_heartbeat": lambda handler: _beat(handler, service),
    }
    for name, operation in operations.items():
        patches.replace(AutoScalingResponse, name, _returning(operation))
    patches.replace(
        AutoScalingResponse, "create_auto_scaling_group", lambda original: _with_hooks(original, service)
    )
    patches.replace(AutoScalingResponse, "put_scaling_policy", _naming_the_policy)


def _naming_the_policy(original: Callable[[AutoScalingHandler], ActionResult]) -> Callable[[Any], Any]:
    """moto answers with PolicyArn, which the service model does not know: it is PolicyARN."""

    def put(handler: AutoScalingHandler) -> ActionResult:
        return ActionResult({"PolicyARN": original(handler).result["PolicyArn"]})

    return put


def _returning(operation: Callable[[AutoScalingHandler], ActionResult]) -> Callable[[Any], Any]:
    return lambda _: lambda handler: operation(handler)


def find_group(handler: AutoScalingHandler) -> AutoScalingGroup:
    """Return the group that a request names; raises ValidationError as AWS does."""
    name = handler._get_param("AutoScalingGroupName")
    group: AutoScalingGroup | None = handler.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise AutoscalingClientError(
            "ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup {name} not found"
        )
    return group


def _delete(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group = find_group(handler)
    with service.lock:
        if members_of(group) and not handler._get_bool_param("ForceDelete", False):
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance "
                "request(s) still in the group.",
            )
        refresh = service.active_refresh(group.name)
        if refresh is not None:
            refresh.finish("Cancelled", "The Auto Scaling group is deleted")
        service.deleting.add(group.name)
        if not members_of(group):
            service.step()
    service.wake()
    return EmptyResult()


def _set_capacity(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group, wanted = find_group(handler), int(handler._get_param("DesiredCapacity"))
    if group.max_size is not None and wanted > group.max_size:
        raise AutoscalingClientError(
            "ValidationError",
            f"New SetDesiredCapacity value {wanted} is above max value {group.max_size} for the "
            "AutoScalingGroup.",
        )
    if group.min_size is not None and wanted < group.min_size:
        raise AutoscalingClientError(
            "ValidationError",
            f"New SetDesiredCapacity value {wanted} is below min value {group.min_size} for the "
            "AutoScalingGroup.",
        )
    with service.lock:
        group.desired_capacity = wanted
    service.wake()
    return EmptyResult()


def _activities(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    name = handler._get_param("AutoScalingGroupName")
    asked = set(handler._get_param("ActivityIds", []))
    with service.lock:
        known = service.reconciler.activities
        lines = list(known.get(name, ())) if name else [line for lines in known.values() for line in lines]
        shown = [line.shown() for line in lines if not asked or line.id in asked]
    return ActionResult(_page(handler, "Activities", shown, "ActivityId"))


def _start(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    preferences = handler._get_params().get("Preferences") or {}
    desired = handler._get_params().get("DesiredConfiguration") or None
    strategy = handler._get_param("Strategy") or "Rolling"
    if strategy != "Rolling":
        raise AutoscalingClientError(
            "ValidationError",
            f"The local cloud refreshes instances with the strategy Rolling only, not {strategy}",
        )
    refresh = service.start_refresh(find_group(handler), preferences=preferences, desired=desired)
    return ActionResult({"InstanceRefreshId": refresh.id})


def _describe(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group = find_group(handler)
    asked = set(handler._get_param("InstanceRefreshIds", []))
    with service.lock:
        known = service.refreshes.get(group.name, [])
        shown = [refresh.shown() for refresh in known if not asked or refresh.id in asked]
    return ActionResult(_page(handler, "InstanceRefreshes", shown, "InstanceRefreshId"))


def _cancel(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    return ActionResult({"InstanceRefreshId": service.cancel_refresh(find_group(handler).name).id})


def _rollback(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    return ActionResult({"InstanceRefreshId": service.rollback_refresh(find_group(handler)).id})


# -- scheduled actions

# The API's name of a field, and ours.
ACTION_FIELDS = {
    "StartTime": "start", "EndTime": "end", "Recurrence": "recurrence", "TimeZone": "zone",
    "MinSize": "minimum", "MaxSize": "maximum", "DesiredCapacity": "desired",
}  # fmt: skip


def _action_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scheduled action's fields, times in UTC and sizes as numbers."""
    fields: dict[str, Any] = {}
    for name, field in ACTION_FIELDS.items():
        value = given.get(name)
        if value is not None and name.endswith("Time"):
            moment = value if isinstance(value, datetime) else parse_timestamp(value)
            value = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif value is not None and name.endswith(("Size", "Capacity")):
            value = int(value)
        fields[field] = value
    return fields


def _put_action(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group, given = find_group(handler), handler._get_params()
    with service.lock:
        service.schedules.put(group, given["ScheduledActionName"], _action_fields(given))
    service.wake()
    return EmptyResult()


def _put_actions(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group = find_group(handler)

    def put(action: Mapping[str, Any]) -> None:
        service.schedules.put(group, action["ScheduledActionName"], _action_fields(action))

    asked = handler._get_params().get("ScheduledUpdateGroupActions") or []
    return ActionResult({"FailedScheduledUpdateGroupActions": _each(service, asked, put)})


def _delete_action(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group = find_group(handler)
    with service.lock:
        service.schedules.delete(group.name, handler._get_param("ScheduledActionName"))
    return EmptyResult()


def _delete_actions(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group = find_group(handler)
    asked = [{"ScheduledActionName": name} for name in handler._get_param("ScheduledActionNames", [])]
    failed = _each(service, asked, lambda a: service.schedules.delete(group.name, a["ScheduledActionName"]))
    return ActionResult({"FailedScheduledActions": failed})


def _each(
    service: AutoScaling, actions: list[dict[str, Any]], do: Callable[[Mapping[str, Any]], None]
) -> list[dict[str, str]]:
    """Do something for each action of a batch; return those that were refused."""
    if len(actions) > MOST_OF_A_BATCH:
        raise AutoscalingClientError("ValidationError", f"At most {MOST_OF_A_BATCH} actions in a batch")
    failed = []
    with service.lock:
        for action in actions:
            try:
                do(action)
            except AutoscalingClientError as error:
                name = action["ScheduledActionName"]
                failed.append(
                    {"ScheduledActionName": name, "ErrorCode": error.code, "ErrorMessage": error.message}
                )
    service.wake()
    return failed


def _scheduled(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    name, params = handler._get_param("AutoScalingGroupName"), handler._get_params()
    named = set(params.get("ScheduledActionNames") or [])
    times = _action_fields({key: params.get(key) for key in ("StartTime", "EndTime")})
    with service.lock:
        known = service.schedules.of(name) if name else service.schedules.all()
    shown = []
    for action in known:
        # "If scheduled action names are provided, this property is ignored" (both times).
        early = times["start"] is not None and action.start is not None and action.start < times["start"]
        late = times["end"] is not None and action.start is not None and action.start > times["end"]
        if action.name in named if named else not (early or late):
            shown.append(action.shown(_action_arn(handler, action.group, action.name)))
    return ActionResult(_page(handler, "ScheduledUpdateGroupActions", shown, "ScheduledActionARN"))


def _action_arn(handler: AutoScalingHandler, group: str, name: str) -> str:
    """Return an action's ARN; on AWS an id of its own stands in it."""
    account, region = handler.current_account, handler.region
    return (
        f"arn:aws:autoscaling:{region}:{account}:scheduledUpdateGroupAction:{group}:"
        f"autoScalingGroupName/{group}:scheduledActionName/{name}"
    )


# -- lifecycle hooks

HOOK_FIELDS = {
    "LifecycleTransition": "transition", "HeartbeatTimeout": "heartbeat", "DefaultResult": "result",
    "NotificationTargetARN": "target", "RoleARN": "role", "NotificationMetadata": "metadata",
}  # fmt: skip


def _hook_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field: given.get(name) for name, field in HOOK_FIELDS.items()}
    if fields["heartbeat"] is not None:
        fields["heartbeat"] = int(fields["heartbeat"])
    return fields


def _put_hook(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group, given = find_group(handler), handler._get_params()
    with service.lock:
        service.hooks.put(group.name, given["LifecycleHookName"], _hook_fields(given))
    return EmptyResult()


def _with_hooks(
    original: Callable[[AutoScalingHandler], ActionResult], service: AutoScaling
) -> Callable[[AutoScalingHandler], ActionResult]:
    def create(handler: AutoScalingHandler) -> ActionResult:
        """CreateAutoScalingGroup with hooks, which hold the first instances, too."""
        hooks = handler._get_params().get("LifecycleHookSpecificationList") or []
        name = handler._get_param("AutoScalingGroupName")
        with service.lock:
            answer = original(handler)
            try:
                for hook in hooks:
                    service.hooks.put(name, hook["LifecycleHookName"], _hook_fields(hook))
            except AutoscalingClientError:
                del handler.autoscaling_backend.autoscaling_groups[name]
                service.hooks.forget(name)
                raise
        return answer

    return create


def _hooks(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group, named = find_group(handler), set(handler._get_param("LifecycleHookNames", []))
    with service.lock:
        hooks = service.hooks.of(group.name)
    return ActionResult(
        {"LifecycleHooks": [hook.shown() for hook in hooks if not named or hook.name in named]}
    )


def _delete_hook(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    group = find_group(handler)
    with service.lock:
        service.hooks.delete(group.name, handler._get_param("LifecycleHookName"), members_of(group))
    service.wake()
    return EmptyResult()


def _complete(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    result = handler._get_param("LifecycleActionResult")
    if result not in (CONTINUE, ABANDON):
        raise AutoscalingClientError(
            "ValidationError", f"LifecycleActionResult must be {CONTINUE} or {ABANDON}, not {result}"
        )
    group, hook = find_group(handler), handler._get_param("LifecycleHookName")
    service.complete(group, hook, result, _who(handler))
    return EmptyResult()


def _beat(handler: AutoScalingHandler, service: AutoScaling) -> ActionResult:
    service.beat(find_group(handler), handler._get_param("LifecycleHookName"), _who(handler))
    return EmptyResult()


def _who(handler: AutoScalingHandler) -> tuple[str | None, str | None]:
    return handler._get_param("LifecycleActionToken"), handler._get_param("InstanceId")


def _page(handler: AutoScalingHandler, name: str, records: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Return one page; the token is the id of the last record of the page before."""
    size = handler._get_int_param("MaxRecords") or PAGE
    token = handler._get_param("NextToken")
    ids = [record[key] for record in records]
    if token and token not in ids:
        raise AutoscalingClientError("InvalidNextToken", "The NextToken value is not valid.")
    start = ids.index(token) + 1 if token else 0
    page = records[start : start + size]
    answer: dict[str, Any] = {name: page}
    if start + size < len(records):
        answer["NextToken"] = page[-1][key]
    return answer
