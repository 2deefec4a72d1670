"""`ingot publish` as people and the CDK CLI call it, against the local cloud, with an image in the store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingot.aws.registry.entries import lookup
from ingot.cli.terminal.reporting import Reporter
from ingot.errors import InputError
from ingot.pipeline.publish import PublishOptions, Target, publish_recipe
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests import ROOT
from tests.aws.conftest import KEYS
from tests.aws.support import holdings, make_image, result_line
from tests.outputs import document_of

WEB = ROOT / "image_recipes" / "web"


@pytest.fixture
def store(tmp_path, proxy):
    """A store that holds an image of the web recipe: small, since what is in it does not matter here."""
    small = make_image(tmp_path, ["a", None, "b"])
    digest = recipe_digest(load_recipe(WEB))
    manifest = small.manifest | {"recipe_digest": digest, "version": digest[:12]}
    image = type(small)(small.disk, manifest, digest)
    directory = tmp_path / "home" / "store" / "images" / digest
    directory.mkdir(parents=True)
    shutil.copy(small.disk, directory / "disk.raw")
    (directory / "manifest.json").write_text(json.dumps(image.manifest))
    proxy.console = lambda _instance: result_line(image)
    return image


@pytest.fixture
def builder(direct, clone_settings):
    """The outputs of the builder's stack."""
    with deployed(direct, clone_settings, "IngotBuilder"):
        yield


@contextmanager
def deployed(direct, clone_settings, name):
    """A stack with the outputs of a builder's."""
    outputs = {
        "TestLaunchTemplateId": clone_settings.launch_template_id,
        "SubnetIds": ",".join(clone_settings.subnet_ids),
    }
    template = {
        "Resources": {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    direct.cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    direct.cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    yield
    direct.cloudformation.delete_stack(StackName=name)
    direct.cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


@pytest.fixture
def ingot(tmp_path, proxy):
    def run(*words):
        environ = os.environ | {
            "INGOT_HOME": str(tmp_path / "home"),
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
            "AWS_DEFAULT_REGION": KEYS["region_name"],
        }
        # A session of its own has no terminal: progress must not reach that of whoever runs the tests.
        return subprocess.run(
            [sys.executable, "-m", "ingot.cli.main", *words],
            cwd=ROOT,
            env=environ,
            text=True,
            capture_output=True,
            start_new_session=True,
            timeout=120,
            check=False,
        )

    return run


def test_the_command_prints_the_ami_and_as_an_asset_one_path(store, builder, ingot, direct, proxy, tmp_path):
    first = ingot("publish", "web")
    assert first.returncode == 0, first.stderr
    ami_id = lookup(direct.ssm, "web", store.digest)
    assert first.stdout == f"{ami_id}\n"
    assert "blocks sent" in first.stderr
    proxy.seen.clear()
    asset = ingot("publish", "web", "--digest", store.digest, "--asset")
    path = Path(asset.stdout.removesuffix("\n"))
    assert json.loads(path.read_text())["ami"] == ami_id
    assert path.is_relative_to(tmp_path / "home" / "store" / "records")
    assert not proxy.seen.keys() & {"StartSnapshot", "RunInstances", "DescribeStacks"}
    assert (
        document_of("publish", ingot("publish", "web", "--json").stdout)["root_digest"]
        == store.manifest["disk"]["root_digest"]
    )
    verified = ingot("verify", "image", "web")
    assert (verified.returncode, "bit for bit" in verified.stdout) == (0, True), verified.stderr


def test_without_the_builders_stack_it_says_what_to_deploy(store, ingot, direct):
    failed = ingot("publish", "web", "--asset")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "stack IngotBuilder, which is not deployed" in failed.stderr
    assert "cdk deploy IngotBuilder" in failed.stderr
    log = failed.stderr.partition("log: ")[2].split()[0]
    assert "IngotBuilder" in Path(log).read_text()
    assert holdings(direct) == {}


def test_the_builders_stack_may_have_another_name(store, ingot, direct, clone_settings):
    failed = ingot("publish", "web", "--builder-stack", "Images")
    assert "stack Images, which is not deployed" in failed.stderr
    assert "cdk deploy Images" in failed.stderr
    with deployed(direct, clone_settings, "Images"):
        published = ingot("publish", "web", "--builder-stack", "Images", "--digest", store.digest, "--asset")
    assert published.returncode == 0, published.stderr
    assert lookup(direct.ssm, "web", store.digest)


def test_another_account_or_region_than_the_stacks_is_not_published_to(store, builder, ingot, direct):
    failed = ingot("publish", "web", "--account", "111122223333")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "belong to the account 123456789012, but --account names 111122223333\n  hint: " in failed.stderr
    elsewhere = ingot("publish", "web", "--region", "eu-west-1", "--account", "123456789012")
    assert "IngotBuilder, which is not deployed in eu-west-1" in elsewhere.stderr
    assert holdings(direct) == {}


def test_another_digest_than_expected_is_bad_input(store, ingot):
    failed = ingot("publish", "web", "--digest", "0" * 64)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "run `cdk synth` again" in failed.stderr


def test_a_fleet_that_is_not_there_is_said_so(ingot):
    failed = ingot("status")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "IngotFleet is not deployed" in failed.stderr
    assert "ingot deploy --stack IngotFleet" in failed.stderr


@pytest.mark.parametrize("mode", ["host", "instance"])
def test_a_recipe_that_is_saved_meanwhile_is_not_published_under_its_old_digest(
    store, direct, tmp_path, monkeypatch, mode
):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    before = holdings(direct)
    # What is baked now has store.digest; the caller asked for what it was before.
    recipe = load_recipe(WEB)
    with (
        Reporter() as report,
        pytest.raises(InputError, match=r"no longer 000000000000\n  hint: run the command"),
    ):
        publish_recipe(
            Target(recipe, "0" * 64),
            direct,
            PublishOptions("web", test=False, mode=mode, builder_stack="X"),
            report,
        )
    assert holdings(direct) == before
