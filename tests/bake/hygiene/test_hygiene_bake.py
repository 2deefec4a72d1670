"""The gate in real bakes."""

import os
from dataclasses import replace

import pytest

from ingot.bake.engine import bake, read_manifest
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.errors import BakeError
from ingot.spec import AllowanceSpec, ServicesSpec
from tests.baked import WEB
from tests.specs import step

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root's mounts"),
]
STEP = step(
    "echo secret > /root/.bash_history; cp /bin/true /usr/local/bin/up; chmod 4755 /usr/local/bin/up; "
    "hostname > /etc/mailname"
)


@pytest.fixture
def again(web_image, baked_store, tmp_path):
    def run(spec):
        directories = BakeDirectories(WEB, baked_store.packages, baked_store.layers, tmp_path / "out")
        bake(BakeJob(spec, directories), progress=lambda text: None)
        return read_manifest(tmp_path / "out")

    return run


def test_the_example_passes_with_nothing_allowed(web_image):
    assert web_image.manifest["hygiene"] == {"findings": [], "allowed": [], "unused": []}


def test_a_step_that_leaves_traces_stops_the_bake(web_spec, again, tmp_path):
    with pytest.raises(BakeError) as caught:
        again(replace(web_spec, steps=(STEP,), services=ServicesSpec()))
    lines = str(caught.value)
    # The history of root is sealed away; what no seal can know is found.
    assert "2 findings" in lines
    assert "builder-trace /etc/mailname" in lines
    assert "setuid /usr/local/bin/up" in lines
    assert list((tmp_path / "out").iterdir()) == []


def test_what_the_recipe_allows_is_in_the_manifest(web_spec, again):
    allowances = (
        AllowanceSpec("setuid", "/usr/local/bin/*", "a helper"),
        AllowanceSpec("builder-trace", "/etc/mailname", "a test"),
    )
    hygiene = again(replace(web_spec, steps=(STEP,), allowances=allowances))["hygiene"]
    assert [(one["path"], one["reason"]) for one in hygiene["allowed"]] == [
        ("/etc/mailname", "a test"),
        ("/usr/local/bin/up", "a helper"),
    ]
    assert (hygiene["findings"], hygiene["unused"]) == ([], [])
