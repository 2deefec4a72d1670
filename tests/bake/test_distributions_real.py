"""Machines of each distribution, emulated: the root becomes writable and fills its
volume, and what is in it is what the manifest says.
"""

import os
import subprocess
import time

import pytest

from ingot.aws.instances.console import INVENTORY, PANIC, TEST, last_line, tail
from ingot.machines.alone import Hardware, booted_alone
from tests.bake.test_distributions import baked, ubuntu_keyring
from tests.baked import baked_store

__all__ = ["baked_store", "ubuntu_keyring"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
SIZE = 3 << 30  # bytes; the recipe's volume has 1 GiB
LIMIT = 600  # seconds; on an idle processor it takes 20, with cloud-init 50
# While systemd-repart writes the partition table, who looks for a partition finds none. It writes for
# milliseconds; here, for as long as the root file system needs to become writable, which waits for that
# moment. Each waits for five seconds at most.
SLOW = """\
files:
  - target: /etc/systemd/system/systemd-remount-fs.service.d/late.conf
    content: |
      [Service]
      ExecStartPre=/bin/sh -c 'for tenth in $(seq 50); do test -e /run/writing && break; sleep 0.1; done'
  - target: /etc/systemd/system/systemd-repart.service.d/slow.conf
    content: |
      [Service]
      ExecStart=
      ExecStart=/usr/local/sbin/slow-repart
  - target: /usr/local/sbin/slow-repart
    mode: "0755"
    content: |
      #!/bin/sh
      dd if=/dev/nvme0n1 of=/run/table bs=512 skip=1 count=1
      dd if=/dev/zero of=/dev/nvme0n1 bs=512 seek=1 count=1
      touch /run/writing
      for tenth in $(seq 50); do
          case $(grep ' / ext4 ' /proc/mounts) in *" rw,"*) break ;; esac
          sleep 0.1
      done
      dd if=/run/table of=/dev/nvme0n1 bs=512 seek=1 count=1
      exec systemd-repart --dry-run=no
  - target: /etc/systemd/system/named.service
    content: |
      [Unit]
      Wants=network-online.target
      After=network-online.target
      [Service]
      Type=oneshot
      ExecStart=/bin/sh -c 'cat /proc/sys/kernel/hostname >/run/name'
      [Install]
      WantedBy=multi-user.target
services: {enable: [named]}
tests:
  - {name: a service that waits for the network knows its name, command: grep -qx ip-172-31-0-10 /run/name}
  - {name: the root file system is writable, command: touch /var/tmp/written}
  - {name: it fills its volume, command: "test $(stat -f -c %b /) -gt 600000"}
  - {name: the boot has finished, command: "systemctl is-system-running && systemd-analyze time"}
"""


# On trixie its network stage failed where the image lacked resize2fs.
CLOUD_INIT = """\
  - name: cloud-init ends without an error
    command: |
      cloud-init status --wait >/dev/null
      grep -q '"errors": \\[\\]' /run/cloud-init/result.json
packages: [cloud-init]
"""
# It would make a user of the distribution's name, and accounts are held: docs/recipe.md.
NO_USER = '  - {target: /etc/cloud/cloud.cfg.d/90-users.cfg, content: "users: []\\n"}\n'


def said(disk):
    """Boot the disk; return the lines with its tests' results and with its inventory, and the console."""
    with booted_alone(
        disk, disk.parent, user_data={"ingot": {"test": True}}, hardware=Hardware(cpus=1)
    ) as machine:
        end, text = time.monotonic() + LIMIT, ""
        while not machine.wait(0.5) and time.monotonic() < end and PANIC not in text:
            text = machine.console()[0].decode(errors="replace")
            lines = last_line(text, TEST), last_line(text, INVENTORY)
            if None not in lines:
                return *lines, text
    pytest.fail(f"it told no results of its tests, or no inventory; the end of its console:\n{tail(text)}")


def check(base, store, tmp_path, more="", *also):
    """``more`` of a recipe, with tests named ``also``."""
    text = SLOW if not more else SLOW.replace("files:\n", f"files:\n{NO_USER}", 1) + more
    image, _ = baked(base, store, tmp_path, text)
    disk = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", image.disk, disk], check=True)
    os.truncate(disk, SIZE)
    tests, inventory, console = said(disk)
    assert [(result["name"], result["ok"]) for result in tests["results"]] == [
        ("a service that waits for the network knows its name", True),
        ("the root file system is writable", True),
        ("it fills its volume", True),
        ("the boot has finished", True),
        *((name, True) for name in also),
    ], tail(console)
    assert inventory["differs"] == []
    assert inventory["sections"] == image.manifest["inventory"]


@pytest.mark.parametrize(
    ("suite", "more"),
    [("bookworm", ()), ("trixie", (CLOUD_INIT, "cloud-init ends without an error"))],
    ids=["bookworm", "trixie with cloud-init"],
)
def test_debian_is_writable_grown_and_as_baked_even_if_its_partition_table_is_written_slowly(
    suite, more, baked_store, tmp_path
):
    check(f"debian: {suite}", baked_store, tmp_path, *more)


def test_ubuntu_is_writable_grown_and_as_baked_even_if_its_partition_table_is_written_slowly(
    baked_store, ubuntu_keyring, tmp_path
):
    check("ubuntu: noble", baked_store, tmp_path)
