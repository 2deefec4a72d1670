"""Machines without booting any: the disk from blocks, the command line, what is refused."""

import json
import signal
import subprocess

import pytest

from ingot.blocks import BLOCK_SIZE
from ingot.errors import InputError
from ingot.machines.accelerator import ACCELERATORS, VARIABLE, choose_accelerator, runs_guests
from ingot.machines.disk import BaseDisks
from ingot.machines.machine import PROCESS, start_time, sweep
from ingot.machines.qemu import MachineSpec, command, system_uuid


def spec(tmp_path, **changed):
    given = {
        "instance_id": "i-1",
        "memory_mib": 1024,
        "cpus": 2,
        "private_ip": "172.20.1.4",
        "mac": "02:00:00:00:00:01",
        "base": tmp_path / "base.raw",
        "disk_size": 1 << 30,
        "volume_id": "vol-0123",
    }
    return MachineSpec(**(given | changed))


class TestDisk:
    @pytest.fixture
    def blocks(self, tmp_path):
        files = {}
        for index, byte in ((0, b"a"), (3, b"d")):
            files[index] = tmp_path / f"block{index}"
            files[index].write_bytes(byte * BLOCK_SIZE)
        return files

    @pytest.fixture
    def disks(self, tmp_path, blocks):
        return BaseDisks(tmp_path / "bases", lambda snapshot: (8 * BLOCK_SIZE, blocks))

    def test_blocks_lie_at_their_places_and_the_rest_is_zeros(self, disks):
        data = disks.base("snap-1").read_bytes()
        assert len(data) == 8 * BLOCK_SIZE
        assert data[:BLOCK_SIZE] == b"a" * BLOCK_SIZE
        assert data[3 * BLOCK_SIZE : 4 * BLOCK_SIZE] == b"d" * BLOCK_SIZE
        assert not data[BLOCK_SIZE : 3 * BLOCK_SIZE].strip(b"\0")
        assert not data[4 * BLOCK_SIZE :].strip(b"\0")

    def test_a_base_is_made_once(self, disks):
        first = disks.base("snap-1")
        inode = first.stat().st_ino
        assert disks.base("snap-1").stat().st_ino == inode

    def test_a_flipped_bit_in_a_stored_block_reaches_the_next_disk(self, disks, blocks):
        before = disks.base("snap-1")
        with blocks[3].open("r+b") as block:
            block.write(b"e")
        after = disks.base("snap-1")
        assert after != before
        assert after.read_bytes()[3 * BLOCK_SIZE : 3 * BLOCK_SIZE + 2] == b"ed"

    def test_a_missing_block_leaves_no_half_disk(self, tmp_path, disks, blocks):
        missing = blocks[3]
        size = 8 * BLOCK_SIZE
        broken = BaseDisks(
            tmp_path / "bases", lambda snapshot: (size, {0: blocks[0], 3: Unreadable(missing)})
        )
        with pytest.raises(OSError):
            broken.base("snap-1")
        assert list((tmp_path / "bases").iterdir()) == []


class Unreadable:
    """A block's file that can be looked at but not read."""

    def __init__(self, path):
        self.path = path

    def stat(self):
        return self.path.stat()

    def open(self, mode):
        raise OSError("input/output error")


class TestCommand:
    def test_the_guest_has_its_private_address_and_its_metadata(self, tmp_path):
        words = command(spec(tmp_path), accelerator="tcg", monitor=7)
        network = words[words.index("-netdev") + 1]
        assert "net=160.0.0.0/4" in network
        assert "dhcpstart=172.20.1.4" in network
        assert "guestfwd=tcp:169.254.169.254:80-cmd:" in network
        assert "restrict=on" in network

    def test_the_kernel_ends_it_with_the_daemon(self, tmp_path):
        words = command(spec(tmp_path), accelerator="tcg", monitor=7)
        assert words[1:4] == ["--pdeathsig", "KILL", "--"]

    def test_the_disk_is_nvme_with_the_volumes_id(self, tmp_path):
        words = command(spec(tmp_path), accelerator="tcg", monitor=7)
        assert "nvme,serial=vol0123,drive=root,bootindex=0" in words

    def test_a_root_of_xen_is_paravirtual(self, tmp_path):
        words = command(spec(tmp_path, nvme=False, uefi=False), accelerator="tcg", monitor=7)
        assert "virtio-blk-pci,drive=root,bootindex=0" in words
        assert not any(word.startswith("nvme,") for word in words)

    def test_a_machine_of_one_processor_could_have_a_second_so_that_its_barriers_are_emulated(self, tmp_path):
        for cpus, wanted in ((1, "1,maxcpus=2"), (2, "2,maxcpus=2"), (4, "4,maxcpus=4")):
            words = command(spec(tmp_path, cpus=cpus), accelerator="tcg", monitor=7)
            assert words[words.index("-smp") + 1] == wanted

    def test_firmware_follows_the_boot_mode(self, tmp_path):
        assert any("OVMF_CODE" in word for word in command(spec(tmp_path), accelerator="tcg", monitor=7))
        assert not any(
            "OVMF" in word for word in command(spec(tmp_path, uefi=False), accelerator="tcg", monitor=7)
        )

    def test_guests_know_the_cloud_by_the_uuid(self):
        assert system_uuid("i-1").startswith("ec2")
        assert system_uuid("i-1") != system_uuid("i-2")
        assert len(system_uuid("i-1")) == 36


class TestSweep:
    def record(self, directory, pid, started):
        (directory / "i-1").mkdir(parents=True)
        (directory / "i-1" / PROCESS).write_text(json.dumps({"pid": pid, "started": started}))

    def test_a_machine_that_was_left_is_ended(self, tmp_path):
        process = subprocess.Popen(["sleep", "1000"])
        self.record(tmp_path / "machines", process.pid, start_time(process.pid))
        assert sweep(tmp_path / "machines") == 1
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "machines").exists()

    def test_a_stranger_with_the_same_pid_is_left_alone(self, tmp_path):
        process = subprocess.Popen(["sleep", "1000"])
        try:
            self.record(tmp_path / "machines", process.pid, start_time(process.pid) - 1)
            assert sweep(tmp_path / "machines") == 0
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()


class TestAccelerator:
    def test_the_probe_runs_a_guest(self):
        assert runs_guests("tcg")

    @pytest.fixture(autouse=True)
    def unnamed(self, monkeypatch):
        monkeypatch.delenv(VARIABLE, raising=False)

    @pytest.mark.parametrize("name", ACCELERATORS)
    def test_one_that_is_named_is_not_tried(self, name, tmp_path, monkeypatch):
        monkeypatch.setenv(VARIABLE, name)
        assert choose_accelerator(tmp_path / "accelerator.json") == name
        assert not list(tmp_path.iterdir())

    def test_another_name_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setenv(VARIABLE, "hvf")
        with pytest.raises(InputError, match="INGOT_ACCELERATOR is 'hvf'") as caught:
            choose_accelerator(tmp_path / "accelerator.json")
        assert "kvm or tcg" in caught.value.hint

    def test_the_verdict_is_kept_for_this_boot(self, tmp_path):
        memory = tmp_path / "accelerator.json"
        verdict = choose_accelerator(memory)
        record = json.loads(memory.read_text())
        assert record["accelerator"] == verdict
        memory.write_text(json.dumps(record | {"accelerator": "kvm"}))
        assert choose_accelerator(memory) == "kvm"

    def test_the_verdict_of_another_boot_counts_for_nothing(self, tmp_path):
        memory = tmp_path / "accelerator.json"
        memory.write_text(json.dumps({"boot_id": "another", "accelerator": "no such thing"}))
        assert choose_accelerator(memory) in ("kvm", "tcg")
