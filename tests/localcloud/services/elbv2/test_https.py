"""HTTPS listeners speak TLS with the imported certificate, and are refused without one, as on AWS."""

import http.client
import ssl
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.test_shipped_stacks import certificate

ANSWER = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "by TLS", "ContentType": "text/plain"},
}
TO_HTTPS = {
    "Type": "redirect",
    "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
}
MISSING = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef"


@pytest.fixture
def balancer(local_cloud: LocalCloud) -> Any:
    """A load balancer that lets everybody in: its ARN and its ports of this machine."""
    ec2, elb = local_cloud.client("ec2"), local_cloud.client("elbv2")
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    for port in (80, 443):
        ec2.authorize_security_group_ingress(
            GroupId=group, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0"
        )
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    options = {"Subnets": subnets, "SecurityGroups": [group]}
    balancer = elb.create_load_balancer(Name="web", **options)["LoadBalancers"][0]
    yield balancer["LoadBalancerArn"]
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    ec2.delete_security_group(GroupId=group)


def listen(cloud: LocalCloud, balancer: str, protocol: str, action: dict[str, Any], *arns: str) -> str:
    certificates = {"Certificates": [{"CertificateArn": arn} for arn in arns]} if arns else {}
    answer = cloud.client("elbv2").create_listener(
        LoadBalancerArn=balancer, Protocol=protocol, Port={"HTTP": 80, "HTTPS": 443}[protocol],
        DefaultActions=[action], **certificates,
    )  # fmt: skip
    return str(answer["Listeners"][0]["ListenerArn"])


def port_of(cloud: LocalCloud, balancer: str) -> int:
    [found] = cloud.client("elbv2").describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"]
    return int(found["DNSName"].partition(":")[2])


def ask(connection: http.client.HTTPConnection) -> tuple[int, str, str | None]:
    connection.request("GET", "/a?b=c")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.getheader("Location")


def trusting(directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(directory / "certificate.pem"))
    context.check_hostname = False  # it is for www.example.com
    return context


def test_https_is_served_with_the_imported_certificate_and_http_leads_to_it(
    local_cloud: LocalCloud, balancer: str, tmp_path: Path
) -> None:
    listen(local_cloud, balancer, "HTTP", TO_HTTPS)
    before = port_of(local_cloud, balancer)
    https = listen(local_cloud, balancer, "HTTPS", ANSWER, certificate(local_cloud, tmp_path))
    port = port_of(local_cloud, balancer)
    assert port == before  # the load balancer's name leads to HTTPS from now on
    context = trusting(tmp_path)
    answer = ask(http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context))
    assert answer == (200, "by TLS", None)
    with pytest.raises((http.client.BadStatusLine, ConnectionError)):
        ask(http.client.HTTPConnection("127.0.0.1", port, timeout=60))

    plain = int(local_cloud.log[-1].rpartition(":")[2])
    status, _, location = ask(http.client.HTTPConnection("127.0.0.1", plain, timeout=60))
    assert (status, location) == (301, f"https://127.0.0.1:{port}/a?b=c")

    local_cloud.client("elbv2").delete_listener(ListenerArn=https)
    assert ask(http.client.HTTPConnection("127.0.0.1", port, timeout=60))[0] == 301


@pytest.mark.parametrize(
    ("arns", "code"), [((MISSING,), "CertificateNotFound"), ((), "ValidationError")], ids=["missing", "none"]
)
def test_a_listener_without_its_certificate_is_refused(
    arns: tuple[str, ...], code: str, local_cloud: LocalCloud, balancer: str
) -> None:
    with pytest.raises(ClientError) as refusal:
        listen(local_cloud, balancer, "HTTPS", ANSWER, *arns)
    assert refusal.value.response["Error"]["Code"] == code
    elb = local_cloud.client("elbv2")
    assert elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] == []


def test_a_certificate_that_waits_for_its_validation_is_refused(
    local_cloud: LocalCloud, balancer: str
) -> None:
    asked = local_cloud.client("acm").request_certificate(DomainName="www.example.com")["CertificateArn"]
    with pytest.raises(ClientError) as refusal:
        listen(local_cloud, balancer, "HTTPS", ANSWER, asked)
    assert refusal.value.response["Error"]["Code"] == "UnsupportedCertificate"
