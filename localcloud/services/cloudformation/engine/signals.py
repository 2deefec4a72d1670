"""The signals that resources wait for while they are created.

Sources: SignalResource, CloudFormation API reference; "CreationPolicy attribute", template reference. The
words are those that CloudFormation answers with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.template.creation_policy import Policy

SUCCESS, FAILURE = "SUCCESS", "FAILURE"


@dataclass
class Waiting:
    """A resource that waits for its signals; ``received`` has the status of each by its unique id."""

    logical_id: str
    policy: Policy
    received: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def signal(self, unique_id: str, status: str, noted: Callable[[], None]) -> None:
        """Take in a signal, and call ``noted`` before anybody can see what follows from it.

        Raises CfnError for a signal that was received before, unless it now is a failure.
        """
        with self._changed:
            if unique_id in self.received and status != FAILURE:
                raise CfnError(
                    f"Signal with ID {unique_id} for resource {self.logical_id} already exists. Signals may "
                    "only be updated with a FAILURE status."
                )
            self.received[unique_id] = status
            noted()
            self._changed.notify_all()

    def cancel(self) -> None:
        """End the wait: the operation that it belongs to is cancelled."""
        with self._changed:
            self.cancelled = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when enough signals were successes; raises ResourceFailure when they will not be."""
        end = time.monotonic() + self.policy.seconds
        with self._changed:
            while len(self.received) < self.policy.count and not self._failed() and not self.cancelled:
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            if self.cancelled:
                raise ResourceFailure("Resource creation cancelled")
            if self._failed():
                raise ResourceFailure(
                    f"Received {self._count(FAILURE)} {FAILURE} signal(s) out of {self.policy.count}. Unable "
                    f"to satisfy {self.policy.percent:g}% MinSuccessfulInstancesPercent requirement"
                )
            missing = self.policy.count - len(self.received)
            if self._count(SUCCESS) < self.policy.needed:
                raise ResourceFailure(
                    f"Failed to receive {missing} resource signal(s) within the specified duration"
                )

    def _failed(self) -> bool:
        return self._count(FAILURE) > self.policy.count - self.policy.needed

    def _count(self, status: str) -> int:
        return sum(received == status for received in self.received.values())
