"""moto is as it was after a cloud has stopped."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import boto3
import pytest

from localcloud.core.patching import Patches
from tests.localcloud.conftest import running_cloud


def moto_attributes() -> Iterator[tuple[tuple[str, str, str], int]]:
    """Each attribute of each class of moto's modules that are loaded, and which object it is."""
    import sys

    for name, module in sorted(sys.modules.items()):
        if not name.startswith("moto.") or not isinstance(module, ModuleType):
            continue
        for owner_name, owner in list(vars(module).items()):
            if isinstance(owner, type) and owner.__module__ == name:
                for attribute, value in list(vars(owner).items()):
                    if callable(value) or isinstance(value, property | staticmethod | classmethod):
                        yield (name, owner_name, attribute), id(value)


@pytest.mark.parametrize("machines", [True, False])
def test_a_stopped_cloud_leaves_moto_and_the_environment_as_they_were(tmp_path: Path, machines: bool) -> None:
    with running_cloud(tmp_path / "first", machines=machines) as cloud:
        cloud.client("cloudformation").list_stacks()  # all that is imported late is imported
        cloud.client("ec2").describe_instances()
    before, environment = dict(moto_attributes()), dict(os.environ)
    with running_cloud(tmp_path / "second", machines=machines) as cloud:
        during = dict(moto_attributes())
        cloud.client("ec2").describe_instances()
    changed = {name for name in during if during[name] != before.get(name)}
    assert ("moto.ec2.models.instances", "InstanceBackend", "run_instances") in changed
    after = dict(moto_attributes())
    assert {name for name in after if after[name] != before.get(name)} == set()
    assert before.keys() - after.keys() == set()
    assert dict(os.environ) == environment


def test_mock_aws_works_after_a_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto import mock_aws

    with running_cloud(tmp_path / "cloud"):
        pass
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        image = ec2.register_image(Name="plain")["ImageId"]  # moto takes what the local cloud refuses
        launched = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
        assert ec2.describe_instances(InstanceIds=[launched["InstanceId"]])["Reservations"]
        template = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
        boto3.client("cloudformation", region_name="us-east-1").create_stack(
            StackName="plain", TemplateBody=template
        )
        assert boto3.client("sns", region_name="us-east-1").list_topics()["Topics"]


def test_patches_are_put_back():
    class Base:
        def inherited(self):
            return "base"

    class Owner(Base):
        def own(self):
            return "own"

    patches = Patches()
    patches.replace(Owner, "own", lambda original: lambda self: original(self) + "+")
    patches.replace(Owner, "inherited", lambda original: lambda self: original(self) + "+")
    patches.replace(Owner, "new", lambda original: lambda self: original)
    assert (Owner().own(), Owner().inherited(), Owner().new()) == ("own+", "base+", None)
    patches.undo()
    assert (Owner().own(), Owner().inherited()) == ("own", "base")
    assert not hasattr(Owner, "new")
