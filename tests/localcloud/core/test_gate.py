"""Nobody but holders of the cloud's credentials uses it: no web page, no rebound name, no unsigned call."""

import http.client
import json
import os
import re
import stat
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ingot.machines.qemu import GATEWAY
from localcloud.core.environment import access_key
from tests.localcloud.conftest import LocalCloud, code_of, running_cloud

UNKNOWN = "AKIA" + "IOSFODNN7EXAMPLE"  # in two parts, for checks that look for keys
FORM = "application/x-www-form-urlencoded"
CALL = urlencode({"Action": "DescribeInstances", "Version": "2016-11-15"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_cloud(tmp_path_factory.mktemp("cloud"), machines=False) as cloud:
        yield cloud


def send(
    cloud: LocalCloud, method: str, path: str, body: str | bytes = "", **headers: str
) -> tuple[int, bytes, Mapping[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.context.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        content = body.encode() if isinstance(body, str) else body
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(content)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def signed(cloud: LocalCloud, service: str = "ec2") -> dict[str, str]:
    """Headers of a request by who has the cloud's key: what a page would need to guess."""
    scope = f"{cloud.context.access_key}/20261130/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def vpcs_of(cloud: LocalCloud) -> int:
    return len(cloud.client("ec2").describe_vpcs()["Vpcs"])


def test_the_key_opens_it(cloud: LocalCloud) -> None:
    status, body, _ = send(cloud, "POST", "/", CALL, Content_Type=FORM, **signed(cloud))
    assert (status, b"DescribeInstancesResponse" in body) == (200, True)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://localhost.evil.example", "null", "http://localhost:1"]
)
@pytest.mark.parametrize("content_type", [FORM, "text/plain"])
def test_a_simple_post_of_a_page_is_refused(cloud: LocalCloud, origin: str, content_type: str) -> None:
    before = vpcs_of(cloud)
    create = urlencode({"Action": "CreateVpc", "Version": "2016-11-15", "CidrBlock": "10.9.0.0/16"})
    # Even with the key: a page has none to add, and one that has got hold of it must not use it.
    for headers in ({}, signed(cloud)):
        status, body, answered = send(
            cloud, "POST", "/", create, Origin=origin, Content_Type=content_type, **headers
        )
        assert (status, b"<Vpc" in body) == (403, False)
        assert not [name for name in answered if name.lower().startswith("access-control-")]
    assert vpcs_of(cloud) == before


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_the_browser_marks_as_foreign_is_refused(cloud: LocalCloud, site: str) -> None:
    status, _, _ = send(cloud, "GET", "/ingot/ready", Sec_Fetch_Site=site)
    assert status == 403


def test_a_preflight_of_a_page_is_not_granted(cloud: LocalCloud) -> None:
    status, _, headers = send(
        cloud, "OPTIONS", "/", Origin="http://evil.example", Access_Control_Request_Method="PUT",
        Access_Control_Request_Headers="authorization",
    )  # fmt: skip
    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5566", "localhost.evil.example", "10.1.2.3", "", "[::2]"]
)
def test_a_name_that_was_rebound_is_refused(cloud: LocalCloud, host: str) -> None:
    for path in ("/", "/ingot/ready", "/bucket/key"):
        status, _, _ = send(cloud, "GET", path, Host=host, **signed(cloud, "s3"))
        assert status == 403, path


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:80", "LOCALHOST:5566", "bucket.s3.localhost:80", "[::1]:80", f"{GATEWAY}:80"],
)
def test_names_of_loopback_are_served(cloud: LocalCloud, host: str) -> None:
    status, body, _ = send(cloud, "GET", "/ingot/ready", Host=host)
    assert (status, body.split()) == (200, [b"ingot", str(os.getpid()).encode()])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/moto-api/reset"), ("POST", "/%6doto-api/reset"), ("GET", "/moto-api/data.json"),
        ("GET", "/moto-api/"), ("POST", "/moto-api/seed?a=1"), ("POST", "//moto-api/reset"),
        ("POST", "/Moto-Api/reset"),
    ],
)  # fmt: skip
def test_the_emulators_own_paths_are_closed(cloud: LocalCloud, method: str, path: str) -> None:
    cloud.client("ssm").put_parameter(Name="/kept", Value="1", Type="String", Overwrite=True)
    for headers in ({}, signed(cloud)):
        status, body, _ = send(cloud, method, path, **headers)
        assert status in (403, 404)
        assert b"moto" not in body.lower()
    assert cloud.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "1"


@pytest.mark.parametrize(
    "path", ["/latest/meta-data/iam/security-credentials/role", "/favicon.ico", "/bucket", "/"]
)
def test_nothing_is_served_to_who_is_not_known(cloud: LocalCloud, path: str) -> None:
    assert send(cloud, "GET", path)[0] == 403


def test_an_unsigned_call_gets_awss_error(cloud: LocalCloud) -> None:
    status, body, _ = send(cloud, "POST", "/", CALL, Content_Type=FORM)
    assert (status, b"<Code>MissingAuthenticationToken</Code>" in body) == (403, True)
    headers = {"Content_Type": "application/x-amz-json-1.1", "X_Amz_Target": "AmazonSSM.DescribeParameters"}
    status, body, _ = send(cloud, "POST", "/", "{}", **headers)
    assert (status, json.loads(body)["__type"]) == (400, "MissingAuthenticationTokenException")
    status, body, _ = send(cloud, "PUT", "/bucket")
    assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True)


CALLS = [
    ("ec2", "describe_instances", {}, "AuthFailure"),
    ("sts", "get_caller_identity", {}, "InvalidClientTokenId"),
    ("iam", "list_users", {}, "InvalidClientTokenId"),
    ("cloudformation", "list_stacks", {}, "InvalidClientTokenId"),
    ("elbv2", "describe_load_balancers", {}, "InvalidClientTokenId"),
    ("autoscaling", "describe_auto_scaling_groups", {}, "InvalidClientTokenId"),
    ("cloudwatch", "describe_alarms", {}, "InvalidClientTokenId"),
    ("ssm", "describe_parameters", {}, "UnrecognizedClientException"),
    ("logs", "describe_log_groups", {}, "UnrecognizedClientException"),
    ("ebs", "start_snapshot", {"VolumeSize": 1}, "UnrecognizedClientException"),
    ("s3", "list_buckets", {}, "InvalidAccessKeyId"),
]


@pytest.mark.parametrize("key", [UNKNOWN, "INGOTLOCALCLOUD00001", "test", UNKNOWN.replace("AK", "AS")])
@pytest.mark.parametrize(("service", "operation", "given", "code"), CALLS)
def test_an_unknown_key_gets_awss_error(
    cloud: LocalCloud, key: str, service: str, operation: str, given: dict[str, Any], code: str
) -> None:
    client: Any = boto3.client(
        service, region_name="us-east-1", endpoint_url=cloud.context.endpoint, aws_access_key_id=key,
        aws_secret_access_key="x", config=Config(retries={"total_max_attempts": 1}),
        aws_session_token="token" if key.startswith("ASIA") else None,
    )  # type: ignore[call-overload]  # fmt: skip
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**given)
    assert code_of(caught) == code


def assumed(cloud: LocalCloud) -> dict[str, str]:
    iam, sts = cloud.client("iam"), cloud.client("sts")
    trust = {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}}
    name = f"role-{os.urandom(4).hex()}"
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    credentials: dict[str, str] = sts.assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    return credentials


def client_of(cloud: LocalCloud, service: str, key: str, token: str | None) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service, region_name="us-east-1", endpoint_url=cloud.context.endpoint, aws_access_key_id=key,
        aws_secret_access_key="x", aws_session_token=token,
    )  # fmt: skip


def test_credentials_of_a_role_and_of_a_user_are_taken(cloud: LocalCloud) -> None:
    role = assumed(cloud)
    client_of(cloud, "ec2", role["AccessKeyId"], role["SessionToken"]).describe_vpcs()
    for token in ("another", None):
        with pytest.raises(ClientError) as caught:
            client_of(cloud, "ec2", role["AccessKeyId"], token).describe_vpcs()
        assert code_of(caught) == "AuthFailure"
    iam = cloud.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]
    client_of(cloud, "ssm", key, None).describe_parameters()


def test_a_web_identity_signs_in_unsigned_as_on_aws(cloud: LocalCloud) -> None:
    assumed(cloud)
    arn = cloud.client("iam").list_roles()["Roles"][-1]["Arn"]
    body = urlencode({
        "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": arn,
        "RoleSessionName": "ci", "WebIdentityToken": "token",
    })  # fmt: skip
    status, answer, _ = send(cloud, "POST", "/", body, Content_Type=FORM)
    assert status == 200
    found = {
        name: re.search(rf"<{name}>([^<]+)".encode(), answer) for name in ("AccessKeyId", "SessionToken")
    }
    key, token = (match[1].decode() for match in found.values() if match)
    client_of(cloud, "ec2", key, token).describe_vpcs()
    assert send(cloud, "POST", "/", body, Content_Type=FORM, Origin="http://evil.example")[0] == 403


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls_work(cloud: LocalCloud, version: str) -> None:
    s3: Any = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=cloud.context.endpoint,
        config=Config(signature_version=version),
        aws_access_key_id=cloud.context.access_key,
        aws_secret_access_key="x",
    )
    s3.create_bucket(Bucket=f"presigned-{version}")
    s3.put_object(Bucket=f"presigned-{version}", Key="k", Body=b"content")
    url = urlsplit(
        s3.generate_presigned_url("get_object", Params={"Bucket": f"presigned-{version}", "Key": "k"})
    )
    assert send(cloud, "GET", f"{url.path}?{url.query}")[:2] == (200, b"content")
    assert send(cloud, "GET", f"{url.path}?{url.query.replace(cloud.context.access_key, UNKNOWN)}")[0] == 403
    role = assumed(cloud)
    s3 = client_of(cloud, "s3", role["AccessKeyId"], role["SessionToken"])
    url = urlsplit(
        s3.generate_presigned_url("get_object", Params={"Bucket": f"presigned-{version}", "Key": "k"})
    )
    assert send(cloud, "GET", f"{url.path}?{url.query}")[:2] == (200, b"content")


def test_buckets_are_reached_by_their_names(cloud: LocalCloud) -> None:
    cloud.client("s3").create_bucket(Bucket="by-name")
    cloud.client("s3").put_object(Bucket="by-name", Key="k", Body=b"content")
    status, body, _ = send(
        cloud, "GET", "/k", Host=f"by-name.localhost:{cloud.context.port}", **signed(cloud, "s3")
    )
    assert (status, body) == (200, b"content")


def test_a_large_body_of_a_refused_request_is_read(cloud: LocalCloud) -> None:
    assert send(cloud, "PUT", "/bucket/key", bytes(1 << 20))[0] == 403


def test_each_cloud_has_a_key_of_its_own_that_others_cannot_read(tmp_path: Any) -> None:
    first, second = access_key(tmp_path / "a"), access_key(tmp_path / "b")
    assert first != second
    assert re.fullmatch(r"[A-Z0-9]{20}", first)
    assert access_key(tmp_path / "a") == first
    assert [stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "a").iterdir()] == [0o600]


def test_a_session_acts_as_its_owner_and_may_not_call_everything(cloud: LocalCloud) -> None:
    """STS API reference, GetSessionToken: no IAM, and of STS AssumeRole and GetCallerIdentity only."""
    session = cloud.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    key, token = session["AccessKeyId"], session["SessionToken"]
    client_of(cloud, "ec2", key, token).describe_vpcs()
    client_of(cloud, "sts", key, token).get_caller_identity()
    for service, operation, code in (
        ("iam", "list_users", "InvalidClientTokenId"),
        ("sts", "get_session_token", "AccessDenied"),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(client_of(cloud, service, key, token), operation)()
        assert code_of(caught) == code
    for wrong in ("another", None):
        with pytest.raises(ClientError) as caught:
            client_of(cloud, "ec2", key, wrong).describe_vpcs()
        assert code_of(caught) == "AuthFailure"
    again = cloud.client("sts").get_session_token()["Credentials"]
    assert again["AccessKeyId"] != key


def test_a_session_of_a_user_has_an_end(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="in-session")
    owner = iam.create_access_key(UserName="in-session")["AccessKey"]["AccessKeyId"]
    session = client_of(cloud, "sts", owner, None).get_session_token()["Credentials"]
    sts = client_of(cloud, "sts", session["AccessKeyId"], session["SessionToken"])
    assert sts.get_caller_identity()["Arn"].endswith(":user/in-session")
    monkeypatch.setattr(cloud.context.sessions, "clock", lambda: session["Expiration"])
    with pytest.raises(ClientError) as caught:
        client_of(cloud, "ssm", session["AccessKeyId"], session["SessionToken"]).describe_parameters()
    assert code_of(caught) == "ExpiredTokenException"
