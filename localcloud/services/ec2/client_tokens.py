"""RunInstances with a ClientToken launches once.

Source: EC2 API reference, "Ensuring idempotency" and "Error codes".
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.instances import InstanceResponse

from localcloud.core.moto_types import Ec2Handler, Reservation
from localcloud.core.patching import Patches

LONGEST_TOKEN = 64  # ASCII characters


def install(patches: Patches) -> None:
    """Make a repeated request answer with the first one's instances."""
    launching = threading.Lock()

    def once(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
        def run_instances(handler: Ec2Handler) -> ActionResult:
            token = handler._get_param("ClientToken")
            if not token:
                return original(handler)
            if len(token) > LONGEST_TOKEN or not token.isascii():
                raise EC2ClientError(
                    "InvalidParameterValue", f"ClientToken is limited to {LONGEST_TOKEN} ASCII characters"
                )
            parameters = {key: value for key, value in handler._get_params().items() if key != "ClientToken"}
            request = repr(parameters)
            # On the backend, so that moto's reset forgets them together with the instances.
            known: dict[str, tuple[str, Reservation]] = vars(handler.ec2_backend).setdefault(
                "ingot_launch_tokens", {}
            )
            with launching:
                if token in known:
                    return _launched_before(*known[token], request)
                answer = original(handler)
                known[token] = request, answer.result
                return answer

        return run_instances

    patches.replace(InstanceResponse, "run_instances", once)


def _launched_before(first: str, reservation: Reservation, request: str) -> ActionResult:
    if first != request:
        raise EC2ClientError(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous "
            "request(s).",
        )
    if any(instance.state in ("shutting-down", "terminated") for instance in reservation.instances):
        raise EC2ClientError(
            "IdempotentInstanceTerminated",
            "The instance that an earlier request with this client token launched has been terminated.",
        )
    return ActionResult(reservation)
