"""A builder instance in QEMU bakes a recipe from scratch and publishes it.

A clone of the result passes the recipe's tests.
"""

import os
import re
from contextlib import suppress

import pytest

from ingot.aws.builder.publish import Work, publish_by_builder
from ingot.errors import PublishError
from ingot.recipe.compile import compile_spec
from tests.aws.support import holdings
from tests.localcloud.builder_real.conftest import Said
from tests.localcloud.conftest import processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="bakes as root, to compare with the builder's bake"),
]


@pytest.fixture(scope="module")
def work(baked_store, site):
    spec = compile_spec(site)
    return Work(spec, site.source_root, baked_store.fetch(spec, lambda text: None), {})


def test_a_builder_whose_machine_dies_leaves_nothing(world, clients, builder, publish_settings, work):
    before = holdings(clients)

    def kill(text):
        if text.startswith("builder: start:"):
            for pid in processes(world.context.directory):
                with suppress(ProcessLookupError):  # relays of the metadata service live for a moment only
                    os.kill(pid, 9)

    with pytest.raises(
        PublishError, match=r"the builder i-\w+ is stopped .*; it ended in (start|fetch|bake)"
    ) as caught:
        publish_by_builder(work, clients, builder, publish_settings, kill)
    assert "the end of its log:\n    start: the builder is up" in str(caught.value)
    assert holdings(clients) == before
    assert processes(world.context.directory) == []


def test_a_builder_bakes_the_same_disk_and_its_clone_serves(
    world, clients, builder, publish_settings, work, site, baked_store
):
    progress = Said()
    published = publish_by_builder(work, clients, builder, publish_settings, progress)
    assert published.root_digest == baked_store.bake(site, lambda text: None).root_digest
    tests = len(work.spec.tests)
    assert any(re.fullmatch(rf"test clone i-\w+ passed {tests} tests.*", text) for text in progress)
    assert [text for text in progress if text.startswith("launch to AMI")]
    assert "instances" not in holdings(clients)
    assert processes(world.context.directory) == []
