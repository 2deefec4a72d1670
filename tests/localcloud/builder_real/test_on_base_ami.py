"""A builder instance in QEMU bakes on a base AMI and publishes.

A clone of the result passes the recipe's tests.
"""

import json
import os
import re
from dataclasses import replace

import pytest

from ingot.aws.builder.base_ami import look_up
from ingot.aws.builder.publish import Work, publish_by_builder
from ingot.aws.publish.blocks import BlockMap
from ingot.aws.verify.image import read_back
from ingot.recipe.compile import compile_spec
from ingot.recipe.lock.ami import AmiLock, LockedAmi, source_of
from ingot.recipe.lock.file import write_lock
from tests.aws.support import holdings
from tests.localcloud.builder_real.conftest import Said, write_site
from tests.localcloud.conftest import processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="bakes as root, to compare with the builder's bake"),
]


@pytest.fixture
def on_base(clients, builder, tmp_path):
    """The site on the AMI that builders boot here.

    It is Debian with apt, Python and a service that runs user data.
    """
    base = f"ami: {{id: {builder.image}, owner: self}}"
    loaded = write_site(tmp_path / "site", base, "ingot-user-data, ingot-builder-limit.timer")
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
    work = Work(compile_spec(on_base), on_base.source_root, {}, {})
    progress = Said()
    published = publish_by_builder(work, clients, builder, settings, progress)
    apt = "builder: bake: apt installs nginx"
    assert apt in progress
    tests = len(work.spec.tests)
    assert any(re.fullmatch(rf"test clone i-\w+ passed {tests} tests.*", text) for text in progress)
    assert kept["base"]["us-east-1"]["id"] == builder.image
    assert kept["os"]["id"] == "debian"
    assert "nginx" in [package["name"] for package in kept["packages"]]
    blocks = BlockMap.of(kept)
    read = read_back(clients, published.snapshot_id, blocks, encrypted=False, progress=lambda text: None)
    assert read.equals(blocks)
    assert "instances" not in holdings(clients)
    assert processes(world.context.directory) == []
