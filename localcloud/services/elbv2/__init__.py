"""Application load balancers on loopback ports: proxy, health checks, draining, listener rules."""

from __future__ import annotations

from localcloud.core.context import CloudContext
from localcloud.core.patching import Patches
from localcloud.services.elbv2 import validation
from localcloud.services.elbv2.control import Control
from localcloud.services.elbv2.fronts import BalancerLoop


def install(patches: Patches) -> None:
    """Refuse what Elastic Load Balancing refuses."""
    validation.install(patches)


def install_balancers(patches: Patches, context: CloudContext) -> BalancerLoop:
    """Put a running load balancer behind each of moto's; return the loop, whose ``stop`` closes all ports."""
    control = Control(context)
    control.install(patches)
    return control.loop
