import json

import pytest

from ingot.recipe.load import load_recipe
from ingot.recipe.plan import compile_plan
from tests.baked import WEB, baked_store, web_image

__all__ = ["baked_store", "web_image"]


@pytest.fixture
def root(tmp_path):
    """The smallest tree that accounts and files can be put into."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n"
    )
    (root / "etc/group").write_text("root:x:0:\nwww-data:x:33:\n")
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o640)
    (root / "etc/gshadow").write_text("root:*::\nwww-data:*::\n")
    return root


@pytest.fixture
def web_plan():
    """The plan of image_recipes/web: a new copy for each test."""
    return json.loads(json.dumps(compile_plan(load_recipe(WEB))))
