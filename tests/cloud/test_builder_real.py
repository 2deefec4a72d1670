"""A builder instance in QEMU bakes the web recipe from scratch and publishes it; a clone of the result passes the recipe's tests."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from aws_cdk import App

from ingot.aws.base_ami import look_up
from ingot.aws.blocks import BlockMap
from ingot.aws.clients import Clients
from ingot.aws.publish import publish
from ingot.aws.publish_builder import Work, publish_by_builder
from ingot.aws.readback import read_back
from ingot.aws.settings import PublishSettings, builder_settings, clone_settings
from ingot.errors import PublishError
from ingot.recipe.amilock import AmiLock, LockedAmi, source_of
from ingot.recipe.load import load_recipe
from ingot.recipe.lockfile import write_lock
from ingot.recipe.plan import compile_plan
from stacks.builder_stack import BuilderStack
from stacks.config import Config
from tests.aws.support import holdings
from tests.baked import ROOT, WEB

from .conftest import processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="bakes as root, to compare with the builder's bake"),
]


@pytest.fixture(scope="module")
def world(machine_cloud):
    return machine_cloud


@pytest.fixture(scope="module")
def clients(world):
    keys = {"aws_access_key_id": "INGOTLOCALCLOUD00001", "aws_secret_access_key": "secret"}
    return Clients(boto3.Session(region_name="us-east-1", **keys), endpoint_url=world.context.endpoint)


@pytest.fixture(scope="module")
def stack(clients, tmp_path_factory):
    """The builder's stack, deployed from its template."""
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(analytics_reporting=False, context=flags, outdir=str(tmp_path_factory.mktemp("out")))
    BuilderStack(app, "IngotBuilder", config=Config.read({}, environment={}))
    template = (Path(app.synth().directory) / "IngotBuilder.template.json").read_text()
    clients.ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    clients.cloudformation.create_stack(
        StackName="IngotBuilder", TemplateBody=template, Capabilities=["CAPABILITY_IAM"]
    )
    waiter = clients.cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName="IngotBuilder", WaiterConfig={"Delay": 1})


@pytest.fixture(scope="module")
def publish_settings(stack, clients, baked_store, tmp_path_factory):
    return PublishSettings(
        tmp_path_factory.mktemp("records"), clone_settings(clients), manifest_of=lambda digest: None
    )


@pytest.fixture(scope="module")
def builder(stack, clients, baked_store, publish_settings):
    """How to launch builders that boot the recipe `builder`, which is published without a test clone: the builders test it."""
    image = baked_store.bake(load_recipe(ROOT / "image_recipes" / "builder"), lambda text: None)
    untested = PublishSettings(publish_settings.records, None)
    return builder_settings(clients, publish(image, clients, untested, lambda text: None).ami_id)


@pytest.fixture(scope="module")
def work(baked_store):
    recipe = load_recipe(WEB)
    plan = compile_plan(recipe)
    return Work(plan, recipe.source_root, baked_store.fetch(plan, lambda text: None), {})


def test_a_builder_whose_machine_dies_leaves_nothing(world, clients, builder, publish_settings, work):
    before = holdings(clients)

    def kill(text):
        if text.startswith("builder: bake:"):
            for pid in processes(world.context.directory):
                os.kill(pid, 9)

    with pytest.raises(PublishError, match=r"the builder i-\w+ is stopped .*; it ended in bake") as caught:
        publish_by_builder(work, clients, builder, publish_settings, kill)
    assert "the end of its log:\n    start: the builder is up" in str(caught.value)
    assert holdings(clients) == before
    assert processes(world.context.directory) == []


def test_a_builder_bakes_the_same_disk_and_its_clone_serves(
    world, clients, builder, publish_settings, work, web_image
):
    progress = []
    published = publish_by_builder(work, clients, builder, publish_settings, progress.append)
    assert published.root_digest == web_image.root_digest
    tests = len(web_image.manifest["tests"])
    assert any(re.fullmatch(rf"test clone i-\w+ passed {tests} tests.*", text) for text in progress)
    assert [text for text in progress if text.startswith("launch to AMI")]
    assert "instances" not in holdings(clients)
    assert processes(world.context.directory) == []


ON_BASE = """
name: onbase
base: {{ami: {{id: {ami}, owner: self}}}}
root_volume: {{size: 2GiB}}
files:
  - {{target: /srv/index.html, content: "made on a base"}}
  - target: /etc/systemd/system/hello.service
    content: |
      [Service]
      ExecStart=/usr/bin/python3 -m http.server --directory /srv 80
      [Install]
      WantedBy=multi-user.target
services: {{enable: [hello], disable: [ingot-user-data, ingot-builder-limit.timer]}}
steps: [test -s /srv/index.html]
tests: [{{name: it serves, http: {{path: /, contains: made on a base}}}}]
"""


@pytest.fixture
def on_base(clients, builder, tmp_path):
    """A recipe on the very AMI that builders boot here: Debian, with Python and a service that runs user data."""
    recipe = tmp_path / "onbase" / "recipe.yaml"
    recipe.parent.mkdir()
    recipe.write_text(ON_BASE.format(ami=builder.image))
    loaded = load_recipe(recipe)
    ami = LockedAmi.model_validate(look_up(clients, json.loads(source_of(loaded)), "x86_64"))
    lock = AmiLock(
        format=1,
        architecture="x86_64",
        source=source_of(loaded),
        epoch=1700000000,
        ami={"us-east-1": ami},
    )
    write_lock(loaded, lock)
    return loaded


def test_a_builder_bakes_on_a_base_ami_and_its_clone_serves(
    world, clients, builder, publish_settings, on_base
):
    kept = {}
    settings = replace(publish_settings, keep_manifest=kept.update)
    work = Work(compile_plan(on_base), on_base.source_root, {}, {})
    progress = []
    published = publish_by_builder(work, clients, builder, settings, progress.append)
    assert any(re.fullmatch(r"test clone i-\w+ passed 1 tests.*", text) for text in progress)
    assert kept["base"]["us-east-1"]["id"] == builder.image
    assert kept["os"]["id"] == "debian"
    blocks = BlockMap.of(kept)
    read = read_back(clients, published.snapshot_id, blocks, encrypted=False, progress=lambda text: None)
    assert read.equals(blocks)
    assert "instances" not in holdings(clients)
    assert processes(world.context.directory) == []
