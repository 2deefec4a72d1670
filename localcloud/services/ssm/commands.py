"""Run Command: refused, since no machine of the local cloud is a managed node.

moto answers SendCommand with the success of a command that ran nowhere, for any instance id.
"""

from __future__ import annotations

from collections.abc import Callable

from moto.core.exceptions import JsonRESTError
from moto.ssm.models import SimpleSystemManagerBackend

from localcloud.core.moto_types import Backend
from localcloud.core.patching import Patches


def install(patches: Patches) -> None:
    """Refuse SendCommand. Codes: Systems Manager API reference, SendCommand, "Errors"."""

    def refusing(_original: Callable[..., object]) -> Callable[..., object]:
        def send_command(backend: Backend, *_: object, instance_ids: list[str], **_rest: object) -> object:
            if instance_ids:
                raise JsonRESTError(
                    "InvalidInstanceId",
                    f"Instances [[{', '.join(instance_ids)}]] not in a valid state for account "
                    f"{backend.account_id}",
                )
            raise JsonRESTError("InvalidTarget", "The target isn't valid or doesn't exist.")

        return send_command

    patches.replace(SimpleSystemManagerBackend, "send_command", refusing)
