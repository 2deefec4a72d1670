import os

import pytest

from ingot.bake.runtime.engine import bake
from ingot.errors import BakeError
from tests.baked import WEB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root's mounts")


@pytest.mark.parametrize("keep", [True, False])
def test_keep_says_when_there_is_nothing_to_keep(web_plan, tmp_path, keep):
    for name in ("packages", "out"):
        (tmp_path / name).mkdir()
    places = {"sources": WEB, "packages": tmp_path / "packages", "layers": tmp_path / "layers"}
    with pytest.raises(BakeError) as caught:
        bake(web_plan, **places, output=tmp_path / "out", progress=lambda text: None, keep=keep)
    assert ("nothing is kept" in str(caught.value)) is keep
