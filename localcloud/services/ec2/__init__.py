"""EC2.

What moto lacks of it, and instances as QEMU machines that boot from the blocks of the AMI's snapshot.

The way of a launch: ``client_tokens`` (one request, one launch) → ``launch`` (request, template and AMI
resolved once) → moto's record → ``hypervisors.machines`` (the machine).
"""

from __future__ import annotations

from ingot.machines.pool import MachinePool
from localcloud.core.context import CloudContext
from localcloud.core.patching import Patches
from localcloud.services.ebs.service import EbsService
from localcloud.services.ec2 import (
    client_tokens,
    dependencies,
    filters,
    image_lifecycle,
    images,
    instance_store,
    launch,
    launch_templates,
    security_groups,
    tags,
)
from localcloud.services.ec2.copies import Copies
from localcloud.services.ec2.hypervisors.machines import InstanceMachines
from localcloud.services.ec2.hypervisors.stand_ins import Says, StandIns
from localcloud.services.ec2.store_tasks import StoreTasks


def install(patches: Patches, context: CloudContext, ebs: EbsService) -> None:
    """Close the gaps of moto's EC2 that have nothing to do with machines."""
    tags.install(patches)
    filters.install(patches)
    security_groups.install(patches)
    launch_templates.install(patches)
    images.install(patches, ebs)
    image_lifecycle.install(patches)
    # After `images`, whose RegisterImage takes the place of moto's: it is called for all but bundles.
    instance_store.install(patches, instance_store.Bundles(context))
    # Before `launch`, which also replaces RunInstances and so runs first: what it reads of a request holds
    # for a repeated one, too.
    client_tokens.install(patches)
    dependencies.install(patches)
    StoreTasks(ebs, context).install(patches)


def install_launches(patches: Patches, ebs: EbsService) -> None:
    """Resolve and check launches, and boot nothing."""
    launch.install(patches, None)
    Copies(ebs, None).install(patches)


def install_stand_ins(patches: Patches, context: CloudContext, ebs: EbsService, says: Says) -> None:
    """Put a stand-in behind each instance."""
    stand_ins = StandIns(context, says)
    stand_ins.install(patches)
    launch.install(patches, stand_ins)
    Copies(ebs, None).install(patches)


def install_machines(patches: Patches, context: CloudContext, ebs: EbsService) -> MachinePool:
    """Put a machine behind each instance; return the pool, whose ``stop`` ends them all."""
    pool = MachinePool(context.directory, ebs.files_of, log=context.log)
    machines = InstanceMachines(pool, context, instance_store.Bundles(context))
    # Before `launch`: machines put their end in the place of moto's, and `launch` keeps from it an instance
    # that has ended already.
    machines.install(patches)
    launch.install(patches, machines)
    Copies(ebs, machines).install(patches)
    context.hooks.machine_address = machines.address
    context.hooks.processor_time = machines.processor_time
    return pool
