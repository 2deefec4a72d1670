import os

import pytest

from ingot.bake.engine import bake
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.errors import BakeError
from tests.baked import WEB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root's mounts")


@pytest.mark.parametrize("keep", [True, False])
def test_keep_says_when_there_is_nothing_to_keep(web_spec, tmp_path, keep):
    for name in ("packages", "out"):
        (tmp_path / name).mkdir()
    directories = BakeDirectories(WEB, tmp_path / "packages", tmp_path / "layers", tmp_path / "out")
    with pytest.raises(BakeError) as caught:
        bake(BakeJob(web_spec, directories, keep), progress=lambda text: None)
    assert ("nothing is kept" in str(caught.value)) is keep
