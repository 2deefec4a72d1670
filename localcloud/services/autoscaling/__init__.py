"""Auto Scaling that really keeps a group's instances: health, replacement, scale-in, instance refresh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingot.errors import CloudError
from localcloud.core.context import CloudContext


class GroupKeeper:
    """The installed part: the loop, and what to put back."""

    def __init__(self, context: CloudContext) -> None:
        from moto.autoscaling.models import autoscaling_backends

        from localcloud.core.patching import Patches
        from localcloud.services.autoscaling.api import replace
        from localcloud.services.autoscaling.driver import MotoDriver
        from localcloud.services.autoscaling.service import AutoScaling

        self._backend = autoscaling_backends[context.account][context.region]
        self._patches = Patches()
        self.service = AutoScaling(
            MotoDriver(context.account, context.region),
            lambda: self._backend.autoscaling_groups.values(),
            log=context.log,
            forget=lambda group: self._backend.autoscaling_groups.pop(group.name, None),
        )
        replace(self._patches, self.service)
        context.hooks.instance_refresh = self._refresh
        context.hooks.listeners.append(self.service.wake)
        self.service.start()

    def _refresh(self, group_name: str, policy: Mapping[str, Any]) -> None:
        group = self._backend.autoscaling_groups.get(group_name)
        if group is None:
            raise CloudError(f"there is no Auto Scaling group {group_name}")
        self.service.refresh_and_wait(group, policy)

    def stop(self) -> None:
        """End the loop; nothing is launched after this returns."""
        self.service.stop()
        self._patches.undo()


def install(context: CloudContext) -> GroupKeeper:
    """Put real Auto Scaling behind moto's groups."""
    return GroupKeeper(context)
