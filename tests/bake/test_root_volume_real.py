"""The root volume of a machine, emulated: it becomes writable and fills its volume, whatever happens at the same time."""

import os
import subprocess
import time

import pytest

from ingot.aws.console import PANIC, TEST, last_line, tail
from ingot.localcloud.machines.alone import booted_alone
from tests.bake.test_distributions import baked, ubuntu_keyring
from tests.baked import baked_store

__all__ = ["baked_store", "ubuntu_keyring"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
SIZE = 3 << 30  # bytes; the recipe's volume has 1 GiB
LIMIT = 400  # seconds; on an idle processor it takes 20
# While systemd-repart writes the partition table, who looks for a partition finds none. It writes for milliseconds; here, for as long as the
# root file system needs to become writable, which waits for that moment. Each waits for five seconds at most.
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
tests:
  - {name: the root file system is writable, command: touch /var/lib/written}
  - {name: it fills its volume, command: "test $(stat -f -c %b /) -gt 600000"}
"""


def results(disk):
    """Boot the disk; return what each of its tests said, and the console."""
    with booted_alone(disk, disk.parent, user_data={"ingot": {"test": True}}) as machine:
        end, text = time.monotonic() + LIMIT, ""
        while not machine.wait(0.5) and time.monotonic() < end and PANIC not in text:
            text = machine.console()[0].decode(errors="replace")
            if (line := last_line(text, TEST)) is not None:
                return {result["name"]: result["ok"] for result in line["results"]}, text
    pytest.fail(f"it told no results of its tests; the end of its console:\n{tail(text)}")


def check(base, store, tmp_path):
    image, _ = baked(base, store, tmp_path, SLOW)
    disk = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", image.disk, disk], check=True)
    os.truncate(disk, SIZE)
    passed, console = results(disk)
    assert passed == {"the root file system is writable": True, "it fills its volume": True}, tail(console)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_debian_becomes_writable_and_grows_while_the_partition_table_is_written(suite, baked_store, tmp_path):
    check(f"debian: {suite}", baked_store, tmp_path)


def test_ubuntu_becomes_writable_and_grows_while_the_partition_table_is_written(
    baked_store, ubuntu_keyring, tmp_path
):
    check("ubuntu: noble", baked_store, tmp_path)
