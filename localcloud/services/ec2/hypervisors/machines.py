"""EC2's instances on real machines: states, launches, ends."""

from __future__ import annotations

import base64
import copy
import ipaddress
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance as MotoInstance
from moto.ec2.models.instances import StateReason
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.responses.general import General

from ingot.errors import CloudError, IngotError, MissingToolError
from ingot.machines.disk import copied_disk
from ingot.machines.machine import Machine
from ingot.machines.pool import MachinePool
from ingot.machines.qemu import NETWORK, MachineSpec, require_tools
from ingot.quantities import GIB
from localcloud.core.context import CloudContext, ProcessorTime
from localcloud.core.moto_types import Ec2Handler, Instance
from localcloud.core.patching import Patches
from localcloud.services.ec2.block_devices import data_disks, instance_stores
from localcloud.services.ec2.instance_store import BundledImage, Bundles
from localcloud.services.ec2.instance_types import local_size
from localcloud.services.ec2.launch import ResolvedLaunch
from localcloud.services.ec2.metadata import metadata_of

REACHABLE = ipaddress.ip_network(NETWORK)
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
NO_SNAPSHOT = (
    "Client.InvalidSnapshot.NotFound",
    "The AMI's root snapshot holds no blocks, so there is nothing to boot",
)
NO_BUNDLE = ("Client.InternalError", "Client.InternalError: Client error on launch")
ON_LAUNCH = ("Server.InternalError", "Server.InternalError: Internal error on launch")
DIED = ("Server.InternalError", "Server.InternalError: The machine's process ended unexpectedly")
BY_GUEST = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)


class InstanceMachines:
    """The machine of each instance: the hypervisor. moto's records hold the states; this class moves them."""

    def __init__(self, pool: MachinePool, context: CloudContext, bundles: Bundles) -> None:
        self._pool = pool
        self._bundles = bundles
        self._port = context.port
        self._log = context.log
        self._changed = context.hooks.changed
        self._machines: dict[str, tuple[Instance, Machine]] = {}
        self._settled: set[str] = set()
        self._lock = threading.RLock()
        # moto's own ends of an instance's life; `install` keeps them.
        self.moto_stop: Callable[[Instance], Any]
        self.moto_terminate: Callable[[Instance], Any]

    def install(self, patches: Patches) -> None:
        """Replace what moto only pretends: state changes, status checks, console output."""
        self.moto_stop, self.moto_terminate = MotoInstance.stop, MotoInstance.terminate
        patches.add(
            MotoInstance,
            start=lambda instance: self.start(instance),
            stop=lambda instance: self.stop(instance),
            terminate=lambda instance: self.terminate(instance),
            reboot=lambda instance: self.reboot(instance),
            instance_status=property(self.status),
            system_status=property(self.status),
        )
        patches.replace(ElasticBlockStore, "attach_volume", self._attaching)
        patches.replace(ElasticBlockStore, "modify_volume", self._modifying)
        patches.add(General, get_console_output=lambda handler: self.console_output(handler))

    def check(self, launch: ResolvedLaunch) -> None:
        """Raise EC2ClientError for a launch that AWS would take and this machine cannot run."""
        check_runnable(launch)

    def boot(self, instance: Instance, launch: ResolvedLaunch) -> None:
        """Boot the machine of a new instance in the background."""
        self._set(instance, "pending")
        self._in_background(self._create, instance, launch)

    def _in_background(self, work: Callable[..., None], *args: Any) -> None:  # noqa: ANN401 - the work's
        def guarded() -> None:
            try:
                work(*args)
            except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
                self._log(f"machines: {work.__name__} {args[0].id}: {error!r}")

        threading.Thread(target=guarded, name=f"{work.__name__} {args[0].id}", daemon=True).start()

    def _create(self, instance: Instance, launch: ResolvedLaunch) -> None:
        try:
            base = self._root(launch)
            data = data_disks(instance, launch.devices, self._pool.bases.base)
        except CloudError as error:
            code, message = NO_BUNDLE if isinstance(launch.image, BundledImage) else NO_SNAPSHOT
            self._fail(instance, code, f"{message}: {error.message}")
            return
        except OSError as error:  # a full disk, a block that cannot be read
            self._fail(instance, ON_LAUNCH[0], f"{ON_LAUNCH[1]}: {error}")
            return
        with self._lock:  # it may have been terminated meanwhile
            volume = instance.block_device_mapping.get(launch.image.root_device_name)
            bundled = isinstance(launch.image, BundledImage)
            if (volume is None and not bundled) or instance.state != "pending":
                return
        memory, cpus = local_size(launch.type, self._pool.accelerator)
        nic = instance.nics[0]
        spec = MachineSpec(
            instance.id, memory, cpus, instance.private_ip, nic.mac_address, base,
            base.stat().st_size if volume is None else int(volume.size) * GIB,
            f"{instance.id}-root" if volume is None else volume.volume_id,
            outbound=_may_go_out(instance),
            uefi=launch.boots_uefi,
            nvme=not bundled,
            architecture=_platform_of(launch),
            data=(*data, *instance_stores(instance, launch.type.stores)),
        )  # fmt: skip
        machine = self._pool.create(spec, metadata_of(instance, self._port), self._exited)
        self._machines[instance.id] = (instance, machine)
        self._boot(instance, machine)

    def _root(self, launch: ResolvedLaunch) -> Path:
        """Return what is on the root at first. Raises CloudError, and OSError when there is no room."""
        if isinstance(launch.image, BundledImage):
            return self._bundles.disk(launch.image, self._pool.bases.directory)
        return self._pool.bases.base(launch.root_snapshot)

    def _boot(self, instance: Instance, machine: Machine) -> None:
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

    def _runs(self, instance: Instance, machine: Machine) -> None:
        """Note that a machine was started; it may have ended since, before there was an instance to stop.

        An instance that was terminated while its machine was being started found nothing to end: the machine
        ends here.
        """
        with self._lock:
            if instance.state != "pending":
                machine.kill()
                machine.discard_disk()
                return
            self._set(instance, "running")
        if not machine.running:
            self._exited(machine, machine.cause)

    def _fail(self, instance: Instance, code: str, message: str) -> None:
        self._log(f"machines: {instance.id} did not start: {message}")
        with self._lock:
            if instance.state == "pending":
                self._terminated(instance, code, message)

    def _terminated(self, instance: Instance, code: str, message: str) -> None:
        # Before as well: the state must not be seen without its reason while moto removes what belongs to it.
        instance.state_reason = StateReason(message, code)
        self.moto_terminate(instance)
        instance.state_reason = StateReason(message, code)
        known = self._machines.get(instance.id)
        if known:
            known[1].discard_disk()
        self._changed()

    def _set(self, instance: Instance, state: str) -> None:
        instance._state.name, instance._state.code = state, CODES[state]
        self._changed()

    def _exited(self, machine: Machine, cause: str) -> None:
        """Record that a machine ended by itself; ends from outside are recorded where they are caused."""
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

    def start(self, instance: Instance) -> object:
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

    def stop(self, instance: Instance) -> object:
        """StopInstances: the power button, and some seconds later the power."""
        before = copy.copy(instance._state)
        if instance.state in ("stopping", "stopped"):
            return before
        if instance.state != "running":
            raise _incorrect_state(instance, "stopped")
        self._set(instance, "stopping")
        self._in_background(self._finish_stop, instance)
        return before

    def _finish_stop(self, instance: Instance) -> None:
        self._machines[instance.id][1].shut_down()
        with self._lock:
            if instance.state == "stopping":
                self.moto_stop(instance)
        self._changed()

    def terminate(self, instance: Instance) -> object:
        """TerminateInstances."""
        before = copy.copy(instance._state)
        with self._lock:
            if instance.state in ("shutting-down", "terminated"):
                return before
            self._set(instance, "shutting-down")
        self._in_background(self._finish_terminate, instance)
        return before

    def _finish_terminate(self, instance: Instance) -> None:
        known = self._machines.get(instance.id)
        if known:
            known[1].shut_down()
        with self._lock:
            self.moto_terminate(instance)
        if known:
            known[1].discard_disk()
        self._changed()

    def root_disk(self, instance: Instance, *, reboot: bool) -> Path | None:
        """Return a raw copy of an instance's root volume, to be removed; None when it is as its snapshot.

        A running machine is shut down for it and started again, as CreateImage does; raises EC2ClientError
        where it must go on (NoReboot): what its guest has not written yet is not on the disk.
        """
        known = self._machines.get(instance.id)
        if known is None:
            return None
        machine, running = known[1], instance.state == "running"
        if running and not reboot:
            raise EC2ClientError(
                "UnsupportedOperation",
                "The local cloud takes snapshots of root volumes at rest only: stop the instance first, "
                "or let "
                "CreateImage reboot it.",
            )
        if running:
            machine.shut_down()
        try:
            return copied_disk(machine.directory)
        finally:
            if running:
                self._in_background(self._boot_again, instance, machine)

    def _attaching(
        self, original: Callable[[Ec2Handler], ActionResult]
    ) -> Callable[[Ec2Handler], ActionResult]:
        def attach_volume(handler: Ec2Handler) -> ActionResult:
            """AttachVolume to a machine would be a record without a disk."""
            if handler._get_param("InstanceId") in self._machines:
                raise EC2ClientError(
                    "UnsupportedOperation",
                    "The local cloud attaches volumes when it launches an instance, and not later: name the "
                    "volume in a block device mapping.",
                )
            return original(handler)

        return attach_volume

    def _modifying(
        self, original: Callable[[Ec2Handler], ActionResult]
    ) -> Callable[[Ec2Handler], ActionResult]:
        def modify_volume(handler: Ec2Handler) -> ActionResult:
            """ModifyVolume: the disk of a machine grows at rest only."""
            volume, size = (
                handler.ec2_backend.get_volume(handler._get_param("VolumeId")),
                handler._get_int_param("Size"),
            )
            known = self._machines.get(volume.attachment.instance.id) if volume.attachment else None
            if size is not None and size < int(volume.size):
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"New size cannot be smaller than existing size {volume.size}GiB.",
                )
            if size is not None and known is not None and known[0].state != "stopped":
                raise EC2ClientError(
                    "UnsupportedOperation",
                    "The local cloud enlarges the volumes of an instance at rest only: stop it first.",
                )
            answer = original(handler)
            if size is not None and known is not None:
                known[1].enlarge(volume.id, size * GIB)
            return answer

        return modify_volume

    def _boot_again(self, instance: Instance, machine: Machine) -> None:
        try:
            self._pool.start(
                machine, wanted=lambda: instance.state == "running", on_running=lambda: self._changed()
            )
        except IngotError as error:
            self._log(f"machines: {instance.id} did not start again: {error.message}")
            with self._lock:
                if instance.state == "running":
                    instance.state_reason = StateReason(DIED[1], DIED[0])
                    self._set(instance, "stopped")

    def reboot(self, instance: Instance) -> None:
        """RebootInstances."""
        known = self._machines.get(instance.id)
        if known is None or instance.state != "running":
            raise _incorrect_state(instance, "rebooted")
        known[1].reset()

    def status(self, instance: Instance) -> dict[str, Any]:
        """DescribeInstanceStatus: ``initializing`` until the machine has come to rest after its start."""
        if instance.state != "running":
            return {"Status": "not-applicable"}
        well = instance.id in self._settled
        detail = {"Name": "reachability", "Status": "passed" if well else "initializing"}
        return {"Details": [detail], "Status": "ok" if well else "initializing"}

    def console_output(self, handler: Ec2Handler) -> ActionResult:
        """GetConsoleOutput: the last 64 KiB of the serial console, base64."""
        instance = handler.ec2_backend.get_instance(handler._get_param("InstanceId"))
        known = self._machines.get(instance.id)
        data, written = known[1].console() if known else (b"", datetime.now(UTC).timestamp())
        output = base64.b64encode(data).decode()
        return ActionResult(
            {"InstanceId": instance.id, "Timestamp": datetime.fromtimestamp(written, UTC), "Output": output}
        )

    def processor_time(self, instance_id: str) -> ProcessorTime | None:
        """Return what an instance's machine has used; None when it does not run."""
        known = self._machines.get(instance_id)
        if known is None or known[0].state != "running":
            return None
        return ProcessorTime(known[1].processor_time(), known[1].spec.cpus)

    def address(self, instance_id: str, port: int) -> tuple[str, int] | None:
        """Return where on this machine an instance's TCP port is reached; None when it does not run."""
        known = self._machines.get(instance_id)
        if known is None or known[0].state != "running":
            return None
        try:
            return "127.0.0.1", known[1].forward(port)
        except CloudError:
            return None


def check_runnable(launch: ResolvedLaunch) -> None:
    """Raise EC2ClientError for a launch that AWS would take and this machine cannot run."""
    try:
        require_tools(_platform_of(launch))
    except MissingToolError as error:
        raise EC2ClientError(
            "InsufficientInstanceCapacity",
            f"This machine cannot run '{launch.type.name}' with an AMI for {launch.image.architecture}: "
            f"{error}",
        ) from error
    block = ipaddress.ip_network(launch.subnet.cidr_block)
    if not block.subnet_of(REACHABLE):  # type: ignore[arg-type]  # both are IPv4
        raise EC2ClientError(
            "Unsupported",
            f"The local cloud gives a machine its private address only inside {NETWORK}, for example in "
            f"172.20.0.0/16; subnet {launch.subnet.id} is {block}.",
        )


def _incorrect_state(instance: Instance, action: str) -> EC2ClientError:
    return EC2ClientError(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {action}: it is "
        f"{instance.state}.",
    )


def _platform_of(launch: ResolvedLaunch) -> str:
    """Return which of the machines' platforms runs a launch; EC2's i386 runs on x86_64."""
    return "arm64" if launch.image.architecture == "arm64" else "x86_64"


def _may_go_out(instance: Instance) -> bool:
    """Say whether a security group of the instance lets it open connections to the whole Internet."""
    groups = list(instance.nics[0].group_set) or list(instance.security_groups)
    return any(rule.ip_range.get("CidrIp") == "0.0.0.0/0" for group in groups for rule in group.egress_rules)
