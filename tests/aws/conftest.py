"""A local cloud without machines in this process, and a proxy before it that can fail."""

from __future__ import annotations

import urllib.request

import boto3
import pytest

from ingot.aws.clients import Clients
from ingot.aws.settings import CloneSettings, PublishSettings
from tests.aws.fault_proxy import FaultProxy
from tests.aws.support import result_line


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """The local cloud's control plane; its clones have no machines: the tests say what their consoles hold."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "INGOTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    from ingot.localcloud import server

    monkeypatch.setattr(server, "PARTS", ())
    running = server.CloudServer(tmp_path / "cloud", 0, log=lambda _line: None)
    context = running.start()
    urllib.request.urlopen(urllib.request.Request(f"{context.endpoint}/moto-api/reset", method="POST"))
    yield context
    running.stop()


@pytest.fixture
def proxy(cloud):
    proxy = FaultProxy(f"http://127.0.0.1:{cloud.port}")
    yield proxy
    proxy.close()


@pytest.fixture
def direct(cloud):
    """Clients that no fault reaches: to look at what is there."""
    return Clients(boto3.Session(region_name="us-east-1"), endpoint_url=f"http://127.0.0.1:{cloud.port}")


@pytest.fixture
def clients(proxy):
    return Clients(boto3.Session(region_name="us-east-1"), endpoint_url=proxy.url)


@pytest.fixture
def clone_settings(direct):
    template = direct.ec2.create_launch_template(
        LaunchTemplateName="test-clone", LaunchTemplateData={"InstanceType": "t3.small"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    subnets = [subnet["SubnetId"] for subnet in direct.ec2.describe_subnets()["Subnets"]][:2]
    return CloneSettings(template, tuple(subnets), limit=20.0)


@pytest.fixture
def known():
    """The manifests that the local store has, by recipe digest."""
    return {}


@pytest.fixture
def settings(tmp_path, clone_settings, known):
    return PublishSettings(tmp_path / "records", clone_settings, manifest_of=known.get, pace=0.01)


@pytest.fixture
def passing(proxy, known):
    """Make clones of an image pass their tests, and its manifest known."""

    def make(image):
        known[image.digest] = image.manifest
        proxy.console = lambda _instance: "booting\r\n" + result_line(image) + "\r\n"
        return image

    return make
