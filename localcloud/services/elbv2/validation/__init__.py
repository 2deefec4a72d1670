"""What Elastic Load Balancing refuses and moto takes. Source: its API reference, and what it answers with.

::

    balancers       load balancers and their listeners
    listener_rules  rules of listeners, and to which target groups they forward
    target_groups   target groups, their attributes and targets
"""

from __future__ import annotations

from localcloud.core.patching import Patches
from localcloud.services.elbv2.validation import balancers, listener_rules, target_groups


def install(patches: Patches) -> None:
    """Put the checks before moto's own methods."""
    listener_rules.install(patches)
    target_groups.install(patches)
    # Last: what it replaces of listeners no longer has the signature of moto's methods.
    balancers.install(patches)
