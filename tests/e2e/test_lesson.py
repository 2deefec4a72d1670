"""The lesson, by the commands of docs/lesson.md: a root volume is baked, published, read back, archived in
S3, deleted, restored, and launched; the clones have the same packages, users, groups and configuration.
"""

import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingot.aws.instances import console
from tests.localcloud.conftest import baked_store, machine_cloud, web_image

__all__ = ["baked_store", "machine_cloud", "web_image"]
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
# `aws SERVICE OPERATION --some-parameter VALUE …`, as the AWS CLI reads it, by boto3: the CLI itself is not
# needed to run the tests.
AWS = """#!{python}
import json, sys
import boto3
from botocore import xform_name

service, operation, *words = sys.argv[1:]
client = boto3.client({{"s3api": "s3"}}.get(service, service))
method = operation.replace("-", "_")
shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
members = {{xform_name(name, "-"): (name, member.type_name) for name, member in shape.members.items()}}
given = {{}}
if (service, operation) == ("ec2", "run-instances"):
    members |= {{"min-count": ("MinCount", "integer"), "max-count": ("MaxCount", "integer")}}
while words:
    name, kind = members[words.pop(0).removeprefix("--")]
    if kind == "boolean":
        given[name] = True
    else:
        text = words.pop(0)
        given[name] = int(text) if kind == "integer" else json.loads(text) if kind == "structure" else text
print(getattr(client, method)(**given))
"""


def commands():
    """The page's shell blocks, as one script."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/lesson.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    return "".join(blocks)


@pytest.fixture
def shell(machine_cloud, baked_store, tmp_path):
    """Runs a script as somebody would who reads the page, in this project, with the local cloud."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    (home / "store").symlink_to(baked_store.root)
    shim = programs / "aws"
    shim.write_text(AWS.format(python=sys.executable))
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    search = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env = {**clean, **machine_cloud.variables, "INGOT_HOME": str(home), "PATH": search}

    def run(script):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )

    return run


def inventories(cloud, instance_ids, limit=900):
    """What each clone says it has, by its id; waits until all have said it."""
    ec2, end, found = cloud.client("ec2"), time.monotonic() + limit, {}
    while len(found) < len(instance_ids):
        for instance_id in set(instance_ids) - found.keys():
            text = ec2.get_console_output(InstanceId=instance_id, Latest=True).get("Output", "")
            said = console.last_line(text, console.INVENTORY)
            if said is not None:
                found[instance_id] = said
            assert time.monotonic() < end, f"{instance_id} said nothing:\n{console.tail(text)}"
        time.sleep(1)
    return found


def test_from_one_image_all_clones_come_out_exactly_the_same(shell, machine_cloud, web_image):
    done = shell(commands() + "\necho AMIS $AMI $RESTORED\n")
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    [first, restored] = re.findall(r"^AMIS (\S+) (\S+)$", done.stdout, re.MULTILINE)[0]
    assert first != restored

    # The copy is bit for bit the disk that was baked: before it was deleted, and after it came back.
    root = web_image.manifest["disk"]["root_digest"]
    proofs = re.findall(
        r"^(ami-\w+) .* root digest (\w+): bit for bit the baked disk", done.stdout, re.MULTILINE
    )
    assert proofs == [(first, root), (restored, root)]
    images = machine_cloud.client("ec2").describe_images(Owners=["self"])["Images"]
    assert [image["ImageId"] for image in images] == [restored]

    # One image, two clones, and both are what the recipe says.
    reservations = machine_cloud.client("ec2").describe_instances()["Reservations"]
    clones = [instance["InstanceId"] for found in reservations for instance in found["Instances"]]
    assert len(clones) == 2
    said = inventories(machine_cloud, clones)
    expected = web_image.manifest["inventory"]
    assert set(expected) == {"os", "packages", "users", "groups", "files", "services"}
    for section in expected:
        assert {said[clone]["sections"][section] for clone in clones} == {expected[section]}, section
    assert {said[clone]["digest"] for clone in clones} == {web_image.digest}
    assert len({said[clone]["boot"] for clone in clones}) == 2, "two machines, not one seen twice"
