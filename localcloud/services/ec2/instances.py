"""EC2's instances on real machines: states, launches, ends."""

from __future__ import annotations

import base64
import copy
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import StateReason

from ingot.errors import CloudError, IngotError
from ingot.machines.machine import Machine
from ingot.machines.pool import MachinePool
from ingot.machines.qemu import MachineSpec
from localcloud.core.moto_types import Moto
from localcloud.services.ec2.launch import resolve, template_data
from localcloud.services.ec2.sizes import instance_type, local_size
from localcloud.services.ec2.view import metadata_of

GIB = 1 << 30
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
NO_SNAPSHOT = (
    "Client.InvalidSnapshot.NotFound",
    "The AMI's root snapshot holds no blocks, so there is nothing to boot",
)
ON_LAUNCH = ("Server.InternalError", "Server.InternalError: Internal error on launch")
DIED = ("Server.InternalError", "Server.InternalError: The machine's process ended unexpectedly")
BY_GUEST = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)


class InstanceMachines:
    """The machine of each instance. moto's records hold the states; this class moves them."""

    def __init__(self, pool: MachinePool, *, log: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._pool = pool
        self._log = log
        self._changed = changed
        self._machines: dict[str, tuple[Moto, Machine]] = {}
        self._settled: set[str] = set()
        self._lock = threading.RLock()
        # moto's own ends of an instance's life; `install` sets them.
        self.moto_stop: Callable[[Moto], Any] = lambda instance: instance.stop()
        self.moto_terminate: Callable[[Moto], Any] = lambda instance: instance.terminate()

    def run(
        self, original: Callable[..., Moto], backend: Moto, image_id: str, *args: Moto, **kwargs: Moto
    ) -> Moto:
        """RunInstances: what AWS would refuse is refused, everything else boots in the background."""
        image, kwargs = resolve(backend, image_id, kwargs)
        reservation = original(backend, image.id, *args, **kwargs)
        profile = template_data(backend, kwargs).get("IamInstanceProfile") or {}
        for instance in reservation.instances:
            if profile and not (
                kwargs.get("iam_instance_profile_name") or kwargs.get("iam_instance_profile_arn")
            ):
                backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
            self._set(instance, "pending")
            self._in_background(self._create, instance, image)
        return reservation

    def _in_background(self, work: Callable[..., None], *args: Moto) -> None:
        def guarded() -> None:
            try:
                work(*args)
            except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
                self._log(f"machines: {work.__name__} {args[0].id}: {error!r}")

        threading.Thread(target=guarded, name=f"{work.__name__} {args[0].id}", daemon=True).start()

    def _create(self, instance: Moto, image: Moto) -> None:
        root: dict[str, Any] = next(
            (m["Ebs"] for m in image.block_device_mappings if m["DeviceName"] == image.root_device_name), {}
        )
        try:
            base = self._pool.bases.base(root.get("SnapshotId", ""))
        except CloudError as error:
            self._fail(instance, NO_SNAPSHOT[0], f"{NO_SNAPSHOT[1]}: {error.message}")
            return
        except OSError as error:  # a full disk, a block that cannot be read
            self._fail(instance, ON_LAUNCH[0], f"{ON_LAUNCH[1]}: {error}")
            return
        with self._lock:  # it may have been terminated meanwhile
            volume = instance.block_device_mapping.get(image.root_device_name)
            if volume is None or instance.state != "pending":
                return
        kind = instance_type(instance.instance_type)
        assert kind is not None  # noqa: S101 - `resolve` refuses unknown types
        memory, cpus = local_size(kind, self._pool.accelerator)
        nic = instance.nics[0]
        spec = MachineSpec(
            instance.id, memory, cpus, instance.private_ip, nic.mac_address, base,
            int(volume.size) * GIB, volume.volume_id,
            outbound=_may_go_out(instance),
            uefi=image.boot_mode in ("uefi", "uefi-preferred") and "uefi" in kind.boot_modes,
        )  # fmt: skip
        machine = self._pool.create(spec, metadata_of(instance), self._exited)
        self._machines[instance.id] = (instance, machine)
        self._boot(instance, machine)

    def _boot(self, instance: Moto, machine: Machine) -> None:
        try:
            self._pool.start(
                machine,
                wanted=lambda: instance.state == "pending",
                on_running=lambda: self._runs(instance, machine),
            )
        except IngotError as error:
            self._fail(instance, ON_LAUNCH[0], f"{ON_LAUNCH[1]}: {error.message}")
            machine.discard_disk()  # it was terminated, perhaps before there was a disk to remove
            return
        if machine.running:
            self._settled.add(instance.id)
        self._changed()

    def _runs(self, instance: Moto, machine: Machine) -> None:
        """Note that a machine was started; it may have ended since, before there was an instance to stop.

        An instance that was terminated while its machine was being started found nothing to end: the machine ends here.
        """
        with self._lock:
            if instance.state != "pending":
                machine.kill()
                machine.discard_disk()
                return
            self._set(instance, "running")
        if not machine.running:
            self._exited(machine, machine.cause)

    def _fail(self, instance: Moto, code: str, message: str) -> None:
        self._log(f"machines: {instance.id} did not start: {message}")
        with self._lock:
            if instance.state == "pending":
                self._terminated(instance, code, message)

    def _terminated(self, instance: Moto, code: str, message: str) -> None:
        # Before as well: nobody shall see the state without its reason while moto removes what belongs to it.
        instance.state_reason = StateReason(message, code)
        self.moto_terminate(instance)
        instance.state_reason = StateReason(message, code)
        known = self._machines.get(instance.id)
        if known:
            known[1].discard_disk()
        self._changed()

    def _set(self, instance: Moto, state: str) -> None:
        instance._state.name, instance._state.code = state, CODES[state]
        self._changed()

    def _exited(self, machine: Machine, cause: str) -> None:
        """Take note that a machine ended by itself; whoever ended it from outside does that himself."""
        instance, _ = self._machines[machine.spec.instance_id]
        self._settled.discard(instance.id)
        with self._lock:
            if cause == "host" or instance.state != "running":
                return
            self._log(f"machines: {instance.id} ended: {cause}")
            code, message = BY_GUEST if cause == "guest" else DIED
            if cause == "guest" and instance.instance_initiated_shutdown_behavior == "terminate":
                self._terminated(instance, code, message)
                return
            # Not moto's stop: it shows the state before the reason, and a user's reason at that.
            for nic in instance.nics.values():
                nic.stop()
            instance.state_reason = StateReason(message, code)
            self._set(instance, "stopped")

    def start(self, instance: Moto) -> Moto:
        """StartInstances."""
        before = copy.copy(instance._state)
        known = self._machines.get(instance.id)
        if instance.state in ("pending", "running"):
            return before
        if instance.state != "stopped" or known is None:
            raise _incorrect_state(instance, "started")
        instance.state_reason = StateReason()
        for nic in instance.nics.values():
            nic.start()
        self._set(instance, "pending")
        self._in_background(self._boot, instance, known[1])
        return before

    def stop(self, instance: Moto) -> Moto:
        """StopInstances: the power button, and some seconds later the power."""
        before = copy.copy(instance._state)
        if instance.state in ("stopping", "stopped"):
            return before
        if instance.state != "running":
            raise _incorrect_state(instance, "stopped")
        self._set(instance, "stopping")
        self._in_background(self._finish_stop, instance)
        return before

    def _finish_stop(self, instance: Moto) -> None:
        self._machines[instance.id][1].shut_down()
        with self._lock:
            if instance.state == "stopping":
                self.moto_stop(instance)
        self._changed()

    def terminate(self, instance: Moto) -> Moto:
        """TerminateInstances."""
        before = copy.copy(instance._state)
        with self._lock:
            if instance.state in ("shutting-down", "terminated"):
                return before
            self._set(instance, "shutting-down")
        self._in_background(self._finish_terminate, instance)
        return before

    def _finish_terminate(self, instance: Moto) -> None:
        known = self._machines.get(instance.id)
        if known:
            known[1].shut_down()
        with self._lock:
            self.moto_terminate(instance)
        if known:
            known[1].discard_disk()
        self._changed()

    def reboot(self, instance: Moto) -> None:
        """RebootInstances."""
        known = self._machines.get(instance.id)
        if known is None or instance.state != "running":
            raise _incorrect_state(instance, "rebooted")
        known[1].reset()

    def status(self, instance: Moto) -> dict[str, Any]:
        """DescribeInstanceStatus: ``initializing`` until the machine has come to rest after its start."""
        if instance.state != "running":
            return {"Status": "not-applicable"}
        well = instance.id in self._settled
        detail = {"Name": "reachability", "Status": "passed" if well else "initializing"}
        return {"Details": [detail], "Status": "ok" if well else "initializing"}

    def console_output(self, handler: Moto) -> Moto:
        """GetConsoleOutput: the last 64 KiB of the serial console, base64."""
        instance = handler.ec2_backend.get_instance(handler._get_param("InstanceId"))
        known = self._machines.get(instance.id)
        data, written = known[1].console() if known else (b"", datetime.now(UTC).timestamp())
        output = base64.b64encode(data).decode()
        return ActionResult(
            {"InstanceId": instance.id, "Timestamp": datetime.fromtimestamp(written, UTC), "Output": output}
        )

    def address(self, instance_id: str, port: int) -> tuple[str, int] | None:
        """Return where on this machine an instance's TCP port is reached; None when it does not run."""
        known = self._machines.get(instance_id)
        if known is None or known[0].state != "running":
            return None
        try:
            return "127.0.0.1", known[1].forward(port)
        except CloudError:
            return None


def _incorrect_state(instance: Moto, action: str) -> EC2ClientError:
    return EC2ClientError(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {action}: it is {instance.state}.",
    )


def _may_go_out(instance: Moto) -> bool:
    """Say whether a security group of the instance lets it open connections to the whole Internet."""
    groups = list(instance.nics[0].group_set) or list(instance.security_groups)
    return any(rule.ip_range.get("CidrIp") == "0.0.0.0/0" for group in groups for rule in group.egress_rules)
