"""CloudWatch: alarms are evaluated as the user guide says.

Sources: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data" (the two tables are
those of that page), "Alarm evaluation"; API reference, PutMetricAlarm.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.services.cloudwatch import composite
from localcloud.services.cloudwatch.evaluation import Rule, enough_samples, evaluate, percentile
from tests.localcloud.conftest import LocalCloud, code_of
from tests.localcloud.services.cloudformation.support import create, template

DIMENSIONS = [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
KEEPS = "the state before"
# X breaches, 0 does not, - is missing. The last column of each row is in the order of TREATMENTS.
THREE_OF_THREE = [
    ("0 - X - X", ("OK", "OK", "OK", "OK")),
    ("- - - - 0", ("OK", "OK", "OK", "OK")),
    ("- - - - -", ("INSUFFICIENT_DATA", KEEPS, "ALARM", "OK")),
    ("0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("- - X - -", ("ALARM", KEEPS, "ALARM", "OK")),
]
TWO_OF_THREE = [
    ("0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0 - X - -", ("OK", "OK", "ALARM", "OK")),
    ("- - - - 0", ("OK", "OK", "ALARM", "OK")),
    ("- - - X -", ("ALARM", KEEPS, "ALARM", "OK")),
]
CASES = [
    (datapoints, text, treatment, state)
    for datapoints, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for text, states in table
    for treatment, state in zip(TREATMENTS, states, strict=True)
]


@pytest.mark.parametrize(("datapoints", "text", "treatment", "state"), CASES)
def test_missing_data(datapoints: int, text: str, treatment: str, state: str) -> None:
    points = [{"X": True, "0": False, "-": None}[mark] for mark in text.split()]
    for before in ("OK", "ALARM", "INSUFFICIENT_DATA"):
        found = evaluate(points, Rule(3, datapoints, treatment), before)
        assert found == (before if state == KEEPS else state)


def test_percentiles_need_samples() -> None:
    """ "Percentile-based alarms and low data samples": 10/(1-percentile) above the median."""
    assert (enough_samples(199, 95), enough_samples(201, 95)) == (False, True)
    assert percentile([float(number) for number in range(1, 101)], 95) == 95.0


def state_of(cloud: LocalCloud, name: str) -> str:
    [alarm] = cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(alarm["StateValue"])


def becomes(cloud: LocalCloud, name: str, state: str) -> None:
    deadline = time.monotonic() + 60
    while state_of(cloud, name) != state:
        assert time.monotonic() < deadline, state_of(cloud, name)
        time.sleep(0.1)


def put_alarm(cloud: LocalCloud, name: str, **changed: Any) -> None:
    given = {
        "AlarmName": name, "Namespace": "app", "MetricName": name, "Period": 60, "Statistic": "Sum",
        "Threshold": 5.0, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Dimensions": DIMENSIONS,
    }  # fmt: skip
    cloud.client("cloudwatch").put_metric_alarm(**(given | changed))


def put(cloud: LocalCloud, name: str, value: float) -> None:
    """Put a value into the last minute that is over."""
    datum = {
        "MetricName": name, "Value": value, "Timestamp": datetime.now(UTC) - timedelta(minutes=1),
        "Dimensions": DIMENSIONS[::-1],
    }  # fmt: skip
    cloud.client("cloudwatch").put_metric_data(Namespace="app", MetricData=[datum])


def test_a_new_alarm_has_no_data_and_keeps_its_state_when_it_is_changed(local_cloud: LocalCloud) -> None:
    put_alarm(local_cloud, "kept")
    assert state_of(local_cloud, "kept") == "INSUFFICIENT_DATA"
    put(local_cloud, "kept", 9)
    becomes(local_cloud, "kept", "ALARM")
    put_alarm(local_cloud, "kept", AlarmDescription="changed")
    assert state_of(local_cloud, "kept") == "ALARM"


def test_an_alarm_without_data_is_as_it_treats_that(local_cloud: LocalCloud) -> None:
    put_alarm(local_cloud, "quiet", TreatMissingData="notBreaching")
    becomes(local_cloud, "quiet", "OK")
    put_alarm(local_cloud, "dead", TreatMissingData="breaching")
    becomes(local_cloud, "dead", "ALARM")


def test_values_of_other_dimensions_do_not_count(local_cloud: LocalCloud) -> None:
    put_alarm(local_cloud, "elsewhere", Dimensions=[{"Name": "a", "Value": "1"}])
    put_alarm(local_cloud, "here", MetricName="elsewhere")
    put(local_cloud, "elsewhere", 9)
    becomes(local_cloud, "here", "ALARM")
    assert state_of(local_cloud, "elsewhere") == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("requests", "latency", "state"), [(80, 3.0, "ALARM"), (20, 3.0, "OK"), (80, 0.1, "OK")]
)
def test_a_condition_on_one_metric_chooses_the_value_of_another(
    requests: int, latency: float, state: str, local_cloud: LocalCloud
) -> None:
    """Using math expressions, "IF": the value of a busy minute, 0 of a quiet one."""
    name = f"busy-{requests}-{latency}"
    queries = [
        {"Id": "e", "Expression": "IF(requests >= 60, latency, 0)", "ReturnData": True},
        *(
            {
                "Id": key,
                "MetricStat": {
                    "Metric": {"Namespace": "app", "MetricName": f"{name}-{key}", "Dimensions": DIMENSIONS},
                    "Period": 60,
                    "Stat": "Sum",
                },
                "ReturnData": False,
            }
            for key in ("requests", "latency")
        ),
    ]
    cloud = local_cloud.client("cloudwatch")
    cloud.put_metric_alarm(
        AlarmName=name, Metrics=queries, Threshold=1.0, EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold", TreatMissingData="missing",
    )  # fmt: skip
    put(local_cloud, f"{name}-requests", requests)
    put(local_cloud, f"{name}-latency", latency)
    becomes(local_cloud, name, state)


# -- composite alarms: API reference, PutCompositeAlarm, DeleteAlarms, DescribeAlarms


def compose(cloud: LocalCloud, name: str, rule: str) -> None:
    cloud.client("cloudwatch").put_composite_alarm(AlarmName=name, AlarmRule=rule)


def composite_becomes(cloud: LocalCloud, name: str, state: str) -> None:
    client, end = cloud.client("cloudwatch"), time.monotonic() + 60
    while True:
        found = client.describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
        if found["CompositeAlarms"][0]["StateValue"] == state:
            return
        assert time.monotonic() < end, found


@pytest.mark.parametrize(
    ("rule", "states", "wanted"),
    [
        ("ALARM(a)", {"a": "ALARM"}, "ALARM"),
        ('ALARM("a b")', {"a b": "OK"}, "OK"),
        ("OK(a) AND NOT ALARM(b)", {"a": "OK", "b": "INSUFFICIENT_DATA"}, "ALARM"),
        ("INSUFFICIENT_DATA(a) OR FALSE", {"a": "INSUFFICIENT_DATA"}, "ALARM"),
        ("ALARM(a) OR ALARM(b) AND ALARM(c)", {"a": "ALARM", "b": "OK", "c": "OK"}, "ALARM"),
        ("(ALARM(a) OR ALARM(b)) AND ALARM(c)", {"a": "ALARM", "b": "OK", "c": "OK"}, "OK"),
        ("ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)", {"a": "ALARM"}, "ALARM"),
        ("NOT (TRUE AND ALARM(a))", {"a": "OK"}, "ALARM"),
    ],
)
def test_a_rule_makes_one_state_of_many(rule: str, states: dict[str, str], wanted: str) -> None:
    parsed = composite.parse(rule)
    assert parsed.names == states.keys()
    assert parsed.state(states) == wanted


@pytest.mark.parametrize(
    "rule",
    ["", "ALARM(a", "ALARM()", "a AND b", "(ALARM(a)", "ALARM(a) ALARM(b)", "AND ALARM(a)", "ALARM(a) OR"],
)
def test_a_rule_that_is_none_is_refused(local_cloud: LocalCloud, rule: str) -> None:
    with pytest.raises(composite.RuleError):
        composite.parse(rule)
    if rule:
        with pytest.raises(ClientError) as caught:
            compose(local_cloud, "unread", rule)
        assert code_of(caught) == "ValidationError"


def test_a_composite_alarm_follows_its_alarms_and_keeps_them(local_cloud: LocalCloud) -> None:
    cloud = local_cloud.client("cloudwatch")
    with pytest.raises(ClientError, match=r"alarms \[first\] in the alarm rule do not exist"):
        compose(local_cloud, "both", "ALARM(first)")
    put_alarm(local_cloud, "first", TreatMissingData="ignore")
    put_alarm(local_cloud, "second", TreatMissingData="ignore")
    compose(local_cloud, "both", "ALARM(first) AND ALARM(second)")
    compose(local_cloud, "above", "ALARM(both)")
    assert cloud.describe_alarms(AlarmNames=["both"])["CompositeAlarms"] == []
    [both] = cloud.describe_alarms(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert both["AlarmRule"] == "ALARM(first) AND ALARM(second)"
    composite_becomes(local_cloud, "above", "OK")
    put(local_cloud, "first", 9)
    becomes(local_cloud, "first", "ALARM")
    composite_becomes(local_cloud, "both", "OK")
    put(local_cloud, "second", 9)
    composite_becomes(local_cloud, "both", "ALARM")
    composite_becomes(local_cloud, "above", "ALARM")
    with pytest.raises(ClientError, match="Cannot delete first as there are composite alarm"):
        cloud.delete_alarms(AlarmNames=["first"])
    with pytest.raises(ClientError, match="two composite alarms"):
        cloud.delete_alarms(AlarmNames=["both", "above"])
    for name in ("above", "both"):
        cloud.delete_alarms(AlarmNames=[name])
    cloud.delete_alarms(AlarmNames=["first", "second"])


def test_a_stack_makes_a_composite_alarm_after_its_alarms(local_cloud: LocalCloud) -> None:
    alarm = {
        "MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Sum", "Threshold": 1,
        "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    resources = {
        "Above": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {"AlarmName": "of-stack", "AlarmRule": {"Fn::Sub": 'ALARM("${One}") OR TRUE'}},
        },
        "One": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
    }
    assert create(local_cloud, "composed", template(resources))["StackStatus"] == "CREATE_COMPLETE"
    composite_becomes(local_cloud, "of-stack", "ALARM")
    local_cloud.client("cloudformation").delete_stack(StackName="composed")
