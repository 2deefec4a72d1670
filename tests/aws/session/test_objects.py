"""An artifact of S3: fetched with the caller's credentials, again when it breaks off, refused in words."""

from __future__ import annotations

import hashlib

import pytest

from ingot.aws.session.objects import open_object
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
