"""Auto Scaling that really keeps a group's instances: health, replacement, scale-in, instance refresh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.autoscaling.models import autoscaling_backends

from ingot.errors import CloudError
from localcloud.core.context import CloudContext
from localcloud.core.patching import Patches
from localcloud.services.autoscaling.api import replace
from localcloud.services.autoscaling.driver import MotoDriver
from localcloud.services.autoscaling.service import AutoScaling


def install(patches: Patches, context: CloudContext) -> AutoScaling:
    """Put real Auto Scaling behind moto's groups; return its loop: nothing is launched after its ``stop``."""
    backend = autoscaling_backends[context.account][context.region]
    service = AutoScaling(
        MotoDriver(context.account, context.region),
        lambda: backend.autoscaling_groups.values(),
        log=context.log,
        forget=lambda group: backend.autoscaling_groups.pop(group.name, None),
    )

    def refresh(group_name: str, policy: Mapping[str, Any]) -> None:
        group = backend.autoscaling_groups.get(group_name)
        if group is None:
            raise CloudError(f"there is no Auto Scaling group {group_name}")
        service.refresh_and_wait(group, policy)

    replace(patches, service)
    context.hooks.instance_refresh = refresh
    context.hooks.listeners.append(service.wake)
    service.start()
    return service
