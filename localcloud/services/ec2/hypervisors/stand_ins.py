"""Stand-ins for machines: instances that run at once, boot nothing, and say on their consoles what they are
told to. A fleet of 1,000 fits into one process.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime

from moto.core.responses import ActionResult
from moto.ec2.responses.general import General

from localcloud.core.context import CloudContext
from localcloud.core.moto_types import Ec2Handler, Instance
from localcloud.core.patching import Patches
from localcloud.services.ec2.launch import ResolvedLaunch

# (instance id, AMI id) -> what the serial console holds.
Says = Callable[[str, str], str]


class StandIns:
    """The hypervisor of a cloud without machines whose instances are seen to live. moto's records are all
    that there is of them: they are running when RunInstances answers, and terminated when TerminateInstances
    does.
    """

    def __init__(self, context: CloudContext, says: Says) -> None:
        self._changed = context.hooks.changed
        self._says = says

    def install(self, patches: Patches) -> None:
        """Replace moto's canned console output."""
        patches.add(General, get_console_output=lambda handler: self.console_output(handler))

    def check(self, launch: ResolvedLaunch) -> None:
        """Take any launch that AWS would take: nothing has to run."""

    def boot(self, instance: Instance, launch: ResolvedLaunch) -> None:
        """Say that there is a new instance."""
        self._changed()

    def console_output(self, handler: Ec2Handler) -> ActionResult:
        """GetConsoleOutput: the last 64 KiB of what the instance says, base64."""
        instance = handler.ec2_backend.get_instance(handler._get_param("InstanceId"))
        said = self._says(instance.id, instance.image_id).encode()[-65536:]
        output = base64.b64encode(said).decode()
        return ActionResult({"InstanceId": instance.id, "Timestamp": datetime.now(UTC), "Output": output})
