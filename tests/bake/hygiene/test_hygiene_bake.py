"""The gate in real bakes."""

import os

import pytest

from ingot.bake.runtime.engine import bake, read_manifest
from ingot.errors import BakeError
from tests.baked import WEB

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root's mounts"),
]
STEP = {
    "run": "echo secret > /root/.bash_history; cp /bin/true /usr/local/bin/up; chmod 4755 /usr/local/bin/up; hostname > /etc/mailname",
    "line": 1,
    "timeout": 60,
}


@pytest.fixture
def again(web_image, baked_store, tmp_path):
    def run(plan):
        places = {"sources": WEB, "packages": baked_store.packages, "layers": baked_store.layers}
        bake(plan, **places, output=tmp_path / "out", progress=lambda text: None)
        return read_manifest(tmp_path / "out")

    return run


def test_the_example_passes_with_nothing_allowed(web_image):
    assert web_image.manifest["hygiene"] == {"findings": [], "allowed": [], "unused": []}


def test_a_step_that_leaves_traces_stops_the_bake(web_plan, again, tmp_path):
    web_plan["steps"] = [STEP]
    web_plan["services"] = {}
    with pytest.raises(BakeError) as caught:
        again(web_plan)
    lines = str(caught.value)
    # The history of root is sealed away; what no seal can know is found.
    assert "2 findings" in lines
    assert "builder-trace /etc/mailname" in lines
    assert "setuid /usr/local/bin/up" in lines
    assert list((tmp_path / "out").iterdir()) == []


def test_what_the_recipe_allows_is_in_the_manifest(web_plan, again):
    web_plan["steps"] = [STEP]
    web_plan["hygiene"] = {
        "allow": [
            {"finding": "setuid", "path": "/usr/local/bin/*", "reason": "a helper"},
            {"finding": "builder-trace", "path": "/etc/mailname", "reason": "a test"},
        ]
    }
    hygiene = again(web_plan)["hygiene"]
    assert [(one["path"], one["reason"]) for one in hygiene["allowed"]] == [
        ("/etc/mailname", "a test"),
        ("/usr/local/bin/up", "a helper"),
    ]
    assert (hygiene["findings"], hygiene["unused"]) == ([], [])
