"""What is put with a SHA-256 has it. Source: Amazon S3 user guide, "Checking object integrity"."""

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_a_body_with_another_checksum_is_refused_and_not_kept(local_cloud: LocalCloud) -> None:
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket="whole")
    s3.put_object(Bucket="whole", Key="good", Body=b"good", ChecksumSHA256=sha256(b"good"))
    s3.put_object(Bucket="whole", Key="empty", Body=b"", ChecksumSHA256=sha256(b""))
    with pytest.raises(ClientError, match="The SHA256 you specified did not match") as refused:
        s3.put_object(Bucket="whole", Key="bad", Body=b"bad", ChecksumSHA256=sha256(b"good"))
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    listed = s3.list_objects_v2(Bucket="whole")["Contents"]
    assert sorted(each["Key"] for each in listed) == ["empty", "good"]


def test_a_part_with_another_checksum_is_refused(local_cloud: LocalCloud) -> None:
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket="parts")
    upload = s3.create_multipart_upload(Bucket="parts", Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    with pytest.raises(ClientError, match="BadDigest"):
        s3.upload_part(
            Bucket="parts", Key="k", UploadId=upload, PartNumber=1, Body=b"x", ChecksumSHA256=sha256(b"y")
        )
    part = s3.upload_part(
        Bucket="parts", Key="k", UploadId=upload, PartNumber=1, Body=b"x", ChecksumSHA256=sha256(b"x")
    )
    [listed] = s3.list_parts(Bucket="parts", Key="k", UploadId=upload)["Parts"]
    assert listed["ETag"] == part["ETag"]
