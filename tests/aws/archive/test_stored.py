"""AMIs that EC2 itself stores: stored once, restored bit for bit or not at all, whatever fails."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import GRACE
from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.archive.stored import collect_stored, find_stored, restore_stored, store, stored_images
from ingot.aws.publish.publish import publish
from ingot.aws.registry.published import find
from ingot.errors import IngotError, InputError, PublishError, VerificationError
from ingot.recipe.asset import registry_parameter
from localcloud.services.ec2.images import RegisteredImage
from tests.aws.archive.test_images import account, make_bucket, quiet
from tests.aws.support import holdings, make_image

__all__ = ["account"]
TASKS = ("CreateStoreImageTask", "DescribeStoreImageTasks", "CreateRestoreImageTask")


def check(clients):
    """Read a snapshot back, as `ingot restore` does."""
    from ingot.aws.verify.image import read_back

    def compare(snapshot_id, blocks):
        [snapshot] = clients.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
        encrypted = snapshot.get("Encrypted", False)
        read = read_back(clients, snapshot_id, blocks, encrypted=encrypted, progress=quiet)
        if not read.equals(blocks):
            raise VerificationError(f"{len(read.differing)} blocks differ: {list(read.differing)}")

    return compare


@pytest.fixture
def bucket(direct, clients, account):
    return Bucket(clients, ArchiveLocation(make_bucket(direct), "golden"), account)


@pytest.fixture
def image(tmp_path, passing):
    return passing(make_image(tmp_path, ["a", None, "b", "c"]))


@pytest.fixture
def restoring(settings, clients):
    return replace(settings, archive="s3://archive/golden", check_snapshot=check(clients))


@pytest.fixture
def published(image, clients, settings):
    return publish(image, clients, settings, quiet)


@pytest.fixture
def stored(clients, bucket, published, image):
    return store(clients, bucket, published, image.manifest, quiet)


def forget(direct, clients, published):
    """Remove an AMI as somebody would who does not know that it is all that there is; some days go by."""
    direct.ec2.deregister_image(ImageId=published.ami_id)
    direct.ec2.delete_snapshot(SnapshotId=published.snapshot_id)
    direct.ssm.delete_parameter(Name=registry_parameter(published.recipe, published.digest))
    assert holdings(direct) == {}
    clients.recent.forget_everything()


def tags_of(direct, ami_id):
    [image] = direct.ec2.describe_images(ImageIds=[ami_id])["Images"]
    return {tag["Key"]: tag["Value"] for tag in image["Tags"]}


def test_an_ami_that_is_gone_comes_back_under_a_new_id_with_its_lineage(
    direct, clients, bucket, published, stored, restoring, image
):
    assert [one.digest for one in stored_images(bucket)] == [image.digest]
    forget(direct, clients, published)
    record = find_stored(bucket, "web")
    assert record == stored
    assert record.lineage.ami_id == published.ami_id
    again = restore_stored(clients, bucket, record, restoring, quiet)
    assert again.ami_id != published.ami_id
    assert again.root_digest == published.root_digest
    found = find(clients, "web", image.digest)
    assert (found.ami_id, found.root_digest) == (again.ami_id, published.root_digest)
    tags = tags_of(direct, again.ami_id)
    assert tags["ingot:state"] == "published"
    assert tags["ingot:archive"] == "s3://archive/golden"
    assert tags["ingot:stored-as"] == published.ami_id
    assert {key for key in tags if key.startswith("ingot:inventory:")}
    assert restore_stored(clients, bucket, record, restoring, quiet).ami_id == again.ami_id
    assert len(direct.ec2.describe_images(Owners=["self"])["Images"]) == 1


def test_it_is_stored_once_and_a_lost_record_is_written_again(
    direct, clients, bucket, published, stored, proxy, image
):
    direct.s3.delete_object(Bucket="archive", Key=bucket.location.stored("web", image.digest))
    proxy.seen.clear()
    assert store(clients, bucket, published, image.manifest, quiet) == stored
    assert proxy.seen["CreateStoreImageTask"] == 0
    assert find_stored(bucket, image.digest[:9]) == stored


@pytest.mark.parametrize("operation", TASKS[:2])
@pytest.mark.parametrize("lost", [False, True], ids=["refused", "answer lost"])
def test_a_call_that_fails_once_while_storing_is_asked_again(
    lost, operation, clients, bucket, published, proxy, image
):
    proxy.fail(operation, code=None if lost else "InternalError", status=500, lost=lost, times=1)
    record = store(clients, bucket, published, image.manifest, quiet)
    assert find_stored(bucket, "web") == record


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "InternalError"])
def test_a_throttled_restore_is_asked_again(
    code, direct, clients, bucket, published, stored, restoring, proxy
):
    forget(direct, clients, published)
    proxy.fail("CreateRestoreImageTask", code=code, status=503, times=1)
    assert restore_stored(clients, bucket, stored, restoring, quiet).ami_id
    assert len(direct.ec2.describe_images(Owners=["self"])["Images"]) == 1


def test_a_restore_whose_answer_was_lost_is_found_by_its_name(
    direct, clients, bucket, published, stored, restoring, proxy
):
    forget(direct, clients, published)
    proxy.fail("CreateRestoreImageTask", lost=True, times=1)
    again = restore_stored(clients, bucket, stored, restoring, quiet)
    assert [one["ImageId"] for one in direct.ec2.describe_images(Owners=["self"])["Images"]] == [again.ami_id]


@pytest.mark.parametrize(
    "operation",
    ["CreateRestoreImageTask", "CreateTags", "ListSnapshotBlocks", "GetSnapshotBlock", "RunInstances"],
)
def test_a_restore_that_fails_leaves_nothing_and_the_next_one_succeeds(
    operation, direct, clients, bucket, published, stored, restoring, proxy
):
    forget(direct, clients, published)
    proxy.fail(operation, code="UnauthorizedOperation", status=403)
    with pytest.raises(IngotError):
        restore_stored(clients, bucket, stored, restoring, quiet)
    proxy.heal()
    assert holdings(direct) == {}
    proxy.console = None
    published = restore_stored(clients, bucket, stored, replace(restoring, clone=None), quiet)
    assert tags_of(direct, published.ami_id)["ingot:state"] == "untested"


def test_an_object_in_which_a_block_is_another_is_refused_and_nothing_is_left(
    direct, clients, bucket, published, stored, restoring, image, tmp_path, passing, settings
):
    """S3 holds another AMI's object under the key: the root digest tells."""
    other = passing(make_image(tmp_path, ["a", None, "b", "X"], name="other"))
    second = publish(other, clients, settings, quiet)
    store(clients, bucket, second, other.manifest, quiet)
    body = direct.s3.get_object(Bucket="archive", Key=f"{second.ami_id}.bin")["Body"].read()
    direct.s3.put_object(Bucket="archive", Key=stored.lineage.key, Body=body)
    for one in (published, second):
        direct.ec2.deregister_image(ImageId=one.ami_id)
        direct.ssm.delete_parameter(Name=registry_parameter("web", one.digest))
    for snapshot in direct.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        direct.ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    clients.recent.forget_everything()
    with pytest.raises(VerificationError, match=r"1 blocks differ: \[3\]"):
        restore_stored(clients, bucket, stored, restoring, quiet)
    assert holdings(direct) == {}


def test_a_task_that_fails_is_told_with_its_reason(direct, clients, bucket, published, image, proxy):
    proxy.answers["DescribeStoreImageTasks"] = FAILED
    proxy.answers["CreateStoreImageTask"] = CREATED
    with pytest.raises(PublishError, match=rf"could not store {published.ami_id} in archive: it burns"):
        store(clients, bucket, published, image.manifest, quiet)
    assert [*stored_images(bucket)] == []


FAILED = (
    '<DescribeStoreImageTasksResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
    "<storeImageTaskResultSet><item><amiId>x</amiId><bucket>archive</bucket>"
    "<storeTaskState>Failed</storeTaskState><storeTaskFailureReason>it burns</storeTaskFailureReason>"
    "<taskStartTime>2026-11-30T00:00:00.000Z</taskStartTime><progressPercentage>3</progressPercentage>"
    "</item></storeImageTaskResultSet></DescribeStoreImageTasksResponse>"
)
CREATED = (
    '<CreateStoreImageTaskResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
    "<objectKey>x.bin</objectKey></CreateStoreImageTaskResponse>"
)


def test_a_record_that_is_damaged_or_of_another_image_is_named(direct, bucket, stored, image):
    key = bucket.location.stored("web", image.digest)
    plain = json.loads(direct.s3.get_object(Bucket="archive", Key=key)["Body"].read())
    for changed in ({**plain, "format": 9}, {**plain, "manifest": {"name": "db", "recipe_digest": "0"}}, []):
        direct.s3.put_object(Bucket="archive", Key=key, Body=json.dumps(changed).encode())
        with pytest.raises(VerificationError, match=f"{key} is damaged"):
            find_stored(bucket, "web")


def test_what_is_not_there_is_named(bucket):
    with pytest.raises(InputError, match="there is no image 'web' in s3://archive/golden"):
        find_stored(bucket, "web")


def top(direct):
    """The keys of the objects at the top of the bucket, where EC2 writes."""
    listed = direct.s3.list_objects_v2(Bucket="archive", Delimiter="/")
    return [entry["Key"] for entry in listed.get("Contents", [])]


def collected(clients, bucket):
    """Collect as somebody would two days later; return how many objects went."""
    return collect_stored(clients, bucket, datetime.now(UTC) + 2 * GRACE).objects


def drop_record(direct, bucket, image):
    direct.s3.delete_object(Bucket="archive", Key=bucket.location.stored("web", image.digest))


def test_gc_takes_away_a_stored_ami_that_no_record_names(direct, clients, bucket, stored, image):
    assert collected(clients, bucket) == 0
    assert top(direct) == [stored.lineage.key]
    drop_record(direct, bucket, image)
    assert collect_stored(clients, bucket).objects == 0, "its record may be about to be written"
    removed = collect_stored(clients, bucket, datetime.now(UTC) + 2 * GRACE)
    assert removed.objects == 1
    assert removed.size > 0
    assert top(direct) == []


def test_gc_takes_away_the_ami_that_an_image_was_stored_as_before(
    direct, clients, bucket, published, stored, image, settings
):
    forget(direct, clients, published)
    second = publish(image, clients, settings, quiet)
    newer = store(clients, bucket, second, image.manifest, quiet)
    assert newer.lineage.key != stored.lineage.key
    assert collected(clients, bucket) == 1
    assert top(direct) == [newer.lineage.key]


def test_gc_keeps_what_an_archive_of_another_prefix_has(
    direct, clients, bucket, published, stored, image, account
):
    """Objects are at the top of the bucket: every archive in it may have a record of one."""
    other = Bucket(clients, ArchiveLocation("archive", "teams/other"), account)
    store(clients, other, published, image.manifest, quiet)
    drop_record(direct, bucket, image)
    assert collected(clients, bucket) == 0
    drop_record(direct, other, image)
    assert collected(clients, bucket) == 1


def test_gc_leaves_alone_what_ingot_did_not_have_stored(direct, clients, bucket, published, stored, image):
    direct.s3.put_object(Bucket="archive", Key="ami-0123456789abcdef0.bin", Body=b"somebody else's")
    direct.s3.put_object(Bucket="archive", Key="ami-notes.bin", Body=b"no AMI's")
    drop_record(direct, bucket, image)
    assert collected(clients, bucket) == 1
    assert top(direct) == ["ami-0123456789abcdef0.bin", "ami-notes.bin"]


def test_gc_leaves_what_ec2_is_storing(direct, clients, bucket, published, stored, image, proxy):
    drop_record(direct, bucket, image)
    running = FAILED.replace("Failed", "InProgress").replace("<amiId>x<", f"<amiId>{published.ami_id}<")
    proxy.answers["DescribeStoreImageTasks"] = running
    assert collected(clients, bucket) == 0
    proxy.answers.clear()
    assert collected(clients, bucket) == 1


def test_gc_leaves_what_ec2_is_restoring(
    direct, clients, bucket, published, stored, restoring, image, monkeypatch
):
    forget(direct, clients, published)
    restore_stored(clients, bucket, stored, restoring, quiet)
    drop_record(direct, bucket, image)
    with monkeypatch.context() as patch:
        patch.setattr(RegisteredImage, "state", "pending")
        assert collected(clients, bucket) == 0
    assert collected(clients, bucket) == 1


def test_gc_removes_nothing_when_a_record_is_damaged(direct, clients, bucket, stored, image):
    direct.s3.put_object(Bucket="archive", Key=f"x/stored/web/{'0' * 64}.json", Body=b"{")
    drop_record(direct, bucket, image)
    with pytest.raises(VerificationError, match="json is damaged"):
        collected(clients, bucket)
    assert top(direct) == [stored.lineage.key]
