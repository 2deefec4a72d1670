"""Alarms that are evaluated: moto's stay OK for ever.

A metric's period counts once it is over. A new or changed alarm, and new data, are looked at within a second;
AWS takes up to a minute for that. Of expressions only IF(a >= NUMBER, b, NUMBER) is evaluated, of metrics;
alarms on others stay INSUFFICIENT_DATA. Composite alarms follow the alarms of their rule. The actions of
alarms are not carried out.

Sources: CloudWatch API reference, PutMetricAlarm ("the alarm state is immediately set to INSUFFICIENT_DATA";
"its state is left unchanged" by an update), SetAlarmState; user guide, "Alarm evaluation".
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import CloudWatchBackend, MetricDatumBase, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from localcloud.core.context import CloudContext
from localcloud.core.moto_types import (
    AlarmMetric,
    ApiHandler,
    CloudWatchRecords,
    Datum,
    MetricAlarm,
    MetricQuery,
)
from localcloud.core.patching import Patches
from localcloud.services.cloudwatch import composite
from localcloud.services.cloudwatch.evaluation import (
    COMPARISONS,
    INSUFFICIENT,
    Rule,
    enough_samples,
    evaluate,
    percentile,
)

TICK = 1.0  # seconds
_CONDITION = re.compile(r"IF\((?P<tested>\w+) >= (?P<least>[\d.]+), (?P<taken>\w+), (?P<otherwise>[\d.]+)\)")


class AlarmLoop:
    """Evaluates the alarms of all regions. ``flush`` writes the metrics of minutes that are over."""

    def __init__(self, context: CloudContext, flush: Callable[[float], bool] | None) -> None:
        self._context = context
        self._flush = flush
        self._wake = threading.Event()
        self._stale = True
        self._closed = False
        self._minute = 0
        self._thread = threading.Thread(target=self._loop, name="alarms", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def stop(self) -> None:
        """End the loop."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def look(self) -> None:
        """Evaluate with the next tick: an alarm or its data changed."""
        self._stale = True

    def _loop(self) -> None:
        while not self._wake.wait(TICK):
            try:
                self.step(time.time())
            except Exception as error:  # noqa: BLE001 - one bad alarm must not end the loop
                self._context.log(f"alarms: {error!r}")

    def step(self, now: float) -> None:
        """Take in what was measured and evaluate, if a minute is over or something changed."""
        fresh = self._flush(now) if self._flush is not None else False
        # Periods begin at whole multiples of themselves, the shortest has ten seconds.
        minute = int(now // 10)
        if not (fresh or self._stale or minute != self._minute):
            return
        self._stale, self._minute = False, minute
        for backend in list(cloudwatch_backends[self._context.account].values()):
            alarms = list(backend.alarms.values())
            changed = [a for a in alarms if a.rule is None and self._evaluated(backend, a, now)]
            composites = [a for a in alarms if a.rule is not None]
            # A composite alarm may stand on others: as many rounds as there are reach the last one, and end a
            # circle, which has no state of its own.
            for _ in composites:
                turned = [a for a in composites if self._followed(backend, a)]
                changed += turned
                if not turned:
                    break
            if changed:
                self._context.hooks.changed()

    def _followed(self, backend: CloudWatchRecords, alarm: MetricAlarm) -> bool:
        """Evaluate a composite alarm; say whether its state has changed."""
        rule = composite.parse(str(alarm.rule))
        states = {name: backend.alarms[name].state_value for name in rule.names if name in backend.alarms}
        state = rule.state(states)
        if state == alarm.state_value:
            return False
        reason = f"The rule {alarm.rule} is {'true' if rule.holds(states) else 'false'} of {states}."
        alarm.update_state(reason, json.dumps({"triggeringAlarms": states}), state)
        self._context.log(f"alarm {alarm.name}: {state}: {reason}")
        return True

    def _evaluated(self, backend: CloudWatchRecords, alarm: MetricAlarm, now: float) -> bool:
        """Evaluate one alarm; say whether its state has changed."""
        rule = Rule(
            int(alarm.evaluation_periods),
            int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
            alarm.treat_missing_data or "missing",
        )
        values = _values(backend.metric_data, alarm, rule.range, now)
        if values is None:
            return False
        compare, threshold = COMPARISONS[alarm.comparison_operator], float(alarm.threshold)
        breaching = [None if value is None else compare(value, threshold) for value in values]
        state = evaluate(breaching, rule, alarm.state_value)
        if state == alarm.state_value:
            return False
        known = [value for value in values if value is not None]
        reason = f"Threshold Crossed: data points {known} compared with the threshold ({threshold})."
        alarm.update_state(reason, json.dumps({"recentDatapoints": known, "threshold": threshold}), state)
        self._context.log(f"alarm {alarm.name}: {state}: {reason}")
        return True


def _values(data: Iterable[Datum], alarm: MetricAlarm, count: int, now: float) -> list[float | None] | None:
    """Return the last ``count`` values that an alarm looks at; None when they cannot be computed here."""
    if not alarm.metric_data_queries:
        return points(data, alarm, count, now) if alarm.metric_name else None
    queries = {query.id: query for query in alarm.metric_data_queries}
    expressions = [query.expression for query in queries.values() if query.expression]
    match = _CONDITION.fullmatch(expressions[0]) if len(expressions) == 1 else None
    if match is None or not {match["tested"], match["taken"]} <= queries.keys():
        return None
    tested, taken = (
        points(data, _metric_of(queries[match[name]]), count, now) for name in ("tested", "taken")
    )
    least, otherwise = float(match["least"]), float(match["otherwise"])
    return [
        None if measured is None else value if measured >= least else otherwise
        for measured, value in zip(tested, taken, strict=True)
    ]


def _metric_of(query: MetricQuery) -> AlarmMetric:
    """Return a query's metric as an alarm on it alone would have it."""
    stat, metric = query.metric_stat.stat, query.metric_stat.metric
    alone = SimpleNamespace(
        period=query.metric_stat.period,
        namespace=metric.namespace,
        metric_name=metric.metric_name,
        dimensions=metric.dimensions,
        statistic=None if stat.startswith("p") else stat,
        extended_statistic=stat if stat.startswith("p") else None,
        evaluate_low_sample_count_percentile="",
    )
    return cast("AlarmMetric", alone)


def points(data: Iterable[Datum], alarm: AlarmMetric, count: int, now: float) -> list[float | None]:
    """Return the last ``count`` values of an alarm's metric, the oldest first, None where there is none."""
    period = int(alarm.period)
    first = (int(now // period) - count) * period
    wanted = {(d.name, d.value) for d in alarm.dimensions}
    buckets: list[list[Datum]] = [[] for _ in range(count)]
    for datum in list(data):
        if (datum.namespace, datum.name) != (alarm.namespace, alarm.metric_name):
            continue
        place = int((_seconds(datum.timestamp) - first) // period)
        if 0 <= place < count and {(d.name, d.value) for d in datum.dimensions} == wanted:
            buckets[place].append(datum)
    return [_statistic(bucket, alarm) if bucket else None for bucket in buckets]


def _seconds(timestamp: Any) -> float:  # noqa: ANN401 - moto keeps what it is given
    when = timestamp if isinstance(timestamp, datetime) else datetime.fromisoformat(str(timestamp))
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _statistic(data: list[Datum], alarm: AlarmMetric) -> float | None:
    if alarm.extended_statistic:
        percent = float(str(alarm.extended_statistic).removeprefix("p"))
        values = [float(datum.value) for datum in data if hasattr(datum, "value")]
        few = not enough_samples(len(values), percent)
        if not values or (few and alarm.evaluate_low_sample_count_percentile == "ignore"):
            return None
        return percentile(values, percent)
    sums = [float(getattr(datum, "sum", getattr(datum, "value", 0.0))) for datum in data]
    counts = [float(getattr(datum, "sample_count", 1.0)) for datum in data]
    if alarm.statistic == "Sum":
        return sum(sums)
    if alarm.statistic == "SampleCount":
        return sum(counts)
    if alarm.statistic == "Maximum":
        return max(float(getattr(datum, "max", getattr(datum, "value", 0.0))) for datum in data)
    if alarm.statistic == "Minimum":
        return min(float(getattr(datum, "min", getattr(datum, "value", 0.0))) for datum in data)
    return sum(sums) / sum(counts) if sum(counts) else None


def _check_rule(backend: CloudWatchRecords, text: str) -> None:
    try:
        rule = composite.parse(text)
    except composite.RuleError as error:
        raise ValidationError(str(error)) from error
    missing = sorted(rule.names - backend.alarms.keys())
    if missing:
        raise ValidationError(
            f"Could not save the composite alarm as alarms [{', '.join(missing)}] in the alarm rule do not "
            "exist"
        )


def install(patches: Patches, loop: AlarmLoop) -> None:
    """Let alarms begin without data, keep their state when they are changed, and look at what is put."""

    def creating(original: Callable[..., MetricAlarm]) -> Callable[..., MetricAlarm]:
        def put(backend: CloudWatchRecords, name: str, *rest: object, **named: object) -> MetricAlarm:
            if named.get("rule") is not None:
                _check_rule(backend, str(named["rule"]))
            before = backend.alarms.get(name)
            alarm = original(backend, name, *rest, **named)
            alarm.alarm_rule = alarm.rule
            alarm.state_value = INSUFFICIENT if before is None else before.state_value
            if before is not None:
                alarm.state_reason, alarm.history = before.state_reason, before.history
            loop.look()
            return alarm

        return put

    def looking(original: Callable[..., object]) -> Callable[..., object]:
        def method(*rest: object, **named: object) -> object:
            answer = original(*rest, **named)
            loop.look()
            return answer

        return method

    def deleting(original: Callable[..., None]) -> Callable[..., None]:
        def delete(backend: CloudWatchRecords, alarm_names: list[str]) -> None:
            """DeleteAlarms: none that a composite alarm needs, and of composite alarms one at a time."""
            known = [backend.alarms[name] for name in alarm_names if name in backend.alarms]
            if sum(alarm.rule is not None for alarm in known) > 1:
                raise ValidationError("You can't delete two composite alarms with one operation.")
            rules = [composite.parse(str(a.rule)) for a in backend.alarms.values() if a.rule is not None]
            needed = [alarm.name for alarm in known if any(alarm.name in rule.names for rule in rules)]
            if needed:
                raise ValidationError(
                    f"Cannot delete {','.join(needed)} as there are composite alarm(s) depending on "
                    f"{'it' if len(needed) == 1 else 'them'}."
                )
            original(backend, alarm_names)

        return delete

    def of_types(original: Callable[[ApiHandler], ActionResult]) -> Callable[[ApiHandler], ActionResult]:
        def describe(handler: ApiHandler) -> ActionResult:
            """DescribeAlarms: "If you omit this parameter, only metric alarms are returned"."""
            wanted = handler._get_param("AlarmTypes") or ["MetricAlarm"]
            answer = original(handler)
            for kind in ("MetricAlarm", "CompositeAlarm"):
                if kind not in wanted:
                    answer.result[f"{kind}s"] = []
            return answer

        return describe

    def exactly(original: Callable[..., bool]) -> Callable[..., bool]:
        def matches(
            datum: Datum,
            namespace: str | None,
            name: str | None,
            dimensions: Collection[object] | None,
            **named: object,
        ) -> bool:
            """GetMetricStatistics: "you must specify the same dimensions"; ListMetrics takes fewer."""
            statistics = namespace is None and name is None and not named
            if statistics and len(dimensions or []) != len(datum.dimensions):
                return False
            return original(datum, namespace, name, dimensions, **named)

        return matches

    patches.replace(MetricDatumBase, "filter", exactly)
    patches.replace(CloudWatchBackend, "put_metric_alarm", creating)
    # moto knows the rule of an alarm and lacks the call that gives one.
    patches.add(CloudWatchResponse, put_composite_alarm=CloudWatchResponse.put_metric_alarm)
    patches.replace(CloudWatchBackend, "set_alarm_state", looking)
    patches.replace(CloudWatchBackend, "delete_alarms", deleting)
    patches.replace(CloudWatchResponse, "describe_alarms", of_types)
    patches.replace(CloudWatchBackend, "put_metric_data", looking)
