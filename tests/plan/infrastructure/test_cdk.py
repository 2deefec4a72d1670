"""The CDK CLI and what it runs in."""

import shutil
from pathlib import Path

from ingot.plan.infrastructure.cdk import environment


def test_node_is_the_real_one_not_a_python_program():
    node = shutil.which("node", path=environment(Path.cwd())["PATH"])
    assert node is not None
    assert Path(node).read_bytes()[:4] == b"\x7fELF"
