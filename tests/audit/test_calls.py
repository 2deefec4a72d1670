"""Every call of AWS is one that AWS has: held against botocore's own service models, without running it."""

import ast
import re
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ParamValidationError

from tests.audit.account import POLICIES, actions, document
from tests.audit.calls import Call, calls_in, operations, problems, refuse_what_the_model_lacks

ROOT = Path(__file__).parent.parent.parent
# Constructs call nothing (tests/repository/test_imports.py): their `ec2` is a module of the CDK. What travels
# to a builder has no boto3: its few requests are seen by the judge of permissions, which knows each by its
# path (tests/audit/test_builder_role.py).
FILES = sorted(
    file
    for package in ("ingot", "localcloud")
    for file in (ROOT / package).rglob("*.py")
    if not {"constructs", "instance"} & set(file.relative_to(ROOT).parts)
)
CALLS = [call for file in FILES for call in calls_in(file, ROOT)]
USED = sorted({(call.service, call.method) for call in CALLS})


def test_no_call_names_what_aws_does_not_have():
    assert not [line for call in CALLS for line in problems(call)]


def test_the_calls_are_found():
    assert len(CALLS) > 100
    assert {str(call).partition(" ")[2] for call in CALLS if ours(call)} >= {
        "ebs.put_snapshot_block",
        "ebs.list_snapshot_blocks",  # through partial
        "ec2.run_instances",
        "ec2.describe_snapshots",
        "ssm.get_parameter",
        "autoscaling.describe_instance_refreshes",
    }


def ours(call: Call) -> bool:
    return not call.place.startswith("localcloud")


# Which permission a call of S3 asks for, where it bears another name: Service Authorization Reference, S3.
OF_S3 = {
    "DeleteObjects": "DeleteObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
}
# What no policy of ingot/policies has.
BESIDES = {
    "sts:GetCallerIdentity",  # asks for none: STS's API reference
    "cloudformation:DescribeStackResource",  # `ingot plan --deployed`: ReviewRoles grants it beside look.json
}


def permission(call: Call) -> str:
    name = operations(call.service)[call.method].name
    if call.service == "s3":
        return f"s3:{OF_S3.get(name, name)}"
    return f"{call.service.replace('elbv2', 'elasticloadbalancing')}:{name}"


def test_every_call_is_in_a_policy_that_ships_or_on_the_page_of_archives():
    shipped = {action for file in POLICIES.glob("*.json") for _, action in actions(document(file.stem))}
    archive = set(re.findall(r"`(s3:\w+)`", (ROOT / "docs" / "archive.md").read_text()))
    archive |= {action for _, action in actions(document("store"))}
    asked = {(permission(call), "/archive/" in call.place) for call in CALLS if ours(call)}
    assert {action for action, _ in asked} >= BESIDES, "an exception that nothing needs"
    granted = {False: shipped | BESIDES, True: archive | BESIDES}
    assert not [action for action, of_archive in asked if action not in granted[of_archive]]


def test_no_call_hides_behind_another_name():
    """An attribute that is called like an operation of EC2 or EBS direct is a call that
    was found, or a function of ours.
    """
    names = set(operations("ec2")) | set(operations("ebs")) | set(operations("autoscaling"))
    found = {call.place for call in CALLS}
    hidden = []
    for file in FILES:
        if "localcloud" in file.parts:
            continue
        tree = ast.parse(file.read_text())
        modules = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ingot")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in names:
                of_ours = isinstance(node.value, ast.Name) and node.value.id in modules
                place = f"{file.relative_to(ROOT)}:{node.lineno}"
                near = {
                    f"{file.relative_to(ROOT)}:{line}" for line in range(node.lineno - 1, node.lineno + 1)
                }
                if not of_ours and not found & near:
                    hidden.append(f"{place} {ast.unparse(node)}")
    assert not hidden


WRONG = """
def f(clients, request):
    clients.ec2.describe_image(ImageIds=["ami-1"])
    clients.ec2.describe_images(Ids=["ami-1"])
    clients.ec2.register_image(Name="a", BootMode="bios")
    clients.ec2.run_instances(MinCount=1)
    clients.ec2.get_paginator("describe_instances").paginate(Filter=[])
    clients.ec2.create_tags(Resources="ami-1", Tags=[{"key": "a"}])
    given = {"VolumeSize": "1"}
    given["Size"] = 2
    clients.ebs.start_snapshot(**given)
    clients.ebs.complete_snapshot(**request)
"""


def test_what_is_wrong_is_found(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    found = [line for call in calls_in(file, tmp_path) for line in problems(call)]
    assert [line.partition(":")[2].split(" ", 1)[1] for line in found] == [
        "ec2.describe_image: there is no such operation",
        "ec2.describe_images: there is no parameter Ids",
        "ec2.register_image: BootMode is 'bios', expected one of legacy-bios, uefi, uefi-preferred",
        "ec2.run_instances: lacks MaxCount",
        "ec2.describe_instances: there is no parameter Filter",
        "ec2.create_tags: Resources is 'ami-1', expected list",
        "ec2.create_tags: Tags[] has no member key",
        "ebs.start_snapshot: VolumeSize is '1', expected long",
        "ebs.start_snapshot: there is no parameter Size",
    ]


def client(service, session=None):
    return (session or boto3.Session()).client(
        service,
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="INGOTTEST",
        aws_secret_access_key="secret",
    )


@pytest.mark.parametrize("service", sorted({service for service, _ in USED}))
def test_botocore_itself_refuses_unknown_parameters_before_anything_is_sent(service):
    aws = client(service)
    for method in [method for of, method in USED if of == service]:
        with pytest.raises(ParamValidationError, match='Unknown parameter in input: "NoSuchThing"'):
            getattr(aws, method)(NoSuchThing=1)


def test_validation_is_switched_off_nowhere():
    assert not [file for file in FILES if "parameter_validation" in file.read_text()]


def test_the_hook_refuses_words_that_the_model_lacks():
    session = boto3.Session()
    refuse_what_the_model_lacks(session)
    with pytest.raises(AssertionError, match=r"RegisterImage\.BootMode is 'bios'"):
        client("ec2", session).register_image(Name="a", BootMode="bios")


def test_a_call_is_named_by_its_place():
    assert str(Call("ingot/a.py:3", "ec2", "describe_images", {}, True)) == "ingot/a.py:3 ec2.describe_images"
