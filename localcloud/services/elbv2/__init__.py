"""Application load balancers on loopback ports: proxy, health checks, draining, listener rules."""

from __future__ import annotations

from localcloud.core.context import CloudContext


class Balancer:
    """The installed part: what to close and to put back."""

    def __init__(self, context: CloudContext) -> None:
        from localcloud.core.patching import Patches
        from localcloud.services.elbv2.control import Control, replace

        self.control = Control(context)
        self._patches = Patches()
        replace(self._patches, self.control)

    def stop(self) -> None:
        """Close all ports; nothing listens when this returns."""
        self._patches.undo()
        self.control.loop.stop()


def install(context: CloudContext) -> Balancer:
    """Put a real load balancer behind moto's."""
    return Balancer(context)
