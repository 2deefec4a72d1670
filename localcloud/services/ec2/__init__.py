"""EC2 instances as QEMU machines, booted from the blocks of the AMI's snapshot."""

from __future__ import annotations

from localcloud.core.context import CloudContext


class Machines:
    """The installed part: what to put back and to end."""

    def __init__(self, context: CloudContext) -> None:
        # moto reads its settings when it is imported, and that is slow: not before a cloud is made.
        from ingot.machines.pool import MachinePool
        from localcloud.core.patching import Patches
        from localcloud.services import ebs
        from localcloud.services.ec2.instances import InstanceMachines
        from localcloud.services.ec2.moto_hooks import replace

        self.pool = MachinePool(context.directory, ebs.blocks_of, log=context.log)
        self.instances = InstanceMachines(self.pool, log=context.log, changed=context.hooks.changed)
        self._patches = Patches()
        replace(self._patches, self.instances)
        context.hooks.machine_address = self.instances.address

    def stop(self) -> None:
        """End all machines; none is left when this returns."""
        self._patches.undo()
        self.pool.stop()


def install(context: CloudContext) -> Machines:
    """Put machines behind the instances of the cloud."""
    return Machines(context)
