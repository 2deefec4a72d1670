"""The local cloud with its permissions enforced, and the builder's stack as its template has it."""

import json
from pathlib import Path

import boto3
import pytest

from ingot.aws.session.clients import Clients
from localcloud import server
from tests.audit.account import REGION, Account
from tests.aws.fault_proxy import FaultProxy
from tests.stacks.conftest import ROOT, make_app, project  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory):
    """A cloud without machines whose guard judges every request but root's."""
    cloud = server.CloudServer(tmp_path_factory.mktemp("cloud"), 0, log=lambda _line: None, machines=False)
    context = cloud.start()
    keys = {"aws_access_key_id": context.access_key, "aws_secret_access_key": "secret", "region_name": REGION}
    session = boto3.Session(**keys)
    proxy = FaultProxy(f"http://127.0.0.1:{context.port}")
    proxy.asks_first = True
    root = Clients(session, endpoint_url=context.endpoint)
    cloud.guard.enforcing = True
    try:
        yield (
            Account(
                root,
                Clients(session, endpoint_url=proxy.url),
                cloud.guard,
                session.client("iam", endpoint_url=context.endpoint),
                session.client("sts", endpoint_url=context.endpoint),
                proxy.url,
            ),
            proxy,
        )
    finally:
        proxy.close()
        cloud.reset()
        cloud.stop()


@pytest.fixture(scope="module")
def account(enforcing):
    return enforcing[0]


@pytest.fixture(scope="module")
def consoles(enforcing):
    return enforcing[1]


@pytest.fixture(scope="module")
def builder_stack(account, tmp_path_factory):
    """The outputs of the builder's stack, deployed from its synthesized template."""
    from aws_cdk import App

    from stacks.builder_stack import BuilderStack
    from stacks.settings.config import Config

    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(analytics_reporting=False, context=flags, outdir=str(tmp_path_factory.mktemp("out")))
    BuilderStack(app, "IngotBuilder", config=Config.read({}, environment={}))
    template = (Path(app.synth().directory) / "IngotBuilder.template.json").read_text()
    account.root.ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    cloudformation = account.root.cloudformation
    cloudformation.create_stack(
        StackName="IngotBuilder", TemplateBody=template, Capabilities=["CAPABILITY_IAM"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="IngotBuilder", WaiterConfig={"Delay": 1}
    )
    return template
