"""What the parts of the local cloud share: where it lives, how it is reached, what they do for each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ingot.progress import Progress
from localcloud.core.sessions import Sessions

ACCOUNT = "123456789012"  # moto's default account
REGION = "us-east-1"

# Waits for the refresh of the group's instances; raises CloudError with the reason when it fails.
RefreshGroup = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Served:
    """A request that a load balancer answered.

    ``group``: the ARN of the target group that it was for, empty for none. ``from_target``: whether the
    answer
    is a target's or the load balancer's own. ``seconds`` until the target answered.
    """

    balancer: str
    group: str
    status: int
    from_target: bool
    seconds: float


@dataclass(frozen=True)
class ProcessorTime:
    """What a machine has used: CPU seconds since it started, on so many processors."""

    seconds: float
    processors: int


class Stoppable(Protocol):
    """Something that a part of the cloud started: machines, threads, listeners."""

    def stop(self) -> None:
        """End it. Called once, in the reverse order of the starts."""


@dataclass
class Hooks:
    """What one part of the cloud offers to the others. A part sets its hooks when it is installed.

    ``instance_refresh(group_name, policy)``: CloudFormation calls it after it updated an Auto Scaling group
    whose ``UpdatePolicy`` has ``AutoScalingInstanceRefresh`` (the policy is that mapping); it returns when
    the refresh is done.
    """

    instance_refresh: RefreshGroup | None = None
    # (instance id, TCP port) -> where on this machine the instance's port is reached; None when it does not
    # run.
    machine_address: Callable[[str, int], tuple[str, int] | None] | None = None
    # A completed snapshot's volume size in bytes and the file of each of its 512 KiB blocks. A block that is
    # not in the mapping is all zeros. Raises CloudError for a snapshot that is not there.
    blocks_of: Callable[[str], tuple[int, dict[int, Path]]] | None = None
    # Instance id -> what its machine has used; None when it does not run.
    processor_time: Callable[[str], ProcessorTime | None] | None = None
    # Called for each request that a load balancer has answered; returns at once.
    served: Callable[[Served], None] | None = None
    # Called upon every change of an instance's or a target's state; each returns at once.
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def changed(self) -> None:
        """Wake what waits for a change of an instance's or a target's state. Any thread may call it."""
        for listener in list(self.listeners):
            listener()


@dataclass(frozen=True)
class CloudContext:
    """One running local cloud.

    ``directory``: its state on disk. ``port``: where it listens on 127.0.0.1. ``access_key``: the key id of
    who owns it, and a secret. ``log``: takes one line for daemon.log.
    """

    directory: Path
    port: int
    account: str
    region: str
    access_key: str = field(repr=False)
    log: Progress
    hooks: Hooks = field(default_factory=Hooks)
    sessions: Sessions = field(default_factory=Sessions)

    @property
    def endpoint(self) -> str:
        """The address of every AWS API of this cloud."""
        return f"http://localhost:{self.port}"
