"""Archive, restore, bundle, store tasks, verify: each call of S3 and EC2 fails; the process is killed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ingot.aws.archive.images import archived_images, find, manifest_of, read_disk
from ingot.aws.archive.stored import find_stored, stored_images
from ingot.aws.publish.publish import publish
from ingot.errors import IngotError
from ingot.recipe.asset import registry_parameter
from localcloud.core.environment import CERTIFICATE
from tests import ROOT
from tests.aws.archive.test_images import make_bucket
from tests.aws.conftest import KEYS
from tests.aws.every_call import archiving
from tests.aws.every_call.archiving import ARCHIVE, BUNDLES, Given, bucket_of, quiet, settings
from tests.aws.every_call.ways import DIRECT
from tests.aws.fault_proxy import ANY
from tests.aws.instance_store.conftest import pairs
from tests.aws.support import SmallImage, holdings, make_image

__all__ = ["pairs"]
# What each asks of AWS.
READING = {"ListSnapshotBlocks", "GetSnapshotBlock"}
SNAPSHOT = {"StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot"}
CHECK = {"GetCallerIdentity", "HeadBucket", "GetBucketEncryption", "GetPublicAccessBlock"}
LOOK = {"ListObjectsV2", "GetObject"}
TASK = {"CreateStoreImageTask", "DescribeStoreImageTasks"}
CALLS = {
    "archived": CHECK | {"ListObjectsV2", "HeadObject", "PutObject"},
    "restored": CHECK | LOOK | DIRECT | READING,
    "bundled": (DIRECT - SNAPSHOT) | LOOK | {"PutObject"},
    "verified": READING | {"GetParameter", "DescribeImages", "DescribeSnapshots"},
    "stored": CHECK | TASK | {"HeadObject", "PutObject", "GetParameter", "DescribeImages"},
    "restored_by_ec2": CHECK
    | LOOK
    | READING
    | DIRECT - SNAPSHOT - {"RegisterImage"}
    | {"CreateRestoreImageTask"},
}
# One after another: what is asked once in a run meets all of them.
FAULTS: dict[str, dict[str, Any]] = {
    "done, and the answer lost": {"lost": True},
    "failing in the server": {"code": "InternalError", "status": 500},
    "throttled": {"code": "RequestLimitExceeded", "status": 503},
    "cut off in the answer": {"shape": "cut"},
}
# Where nothing but a retry or a note goes without an answer, or every publish has it: test_unanswered.py.
ELSEWHERE = DIRECT - {"RegisterImage", "RunInstances", "PutParameter"}


@dataclass(frozen=True)
class Case:
    """One way to keep an image or to bring it back, prepared, with nothing of it done."""

    name: str
    given: Given
    clients: Any
    direct: Any

    def run(self) -> None:
        archiving.WAYS[self.name](self.clients, self.given)

    def parts(self) -> list[str]:
        """The objects of bundles."""
        listed = self.direct.s3.list_objects_v2(Bucket=BUNDLES)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def assert_nothing_is_left_or_named(self, before: dict[str, list[str]]) -> None:
        """No resource, no part of a bundle, and neither archive nor registry names an image."""
        assert holdings(self.direct) == before
        assert self.parts() == []
        bucket = bucket_of(self.direct)
        if self.name == "archived":
            assert self.given.image.digest not in {one.digest for one in archived_images(bucket)}
        if self.name == "stored":
            assert [*stored_images(bucket)] == []

    def assert_done_once(self, before: dict[str, list[str]]) -> None:
        bucket, image = bucket_of(self.direct), self.given.image
        if self.name == "archived":
            copy = self.given.directory / "copy.raw"
            read_disk(bucket, manifest_of(bucket, find(bucket, "web")), copy, quiet)
            assert copy.read_bytes() == image.disk.read_bytes()
        elif self.name == "stored":
            assert find_stored(bucket, "web").manifest == image.manifest
            top = self.direct.s3.list_objects_v2(Bucket=ARCHIVE, Prefix="ami-")["Contents"]
            assert [entry["Key"] for entry in top] == [find_stored(bucket, "web").lineage.key]
        if self.name in ("archived", "stored", "verified"):
            assert holdings(self.direct) == before
            return
        found = holdings(self.direct)
        assert found.pop("parameters") == [registry_parameter("web", image.digest)]
        [ami] = self.direct.ec2.describe_images(ImageIds=found.pop("images"))["Images"]
        tags = {tag["Key"]: tag["Value"] for tag in ami["Tags"]}
        assert tags["ingot:state"] == "published"
        if self.name == "bundled":
            assert found == {}
            publish_id = tags["ingot:publish-id"]
            names = ("image.manifest.xml", "image.part.00")
            assert self.parts() == [f"golden/web/{image.digest[:12]}/{publish_id}/{name}" for name in names]
        else:
            assert found == {"snapshots": [ami["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]]}


@pytest.fixture(params=archiving.WAYS)
def case(request, clock, direct, clients, proxy, clone_settings, tmp_path, pairs, cloud, passing):
    return prepared(request.param, direct, clients, clone_settings, tmp_path, pairs, cloud, passing)


def prepared(name, direct, clients, clone_settings, tmp_path, pairs, cloud, passing):
    """Return a case, with what has to be there before it."""
    make_bucket(direct, ARCHIVE)
    direct.s3.create_bucket(Bucket=BUNDLES)
    image = make_image(tmp_path, ["a", None, "b", "c"])
    if name == "bundled":
        fields = {"root_device": "instance-store", "boot": {"mode": "legacy-bios", "kernel_command_line": ""}}
        image = SmallImage(image.disk, {**image.manifest, **fields}, image.digest)
    passing(image)
    bundles = {
        "INGOT_BUNDLES": f"s3://{BUNDLES}/golden",
        "EC2_PRIVATE_KEY": str(pairs["user"][0]),
        "EC2_CERT": str(pairs["user"][1]),
        "INGOT_EC2_CERTIFICATE": str(cloud.directory / CERTIFICATE),
    }
    given = Given(
        image, clone_settings.launch_template_id, tuple(clone_settings.subnet_ids), tmp_path, bundles
    )
    if name == "archived":
        # An image with a block of this one's: it is looked at, not only sent.
        older = make_image(tmp_path, ["a"], recipe="older", name="older")
        archiving.archived(direct, replace(given, image=older))
    if name == "restored":
        archiving.archived(direct, given)
    if name in ("stored", "restored_by_ec2", "verified"):
        published = publish(image, clients, replace(settings(clients, given), archive=None), quiet)
    if name == "restored_by_ec2":
        archiving.stored(direct, given)
        direct.ec2.deregister_image(ImageId=published.ami_id, DeleteAssociatedSnapshots=True)
        direct.ssm.delete_parameter(Name=registry_parameter("web", image.digest))
        clients.recent.forget_everything()
    return Case(name, given, clients, direct)


def test_each_call_of_archive_restore_bundle_store_tasks_and_verify_may_fail_once_in_every_way(
    case, direct, proxy
):
    before = holdings(direct)
    proxy.made.clear()
    shown = [proxy.fail(ANY, times=1, **how) for how in FAULTS.values()]
    case.run()
    case.assert_done_once(before)
    for fault, name in zip(shown, FAULTS, strict=True):
        assert set(fault.shown) == CALLS[case.name], name


def test_whichever_call_is_refused_nothing_is_orphaned_or_named_and_the_next_run_completes(
    case, direct, proxy
):
    before = holdings(direct)
    console = proxy.console
    for operation in sorted(CALLS[case.name] - ELSEWHERE):
        code = "UnauthorizedOperation" if operation in DIRECT else "AccessDenied"
        proxy.fail(operation, code=code, status=403)
        with pytest.raises((IngotError, direct.s3.exceptions.ClientError)):
            case.run()
        proxy.heal()
        proxy.console = console
        case.assert_nothing_is_left_or_named(before)
    case.run()
    case.assert_done_once(before)


@pytest.mark.parametrize(
    ("name", "operation", "after"),
    [
        ("archived", "PutObject", 1),
        ("restored", "GetSnapshotBlock", 1),
        ("bundled", "PutObject", 0),
        ("bundled", "RegisterImage", 0),
        ("stored", "CreateStoreImageTask", 0),
        ("restored_by_ec2", "CreateRestoreImageTask", 0),
    ],
)
def test_after_a_kill_9_in_the_middle_nothing_is_named_and_the_next_run_completes(
    name, operation, after, clock, direct, clients, proxy, clone_settings, tmp_path, pairs, cloud, passing
):
    case = prepared(name, direct, clients, clone_settings, tmp_path, pairs, cloud, passing)
    before = holdings(direct)
    processes = []
    # Killed when AWS has done the work, and before its answer arrives.
    proxy.fail(
        operation, lost=True, times=1, after=after, then=lambda: os.kill(processes[0].pid, signal.SIGKILL)
    )
    command = [sys.executable, "-m", archiving.__name__]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        processes.append(process)
        process.communicate(pickle.dumps((name, proxy.url, KEYS, case.given)), timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert holdings(direct).get("parameters") == before.get("parameters")
    case.run()
    case.assert_done_once(before)
    assert not list((tmp_path / "records").rglob("*.json"))
