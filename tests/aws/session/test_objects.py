"""Objects of S3: an artifact is fetched with the caller's credentials, again when it breaks off, and refused
in words; each is written with its SHA-256; what S3 does not remove is named.
"""

from __future__ import annotations

import base64
import hashlib

import pytest

from ingot.aws.session.objects import PAGE, delete_objects, listed, open_object, put_object
from ingot.errors import IngotError
from ingot.progress import silent
from ingot.store.downloads.web import Wanted, fetch
from tests.aws.conftest import KEYS

BODY = b"an artifact" * 100_000
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def get(proxy, direct, tmp_path, monkeypatch, driven_clock):
    """Fetch s3://artifacts/tool.tar as a lock or a bake does, with credentials of the environment."""
    direct.s3.create_bucket(Bucket="artifacts")
    direct.s3.put_object(Bucket="artifacts", Key="tool.tar", Body=BODY)
    environment = {
        "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
        "AWS_REGION": KEYS["region_name"],
        "AWS_ENDPOINT_URL": proxy.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def got(url="s3://artifacts/tool.tar", sha256=None):
        return fetch(Wanted("the artifact", url, 1 << 21, sha256), tmp_path / "packages", open_object, silent)

    return got


def test_it_comes_with_the_callers_credentials_and_is_in_the_store_under_its_digest(get, tmp_path):
    found = get(sha256=DIGEST)
    assert (found.sha256, found.size) == (DIGEST, len(BODY))
    assert found.file == tmp_path / "packages" / DIGEST[:2] / DIGEST


def test_one_that_breaks_off_is_fetched_again(get, proxy):
    proxy.fail("GetObject", shape="cut", times=1)
    assert get(sha256=DIGEST).size == len(BODY)
    assert proxy.seen["GetObject"] == 2


def test_one_that_is_not_there_is_named(get):
    with pytest.raises(IngotError, match="there is no s3://artifacts/gone"):
        get("s3://artifacts/gone")


def test_one_that_the_credentials_may_not_read_is_named_with_the_permission(get, proxy):
    proxy.fail("GetObject", code="AccessDenied", status=403)
    with pytest.raises(IngotError, match="GetObject was refused: AccessDenied"):
        get()


def test_another_content_than_the_lock_says_is_refused_and_nothing_is_left(get, tmp_path):
    with pytest.raises(IngotError, match="its content has changed"):
        get(sha256="0" * 64)
    assert [path for path in (tmp_path / "packages").rglob("*") if path.is_file()] == []


@pytest.fixture
def bucket(direct):
    direct.s3.create_bucket(Bucket="objects")
    return "objects"


def test_the_digest_is_sent_and_kept_with_the_object(direct, bucket):
    put_object(direct.s3, DIGEST, Bucket=bucket, Key="a", Body=BODY)
    kept = direct.s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert kept["ChecksumSHA256"] == base64.b64encode(bytes.fromhex(DIGEST)).decode()
    assert kept["ContentLength"] == len(BODY)


def test_more_objects_than_one_request_takes_are_all_removed(direct, bucket):
    keys = [f"{number:04}" for number in range(PAGE + 1)]
    for key in ("0000", f"{PAGE:04}"):
        put_object(direct.s3, DIGEST, Bucket=bucket, Key=key, Body=BODY)
    delete_objects(direct.s3, bucket, keys)
    assert "Contents" not in direct.s3.list_objects_v2(Bucket=bucket)


def test_an_object_that_s3_keeps_is_named():
    class Keeping:
        """S3, where the objects are locked."""

        def delete_objects(self, **request):
            assert request["ExpectedBucketOwner"] == "123456789012"
            return {"Errors": [{"Key": "a", "Message": "Access Denied"}]}

    with pytest.raises(IngotError, match=r"1 objects could not be removed.*s3://objects/a: Access Denied"):
        delete_objects(Keeping(), "objects", ["a"], "123456789012")


def test_a_list_has_the_objects_whose_keys_begin_so(direct, bucket):
    for key in ("a/1", "a/2", "b/1"):
        put_object(direct.s3, DIGEST, Bucket=bucket, Key=key, Body=BODY)
    assert [entry["Key"] for entry in listed(direct.s3, bucket, "a/")] == ["a/1", "a/2"]
