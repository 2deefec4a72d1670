"""A denied call is told together with the statement that allows it, as the policies of the docs have it."""

from __future__ import annotations

import json

from botocore.exceptions import ClientError

from ingot.aws.session.failures import hint_for, statement_for


def test_a_denied_call_gets_its_statement():
    # Of three kinds of buckets: a denied call does not say which policy its caller has.
    statements = json.loads(f"[{statement_for('ListObjectsV2')}]")
    assert [statement["Sid"] for statement in statements] == [
        "FindBundles",
        "LookAtBundles",
        "LookAtTheBucket",
    ]
    assert {statement["Action"] for statement in statements} == {"s3:ListBucket"}
    error = ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "RegisterImage")
    hint = hint_for(error)
    assert "need permission for RegisterImage; add this to their policy" in hint
    assert '"Sid": "RegisterTagged"' in hint
    assert '"aws:RequestTag/ingot:recipe"' in hint


def test_the_permission_that_aws_names_counts_and_not_the_call():
    """StartSnapshot with tags asks for two."""
    said = (
        "User: arn:aws:iam::111122223333:user/x is not authorized to perform: ec2:CreateTags on resource: "
        "arn:aws:ec2:us-east-1::snapshot/* because no identity-based policy allows the ec2:CreateTags action"
    )
    error = ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, "StartSnapshot")
    hint = hint_for(error)
    assert "need permission for CreateTags; add this to their policy" in hint
    assert '"Sid": "TagWhatItCreates"' in hint
    assert '"ec2:CreateAction": ["StartSnapshot", "RegisterImage"]' in hint


def test_without_the_policies_or_a_statement_there_is_none(tmp_path):
    assert statement_for("MakeCoffee") is None
    assert statement_for("RunInstances", tmp_path) is None
