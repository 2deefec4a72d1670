"""The one place that says what the local cloud changes in moto, in which order, and why in that order.

Replacements of one method stack, the later one outside: it runs first and calls the earlier one. All of them
are undone when the cloud stops (:class:`localcloud.core.patching.Patches`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localcloud.core import once, unimplemented
from localcloud.core.context import CloudContext, Stoppable
from localcloud.core.patching import Patches
from localcloud.services import autoscaling, cloudwatch, ec2, elbv2
from localcloud.services.cloudformation.api import actions as cloudformation
from localcloud.services.ebs.service import EbsService
from localcloud.services.ec2.hypervisors.stand_ins import Says
from localcloud.services.s3 import bucket_policy, checksums, subresources
from localcloud.services.ssm import commands, parameters
from localcloud.services.sts import session_tokens


@dataclass(frozen=True)
class Installation:
    """What a step may use."""

    patches: Patches
    context: CloudContext
    ebs: EbsService
    says: Says | None = None
    """What stand-ins say on their consoles; None: there are none."""

    def stand_in(self) -> None:
        """Put stand-ins behind instances."""
        assert self.says is not None  # noqa: S101 - `steps` was told of them
        ec2.install_stand_ins(self.patches, self.context, self.ebs, self.says)


@dataclass(frozen=True)
class Step:
    """One step. ``run`` returns what has to be ended before the cloud stops, or None."""

    name: str
    run: Callable[[Installation], Stoppable | None]
    why: str


CONTROL_PLANE = (
    Step(
        "s3: bucket policies",
        lambda i: bucket_policy.install(i.patches),
        "moto enforces policies without their conditions; depends on nothing",
    ),
    Step(
        "s3: subresources",
        lambda i: subresources.install(i.patches),
        "moto takes them for the bucket itself; depends on nothing",
    ),
    Step(
        "s3: checksums",
        lambda i: checksums.install(i.patches),
        "moto keeps any SHA-256 that it is told; depends on nothing",
    ),
    Step(
        "ssm: parameters",
        lambda i: parameters.install(i.patches),
        "AllowedPattern and sizes; depends on nothing",
    ),
    Step(
        "ssm: commands",
        lambda i: commands.install(i.patches),
        "moto answers SendCommand with a command that ran nowhere; depends on nothing",
    ),
    Step(
        "sts: session tokens",
        lambda i: session_tokens.install(i.patches, i.context),
        "credentials that the gate knows; depends on nothing",
    ),
    Step(
        "ec2: checks, templates, images",
        lambda i: ec2.install(i.patches, i.context, i.ebs),
        "after EBS, whose blocks DeleteSnapshot frees; before machines: a request that EC2 refuses must not "
        "reach them",
    ),
    Step(
        "elbv2: checks",
        lambda i: elbv2.install(i.patches),
        "before the balancers, which wrap the same methods: they open a port only after the checks have "
        "passed",
    ),
    Step(
        "cloudformation",
        lambda i: cloudformation.install(i.patches, i.context),
        "replaces moto's routes, which the server reads with the first request; it calls the other services "
        "as a client",
    ),
)
RECORDED_LAUNCHES = (
    Step(
        "cloudwatch: alarms",
        lambda i: cloudwatch.install(i.patches, i.context, machines=False),
        "alarms on what clients put; depends on nothing",
    ),
    Step(
        "ec2: launches",
        lambda i: ec2.install_launches(i.patches, i.ebs),
        "instances of a cloud without machines are checked like others and stay records",
    ),
)
STAND_INS = (
    RECORDED_LAUNCHES[0],
    Step(
        "ec2: stand-ins",
        lambda i: i.stand_in(),
        "in the place of machines: what they say is given",
    ),
    Step(
        "autoscaling",
        lambda i: autoscaling.install(i.patches, i.context),
        "after the stand-ins, which it launches",
    ),
)
MACHINES = (
    Step(
        "ec2: machines",
        lambda i: ec2.install_machines(i.patches, i.context, i.ebs),
        "first of what runs, so last to stop: no machine may be left when the cloud has stopped",
    ),
    Step(
        "autoscaling",
        lambda i: autoscaling.install(i.patches, i.context),
        "after machines, which it launches; stops before them, so that it replaces none of those that end",
    ),
    Step(
        "elbv2: balancers",
        lambda i: elbv2.install_balancers(i.patches, i.context),
        "after the checks and machines, to whose ports it connects; its ports close first",
    ),
    Step(
        "cloudwatch: metrics and alarms",
        lambda i: cloudwatch.install(i.patches, i.context, machines=True),
        "last, so first to stop: it looks at machines and target groups",
    ),
)
DISPATCH = (
    Step(
        "actions that nobody implements",
        lambda i: unimplemented.install(i.patches),
        "around moto's dispatch of an action, which no other step replaces; depends on nothing",
    ),
    Step(
        "what moto works out for each request",
        lambda i: once.install(i.patches),
        "last: from then on moto lists the operations of a class once, and those that steps add must be "
        "among them",
    ),
)


def steps(*, machines: bool, stand_ins: bool = False) -> tuple[Step, ...]:
    """Return all steps in their order; ``stand_ins``: in the place of machines."""
    if stand_ins:
        return CONTROL_PLANE + STAND_INS + DISPATCH
    return CONTROL_PLANE + (MACHINES if machines else RECORDED_LAUNCHES) + DISPATCH
