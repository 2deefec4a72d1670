"""Puts the real machines behind moto's instances."""

from __future__ import annotations

from collections.abc import Callable

from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.general import General

from localcloud.core.moto_types import Moto
from localcloud.core.patching import Patches
from localcloud.services.ec2.instances import InstanceMachines


def replace(patches: Patches, instances: InstanceMachines) -> None:
    """Replace what moto only pretends: launches, state changes, status checks, console output."""
    instances.moto_stop, instances.moto_terminate = Instance.stop, Instance.terminate

    def launching(original: Callable[..., Moto]) -> Callable[..., Moto]:
        def run_instances(backend: Moto, image_id: str, *args: Moto, **kwargs: Moto) -> Moto:
            return instances.run(original, backend, image_id, *args, **kwargs)

        return run_instances

    patches.replace(InstanceBackend, "run_instances", launching)
    patches.replace(Instance, "start", lambda _: lambda instance: instances.start(instance))
    patches.replace(Instance, "stop", lambda _: lambda instance: instances.stop(instance))
    patches.replace(Instance, "terminate", lambda _: lambda instance: instances.terminate(instance))
    patches.replace(Instance, "reboot", lambda _: lambda instance: instances.reboot(instance))
    patches.replace(Instance, "instance_status", lambda _: property(instances.status))
    patches.replace(Instance, "system_status", lambda _: property(instances.status))
    patches.replace(
        General, "get_console_output", lambda _: lambda handler: instances.console_output(handler)
    )
