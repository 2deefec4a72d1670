"""CloudWatch: metrics that load balancers and machines really give, and alarms that are evaluated on them.

::

    evaluation  a state from data points: missing data, "M out of N"
    alarms      moto's alarms, evaluated
    composite   the rules of composite alarms
    sources     the metrics of load balancers, target groups, instances and Auto Scaling groups
"""

from __future__ import annotations

from localcloud.core.context import CloudContext
from localcloud.core.patching import Patches
from localcloud.services.cloudwatch import alarms
from localcloud.services.cloudwatch.alarms import AlarmLoop
from localcloud.services.cloudwatch.sources import Sources


def install(patches: Patches, context: CloudContext, *, machines: bool) -> AlarmLoop:
    """Evaluate alarms, on the metrics of running machines if there are any; return the loop."""
    sources = Sources(context) if machines else None
    if sources is not None:
        context.hooks.served = sources.served
    loop = AlarmLoop(context, None if sources is None else sources.flush)
    alarms.install(patches, loop)
    loop.start()
    return loop
