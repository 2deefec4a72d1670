"""What builder instances in QEMU need: the builder's stack, an AMI to boot and packages.

The stories are two files, so that they run beside each other: all that a builder does is emulated, and each
package costs seconds.
"""

import json
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from aws_cdk import App

from ingot.aws.builder.settings import builder_settings
from ingot.aws.publish.publish import publish
from ingot.aws.publish.settings import PublishSettings, clone_settings
from ingot.aws.session.clients import Clients
from ingot.machines.qemu import GATEWAY
from ingot.process import run
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import write_lock
from ingot.recipe.lock.resolve import resolve_lock
from stacks.builder_stack import BuilderStack
from stacks.settings.config import Config
from tests.baked import ROOT

# What the builders bake: small, since every instruction is emulated; and with something of each kind, since
# what they make is held against a bake on this machine.
RECIPE = """\
name: site
base: {BASE}
root_volume: {size: 1GiB}
packages: [nginx]
groups: [{name: app, gid: 990}]
users: [{name: app, uid: 990, group: app, groups: [www-data], home: /srv/site, shell: /usr/sbin/nologin}]
app: {source: app/, target: /srv/site, owner: app, group: app}
files:
  - target: /etc/nginx/sites-available/default
    content: server { listen 80 default_server; root /srv/site; }
services: {enable: [nginx], disable: [DISABLED]}
steps: [nginx -t]
tests:
  - {name: the page is there, http: {path: /, status: 200, contains: on every clone}}
  - {name: nginx runs, service: nginx}
  - {name: the page is the app's, command: test $(stat -c %U /srv/site/index.html) = app}
"""


def write_site(directory, base, disabled=""):
    """Write the recipe of a site on a base, without a lock, and return it."""
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "index.html").write_text("<p>The same on every clone.\n")
    text = RECIPE.replace("BASE", base).replace("DISABLED", disabled)
    (directory / "recipe.yaml").write_text(text)
    return load_recipe(directory)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The recipe of a site, locked."""
    recipe = write_site(tmp_path_factory.mktemp("recipes") / "site", "debian: bookworm")
    write_lock(recipe, resolve_lock(recipe))
    return recipe


@pytest.fixture(scope="module")
def world(machine_cloud):
    return machine_cloud


@pytest.fixture(scope="module")
def clients(world):
    keys = {"aws_access_key_id": world.context.access_key, "aws_secret_access_key": "secret"}
    return Clients(boto3.Session(region_name="us-east-1", **keys), endpoint_url=world.context.endpoint)


@pytest.fixture(scope="module")
def stack(clients, tmp_path_factory):
    """The builder's stack, deployed from its template."""
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(analytics_reporting=False, context=flags, outdir=str(tmp_path_factory.mktemp("out")))
    # One processor: emulated beside other machines, two that wait for each other cost half as much again.
    config = Config.read({"builder_instance_type": "m7a.medium"}, environment={})
    BuilderStack(app, "IngotBuilder", config=config)
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
        tmp_path_factory.mktemp("records"),
        clone_settings(clients, "IngotBuilder"),
        manifest_of=lambda digest: None,
    )


@pytest.fixture(scope="module")
def mirror(baked_store, site, tmp_path_factory):
    """The address of an apt repository, as guests reach it, with the site's packages."""
    directory = tmp_path_factory.mktemp("mirror")
    index = []
    files = baked_store.fetch(compile_spec(site), lambda text: None)
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
    """How to launch builders that boot the recipe `builder`.

    It is published without a test clone: the builders test it.
    It has one file more than the shipped recipe: where apt finds packages.
    """
    recipe = tmp_path_factory.mktemp("recipes") / "builder" / "recipe.yaml"
    shutil.copytree(ROOT / "image_recipes" / "builder", recipe.parent)
    source = f'files:\n  - {{target: /etc/apt/sources.list, content: "deb [trusted=yes] {mirror} ./\\n"}}\n'
    recipe.write_text(recipe.read_text().replace("files:\n", source, 1))
    image = baked_store.bake(load_recipe(recipe), lambda text: None)
    untested = PublishSettings(publish_settings.records, None)
    return builder_settings(
        clients, publish(image, clients, untested, lambda text: None).ami_id, "IngotBuilder"
    )


class Said(list):
    """Lines of progress; pytest shows them, with their times in seconds, when a test fails."""

    def __init__(self):
        super().__init__()
        self._begin = time.monotonic()

    def __call__(self, text):
        self.append(text)
        print(f"{time.monotonic() - self._begin:6.1f} {text}")  # noqa: T201 - for pytest, which keeps it
