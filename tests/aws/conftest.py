"""A local cloud without machines in this process, and a proxy before it that can fail."""

from __future__ import annotations

import os
import urllib.request

import boto3
import pytest

from ingot.aws.clients import Clients
from ingot.aws.settings import CloneSettings, PublishSettings
from tests.audit.calls import refuse_what_the_model_lacks
from tests.aws.fault_proxy import FaultProxy
from tests.aws.support import result_line

KEYS = {"aws_access_key_id": "INGOTTEST", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def running_cloud(tmp_path_factory):
    """The local cloud's control plane; its clones have no machines: the tests say what their consoles hold."""
    from ingot.localcloud import server

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "PARTS", ())
        # 1,500 managed policies that nothing here attaches would be read again for each test.
        patch.setitem(server.MOTO_ENVIRONMENT, "MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
        running = server.CloudServer(tmp_path_factory.mktemp("cloud"), 0, log=lambda _line: None)
        context = running.start()
        yield context
        running.stop()
    # moto keeps its state, policies included, in the process: the next module's cloud must find it whole.
    from moto.moto_api._internal.models import moto_api_backend

    os.environ.update(server.MOTO_ENVIRONMENT)
    moto_api_backend.reset()


@pytest.fixture(scope="module")
def running_proxy(running_cloud):
    proxy = FaultProxy(f"http://127.0.0.1:{running_cloud.port}")
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def session_clients(running_cloud):
    return Clients(boto3.Session(**KEYS), endpoint_url=f"http://127.0.0.1:{running_cloud.port}")


@pytest.fixture(scope="module")
def session_proxied(running_proxy):
    session = boto3.Session(**KEYS)
    refuse_what_the_model_lacks(session)
    return Clients(session, endpoint_url=running_proxy.url)


@pytest.fixture
def cloud(running_cloud):
    """The local cloud with nothing in it."""
    reset = urllib.request.Request(f"{running_cloud.endpoint}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    return running_cloud


@pytest.fixture
def proxy(cloud, running_proxy):
    running_proxy.heal()
    return running_proxy


@pytest.fixture
def direct(cloud, session_clients):
    """Clients that no fault reaches: to look at what is there."""
    return session_clients


@pytest.fixture
def clients(proxy, session_proxied):
    return session_proxied


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
