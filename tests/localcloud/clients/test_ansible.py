"""Ansible's amazon.aws modules: each task changes something once, and nothing when it is run again.

They come with the package `ansible`, which is large: `make ansible` installs it and runs this.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.localcloud.clients.conftest import runner
from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import parameter, value_of

PROGRAMS = ROOT / ".venv/ansible/bin"
VPC = "{{ vpc.vpc.id }}"
TASKS: list[dict[str, Any]] = [
    {"amazon.aws.aws_caller_info": {}, "register": "caller"},
    {
        "amazon.aws.ec2_vpc_net": {"name": "ansible", "cidr_block": "10.80.0.0/16", "state": "present"},
        "register": "vpc",
    },
    {"amazon.aws.ec2_vpc_subnet": {"vpc_id": VPC, "cidr": "10.80.1.0/24", "az": "us-east-1a"}},
    {
        "amazon.aws.ec2_security_group": {
            "name": "ansible", "description": "web", "vpc_id": VPC,
            "rules": [{"proto": "tcp", "ports": [80], "cidr_ip": "0.0.0.0/0"}],
        },
    },
    {"amazon.aws.s3_bucket": {"name": "ansible", "versioning": True}},
    {
        "amazon.aws.cloudformation": {
            "stack_name": "ansible", "state": "present",
            "template_body": json.dumps({"Resources": {"P": parameter("/ansible/p", "1")}}),
        },
    },
    {"amazon.aws.ec2_ami_info": {"owners": "self"}, "register": "images"},
    {"ansible.builtin.assert": {"that": ["images.images | length == 1", "caller.account == '123456789012'"]}},
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not (PROGRAMS / "ansible-playbook").exists(), reason="make ansible installs it")
def test_a_playbook_changes_things_once(local_cloud: LocalCloud, tmp_path: Path) -> None:
    local_cloud.image("ansible")
    play = {"hosts": "localhost", "gather_facts": False, "tasks": TASKS}
    (tmp_path / "play.json").write_text(json.dumps([play]))
    more = {
        "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_PYTHON_INTERPRETER": str(PROGRAMS / "python"),
    }  # fmt: skip
    run = runner(local_cloud, PROGRAMS, tmp_path, more)
    first = run("ansible-playbook", "play.json")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed=5" in first.stdout
    assert value_of(local_cloud, "/ansible/p") == "1"
    again = run("ansible-playbook", "play.json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0" in again.stdout, again.stdout
