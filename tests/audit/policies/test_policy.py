"""IAM's decision on one request.

Source: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements".
"""

import pytest

from localcloud.core.permissions.policy import Access, allowed

SNAPSHOT = "arn:aws:ec2:us-east-1::snapshot/snap-1"


def policy(**statement):
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", **statement}],
    }


def test_nothing_is_allowed_by_itself():
    assert not allowed([], Access("ec2:DeleteSnapshot", SNAPSHOT))


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ({"Action": "ec2:DeleteSnapshot"}, True),
        ({"Action": ["ec2:CreateTags", "EC2:deletesnapshot"]}, True),
        ({"Action": "ec2:Delete*"}, True),
        ({"Action": "ec2:DeleteSnapsho?"}, True),
        ({"Action": "ec2:DeleteSnap"}, False),
        ({"Resource": "arn:aws:ec2:*::snapshot/*"}, True),
        ({"Resource": "arn:aws:ec2:*::image/*"}, False),
        ({"Resource": "arn:aws:ec2:eu-central-1::snapshot/*"}, False),
    ],
)
def test_action_and_resource_must_match(statement, verdict):
    assert allowed([policy(**statement)], Access("ec2:DeleteSnapshot", SNAPSHOT)) is verdict


def test_what_is_not_named():
    other = {"Effect": "Allow", "NotAction": "ec2:*", "NotResource": "arn:aws:ssm:*"}
    assert allowed([{"Statement": other}], Access("ebs:PutSnapshotBlock", SNAPSHOT))
    assert not allowed([{"Statement": other}], Access("ec2:DeleteSnapshot", SNAPSHOT))
    assert not allowed(
        [{"Statement": other}], Access("ssm:GetParameter", "arn:aws:ssm:us-east-1:1:parameter/a")
    )


def test_a_deny_wins():
    assert not allowed([policy(), policy(Effect="Deny")], Access("ec2:DeleteSnapshot", SNAPSHOT))


@pytest.mark.parametrize(
    ("condition", "context", "verdict"),
    [
        ({"StringEquals": {"k": "v"}}, {"k": ("v",)}, True),
        ({"StringEquals": {"K": ["u", "v"]}}, {"k": ("v",)}, True),
        ({"StringEquals": {"k": "v"}}, {"k": ("V",)}, False),
        ({"StringEquals": {"k": "v"}}, {}, False),
        ({"StringEqualsIfExists": {"k": "v"}}, {}, True),
        ({"StringNotEquals": {"k": "v"}}, {}, True),
        ({"StringNotEquals": {"k": "v"}}, {"k": ("v",)}, False),
        ({"StringLike": {"k": "ingot/*"}}, {"k": ("ingot/web",)}, True),
        (
            {"ArnLike": {"k": "arn:aws:ec2:*:1:launch-template/*"}},
            {"k": ("arn:aws:ec2:r:1:launch-template/lt",)},
            True,
        ),
        ({"Bool": {"k": "true"}}, {"k": ("true",)}, True),
        ({"Bool": {"k": True}}, {"k": ("false",)}, False),
        ({"Null": {"k": "false"}}, {"k": ("v",)}, True),
        ({"Null": {"k": "false"}}, {}, False),
        ({"Null": {"k": "true"}}, {}, True),
        ({"NumericLessThan": {"k": "1.2"}}, {"k": ("1.1",)}, True),
        ({"ForAllValues:StringEquals": {"k": ["a", "b"]}}, {"k": ("a", "b")}, True),
        ({"ForAllValues:StringEquals": {"k": ["a", "b"]}}, {"k": ("a", "c")}, False),
        ({"ForAllValues:StringEquals": {"k": ["a"]}}, {}, True),
        ({"ForAnyValue:StringEquals": {"k": ["a"]}}, {"k": ("a", "c")}, True),
        ({"StringEquals": {"k": "v", "l": "w"}}, {"k": ("v",)}, False),
    ],
)
def test_conditions(condition, context, verdict):
    access = Access("ec2:DeleteSnapshot", SNAPSHOT, context)
    assert allowed([policy(Condition=condition)], access) is verdict


def test_an_operator_that_is_not_known_is_no_yes():
    with pytest.raises(ValueError, match="IpAddress"):
        allowed(
            [policy(Condition={"IpAddress": {"k": "10.0.0.0/8"}})], Access("ec2:DeleteSnapshot", SNAPSHOT)
        )
