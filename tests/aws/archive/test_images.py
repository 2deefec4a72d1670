"""Archiving an image and reading it back: each block once, each held against its SHA-256."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from ingot.aws.archive import images
from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import (
    GRACE,
    archive,
    archived_images,
    collect,
    find,
    manifest_of,
    read_disk,
)
from ingot.aws.archive.location import ArchiveLocation
from ingot.blocks import BLOCK_SIZE
from ingot.errors import InputError, PublishError, VerificationError
from tests.aws.fault_proxy import ANY_OF_S3
from tests.aws.support import make_disk_image, make_image

SBOM = b'{"bomFormat": "CycloneDX"}'
ENCRYPTED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
NAMES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def quiet(_message):
    """Progress that nobody reads."""


def shut(direct, name):
    direct.s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=ENCRYPTED)
    blocks = dict.fromkeys(NAMES, True)
    direct.s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocks)


def make_bucket(direct, name="archive", *, encrypted=True, blocked=NAMES):
    direct.s3.create_bucket(Bucket=name)
    if encrypted:
        direct.s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=ENCRYPTED)
    if blocked:
        direct.s3.put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration={key: key in blocked for key in NAMES}
        )
    return name


@pytest.fixture
def account(direct):
    return direct.sts.get_caller_identity()["Account"]


@pytest.fixture
def bucket(direct, clients, account):
    """An archive below a prefix of a bucket that is as it should be."""
    return Bucket(clients, ArchiveLocation(make_bucket(direct), "golden/images"), account)


@pytest.fixture
def image(tmp_path):
    return make_image(tmp_path, ["a", None, "b", "a", "c"])


def keys(direct, name="archive"):
    return [entry["Key"] for entry in direct.s3.list_objects_v2(Bucket=name).get("Contents", [])]


def restored(bucket, word, tmp_path):
    found = find(bucket, word)
    target = tmp_path / f"restored-{len(list(tmp_path.iterdir()))}.raw"
    read_disk(bucket, manifest_of(bucket, found), target, quiet)
    return target.read_bytes()


def test_what_is_read_back_is_the_disk_bit_for_bit(bucket, image, tmp_path):
    done = archive(bucket, image, SBOM, quiet)
    assert (done.blocks, done.sent) == (3, 3)  # one of five is zeros, two are equal
    assert restored(bucket, "web", tmp_path) == image.disk.read_bytes()
    assert restored(bucket, image.digest[:8], tmp_path) == image.disk.read_bytes()
    assert manifest_of(bucket, find(bucket, "web")) == image.manifest


def test_a_second_version_sends_what_is_new_alone(bucket, image, tmp_path, direct):
    archive(bucket, image, SBOM, quiet)
    second = make_image(tmp_path, ["a", None, "b", "a", "d"], name="second")
    assert archive(bucket, second, SBOM, quiet).sent == 1
    assert archive(bucket, second, SBOM, quiet).sent == 0
    assert len([key for key in keys(direct) if "/blocks/" in key]) == 4
    assert find(bucket, "web").digest == second.digest
    assert restored(bucket, image.digest, tmp_path) == image.disk.read_bytes()
    assert {entry.digest for entry in archived_images(bucket)} == {image.digest, second.digest}


def test_what_a_list_shows_is_asked_for_and_sent_again_only_when_it_is_another(bucket, image, proxy, direct):
    archive(bucket, image, SBOM, quiet)
    proxy.seen.clear()
    archive(bucket, image, SBOM, quiet)
    assert (proxy.seen["ListObjectsV2"], proxy.seen["HeadObject"], proxy.seen["PutObject"]) == (1, 3, 2)
    direct.s3.put_object(Bucket="archive", Key=bucket.location.block("f" * 64), Body=b"another image's")
    proxy.seen.clear()
    # As in an archive of more blocks than are listed for this image.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "PAGE", 1)
        assert archive(bucket, image, SBOM, quiet).sent == 0
    assert proxy.seen["HeadObject"] == 3


def test_everything_is_below_the_prefix(bucket, image, direct):
    direct.s3.put_object(Bucket="archive", Key="golden/imagesque", Body=b"somebody else's")
    archive(bucket, image, SBOM, quiet)
    assert all(key.startswith("golden/images") for key in keys(direct))
    assert collect(bucket, datetime.now(UTC) + 2 * GRACE).objects == 0
    assert "golden/imagesque" in keys(direct)


@pytest.mark.parametrize("after", range(6))
def test_broken_off_anywhere_it_goes_on_and_nothing_names_an_image_that_is_not_whole(
    after, bucket, image, proxy, tmp_path
):
    # Whichever of S3's calls it is.
    proxy.fail(ANY_OF_S3, code="AccessDenied", status=403, after=after)
    with pytest.raises(ClientError):
        archive(bucket, image, SBOM, quiet)
    proxy.heal()
    assert [*archived_images(bucket)] == []
    archive(bucket, image, SBOM, quiet)
    assert restored(bucket, "web", tmp_path) == image.disk.read_bytes()


@pytest.mark.parametrize("lost", [False, True])
def test_a_call_that_fails_once_is_asked_again(lost, bucket, image, proxy, tmp_path):
    proxy.fail(ANY_OF_S3, code=None if lost else "InternalError", status=500, lost=lost, after=4, times=1)
    archive(bucket, image, SBOM, quiet)
    assert restored(bucket, "web", tmp_path) == image.disk.read_bytes()


def test_a_flipped_bit_is_found_and_its_block_named(bucket, image, direct, tmp_path):
    archive(bucket, image, SBOM, quiet)
    key = bucket.location.block(image.manifest["disk"]["blocks"][2])
    data = bytearray(direct.s3.get_object(Bucket="archive", Key=key)["Body"].read())
    data[4711] ^= 1
    direct.s3.put_object(Bucket="archive", Key=key, Body=bytes(data))
    with pytest.raises(VerificationError, match=rf"block 2: s3://archive/{key} is damaged"):
        restored(bucket, "web", tmp_path)
    # Without a checksum of S3's own, or with another, the next archiving replaces it.
    assert archive(bucket, image, SBOM, quiet).sent == 1
    assert restored(bucket, "web", tmp_path) == image.disk.read_bytes()


def test_the_files_in_a_damaged_block_are_named(bucket, direct, tmp_path):
    content = {path: random.Random(path).randbytes(1_200_000) for path in ("/srv/one", "/srv/two")}
    image = make_disk_image(tmp_path, content)
    data, digests = image.disk.read_bytes(), image.manifest["disk"]["blocks"]
    archive(bucket, image, SBOM, quiet)
    damaged = [data.index(content[path][600_000:600_100]) // BLOCK_SIZE for path in content]
    for index in damaged:
        key = bucket.location.block(digests[index])
        block = data[index * BLOCK_SIZE : (index + 1) * BLOCK_SIZE]
        direct.s3.put_object(Bucket="archive", Key=key, Body=b"x" + block[1:])
    with pytest.raises(VerificationError) as caught:
        restored(bucket, "web", tmp_path)
    lines = caught.value.message.splitlines()
    assert len(lines) == 2, "each of them, not the first alone"
    for line, index, path in zip(lines, damaged, content, strict=True):
        assert f"block {index}: s3://archive/" in line
        assert f"; in it: {path}" in line


def test_a_block_that_is_gone_is_named(bucket, image, direct, tmp_path):
    archive(bucket, image, SBOM, quiet)
    key = bucket.location.block(image.manifest["disk"]["blocks"][0])
    direct.s3.delete_object(Bucket="archive", Key=key)
    with pytest.raises(VerificationError, match=rf"block 0: s3://archive/{key} is missing"):
        restored(bucket, "web", tmp_path)


@pytest.mark.parametrize("damage", [b"[]", b"{", b"null", b"[" * 100_000, b'{"name": "web"}', b"\xff"])
def test_a_manifest_that_is_damaged_is_named_and_nothing_is_collected(
    damage, bucket, image, direct, tmp_path
):
    archive(bucket, image, SBOM, quiet)
    key = bucket.location.manifest("web", image.digest)
    direct.s3.put_object(Bucket="archive", Key=key, Body=damage)
    with pytest.raises(VerificationError, match=rf"s3://archive/{key} is damaged: "):
        restored(bucket, "web", tmp_path)
    before = keys(direct)
    with pytest.raises(VerificationError):
        collect(bucket, datetime.now(UTC) + 2 * GRACE)
    assert keys(direct) == before


def test_a_manifest_under_another_name_is_refused(bucket, image, direct, tmp_path):
    archive(bucket, image, SBOM, quiet)
    text = json.dumps(image.manifest)
    direct.s3.put_object(Bucket="archive", Key=bucket.location.manifest("web", "0" * 64), Body=text)
    with pytest.raises(VerificationError, match=rf"is the manifest of web {image.digest[:12]}"):
        restored(bucket, "0000", tmp_path)


def test_a_root_digest_that_is_not_the_blocks_is_refused(bucket, image, direct, tmp_path):
    archive(bucket, image, SBOM, quiet)
    disk = image.manifest["disk"] | {"root_digest": "1" * 64}
    text = json.dumps(image.manifest | {"disk": disk})
    direct.s3.put_object(Bucket="archive", Key=bucket.location.manifest("web", image.digest), Body=text)
    with pytest.raises(VerificationError, match="root digest is not that of its blocks"):
        restored(bucket, "web", tmp_path)


def test_a_disk_that_was_changed_after_the_bake_is_not_archived(bucket, image, direct):
    data = bytearray(image.disk.read_bytes())
    data[2 * BLOCK_SIZE] ^= 1
    image.disk.write_bytes(bytes(data))
    with pytest.raises(PublishError, match=r"block 2 of .* the disk was changed after the bake"):
        archive(bucket, image, SBOM, quiet)
    assert [*archived_images(bucket)] == []


def test_blocks_without_an_image_are_collected_but_not_the_youngest(bucket, image, direct, tmp_path):
    archive(bucket, image, SBOM, quiet)
    archive(bucket, make_image(tmp_path, ["a", "x", "y"], name="second"), SBOM, quiet)
    direct.s3.delete_object(Bucket="archive", Key=bucket.location.manifest("web", image.digest))
    assert collect(bucket).objects == 0
    removed = collect(bucket, datetime.now(UTC) + GRACE + timedelta(minutes=1))
    assert (removed.objects, removed.size) == (2, 2 * BLOCK_SIZE)
    assert len([key for key in keys(direct) if "/blocks/" in key]) == 3


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"encrypted": False}, "has no default encryption"),
        ({"blocked": ()}, "public access to the bucket other is not blocked"),
        ({"blocked": NAMES[:3]}, "public access to the bucket other is not blocked"),
    ],
)
def test_a_bucket_in_which_images_would_lie_open_is_refused(how, said, direct, clients, account):
    make_bucket(direct, "other", **how)
    bucket = Bucket(clients, ArchiveLocation("other", ""), account)
    with pytest.raises(InputError, match=said) as caught:
        bucket.check()
    assert caught.value.hint.startswith("aws s3api put-")
    shut(direct, "other")
    bucket.check()  # as the hint says it, it passes


def test_a_bucket_that_is_not_there_is_refused(clients, account):
    with pytest.raises(InputError, match="there is no bucket nothing-here"):
        Bucket(clients, ArchiveLocation("nothing-here", ""), account).check()


@pytest.mark.parametrize(
    "url",
    [
        "archive",
        "s3:/archive/x",
        "s3://",
        "s3://A/x",
        "s3://archive/a//b",
        "s3://archive/a\nb",
        "s3://ab/x?y",
    ],
)
def test_what_is_no_location_is_refused(url):
    with pytest.raises(InputError, match="is not the location of an archive"):
        ArchiveLocation.read(url)


@pytest.mark.parametrize("url", ["s3://archive", "s3://archive/", "s3://archive/a/b/"])
def test_a_location_may_end_with_a_slash(url):
    assert str(ArchiveLocation.read(url)) == url.rstrip("/")
    assert ArchiveLocation.read(url).block("ab" * 32).startswith(("blocks/ab/", "a/b/blocks/ab/"))


def test_a_word_that_names_no_image_or_several_is_refused(bucket, image, tmp_path):
    archive(bucket, image, SBOM, quiet)
    with pytest.raises(InputError, match="there is no image 'shop' in s3://archive/golden/images"):
        find(bucket, "shop")
    with pytest.raises(InputError, match="there is no image ''"):
        find(bucket, "")
