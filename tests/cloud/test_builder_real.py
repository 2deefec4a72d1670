"""A builder instance in QEMU bakes from scratch and on a base AMI, and publishes; a clone of each result passes its recipe's tests.

All that it does is emulated, so that each package costs seconds: the recipe from scratch is a small one.
"""

import json
import os
import re
import shutil
import threading
import time
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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
from ingot.localcloud.machines.qemu import GATEWAY
from ingot.process import run
from ingot.recipe.amilock import AmiLock, LockedAmi, source_of
from ingot.recipe.load import load_recipe
from ingot.recipe.lockfile import write_lock
from ingot.recipe.plan import compile_plan
from stacks.builder_stack import BuilderStack
from stacks.config import Config
from tests.aws.support import holdings
from tests.baked import ROOT, WEB

from .conftest import processes

API = ROOT / "examples" / "two-fleets" / "image_recipes" / "api"

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
def work(baked_store):
    recipe = load_recipe(API)
    plan = compile_plan(recipe)
    return Work(plan, recipe.source_root, baked_store.fetch(plan, lambda text: None), {})


@pytest.fixture(scope="module")
def mirror(baked_store, tmp_path_factory):
    """The address of an apt repository, as guests reach it, with the packages that the web recipe locks."""
    directory = tmp_path_factory.mktemp("mirror")
    index = []
    files = baked_store.fetch(compile_plan(load_recipe(WEB)), lambda text: None)
    for sha256, file in files.items():
        (directory / f"{sha256}.deb").symlink_to(file)
        control = run(["dpkg-deb", "--field", str(file)]).stdout.strip()
        index.append(f"{control}\nFilename: {sha256}.deb\nSize: {file.stat().st_size}\nSHA256: {sha256}\n\n")
    (directory / "Packages").write_text("".join(index))

    class Files(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{GATEWAY}:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def builder(clients, baked_store, publish_settings, mirror, tmp_path_factory):
    """How to launch builders that boot the recipe `builder`, which is published without a test clone: the builders test it.

    It has one file more than the shipped recipe: where apt finds packages.
    """
    recipe = tmp_path_factory.mktemp("recipes") / "builder" / "recipe.yaml"
    shutil.copytree(ROOT / "image_recipes" / "builder", recipe.parent)
    source = f'files:\n  - {{target: /etc/apt/sources.list, content: "deb [trusted=yes] {mirror} ./\\n"}}\n'
    recipe.write_text(recipe.read_text().replace("files:\n", source, 1))
    image = baked_store.bake(load_recipe(recipe), lambda text: None)
    untested = PublishSettings(publish_settings.records, None)
    return builder_settings(clients, publish(image, clients, untested, lambda text: None).ami_id)


class Said(list):
    """Lines of progress; pytest shows them, with their times in seconds, when a test fails."""

    def __init__(self):
        super().__init__()
        self._begin = time.monotonic()

    def __call__(self, text):
        self.append(text)
        print(f"{time.monotonic() - self._begin:6.1f} {text}")  # noqa: T201 - for pytest, which keeps it


def test_a_builder_whose_machine_dies_leaves_nothing(world, clients, builder, publish_settings, work):
    before = holdings(clients)

    def kill(text):
        if text.startswith("builder: start:"):
            for pid in processes(world.context.directory):
                os.kill(pid, 9)

    with pytest.raises(
        PublishError, match=r"the builder i-\w+ is stopped .*; it ended in (start|fetch)"
    ) as caught:
        publish_by_builder(work, clients, builder, publish_settings, kill)
    assert "the end of its log:\n    start: the builder is up" in str(caught.value)
    assert holdings(clients) == before
    assert processes(world.context.directory) == []


def test_a_builder_bakes_the_same_disk_and_its_clone_serves(
    world, clients, builder, publish_settings, work, baked_store
):
    progress = Said()
    published = publish_by_builder(work, clients, builder, publish_settings, progress)
    assert published.root_digest == baked_store.bake(load_recipe(API), lambda text: None).root_digest
    tests = len(work.plan["tests"])
    assert any(re.fullmatch(rf"test clone i-\w+ passed {tests} tests.*", text) for text in progress)
    assert [text for text in progress if text.startswith("launch to AMI")]
    assert "instances" not in holdings(clients)
    assert processes(world.context.directory) == []


@pytest.fixture
def on_base(clients, builder, tmp_path):
    """The web recipe on the very AMI that builders boot here: Debian with apt, Python and a service that runs user data."""
    recipe = tmp_path / "web" / "recipe.yaml"
    shutil.copytree(WEB, recipe.parent, ignore=shutil.ignore_patterns("recipe.lock"))
    text = recipe.read_text().replace("{debian: bookworm}", f"{{ami: {{id: {builder.image}, owner: self}}}}")
    ours = "disable: [ingot-user-data, ingot-builder-limit.timer, "
    recipe.write_text(text.replace("disable: [", ours))
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
    progress = Said()
    published = publish_by_builder(work, clients, builder, settings, progress)
    apt = "builder: bake: apt installs apache2 libapache2-mod-wsgi-py3"
    assert apt in progress
    tests = len(work.plan["tests"])
    assert any(re.fullmatch(rf"test clone i-\w+ passed {tests} tests.*", text) for text in progress)
    assert kept["base"]["us-east-1"]["id"] == builder.image
    assert kept["os"]["id"] == "debian"
    assert "apache2" in [package["name"] for package in kept["packages"]]
    blocks = BlockMap.of(kept)
    read = read_back(clients, published.snapshot_id, blocks, encrypted=False, progress=lambda text: None)
    assert read.equals(blocks)
    assert "instances" not in holdings(clients)
    assert processes(world.context.directory) == []
