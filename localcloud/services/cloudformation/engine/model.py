"""Stacks, their resources, events and change sets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.engine.signals import Waiting
from localcloud.services.cloudformation.template.parameters import Parameter
from localcloud.services.cloudformation.template.parsing import Template


@dataclass(frozen=True)
class Desired:
    """What a stack should be: a template (as text and parsed), parameters and tags."""

    text: str
    template: Template
    parameters: Mapping[str, Parameter]
    tags: Mapping[str, str]

    def same(self, other: Desired) -> bool:
        """Say whether a deployment of ``other`` would change nothing."""
        return (self.template, self.parameters, self.tags) == (other.template, other.parameters, other.tags)


@dataclass
class Resource:
    """A resource of a stack. ``properties`` with functions evaluated, dynamic references not resolved."""

    logical_id: str
    type: str
    physical_id: str
    properties: Mapping[str, Any]
    resolved: Mapping[str, Any]
    attributes: Mapping[str, Value]
    node: Mapping[str, Any]
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))
    dirty: bool = False  # an update failed half-way: nobody knows its true properties
    attempted: Mapping[str, Any] | None = None  # what that update asked for


@dataclass(frozen=True)
class Event:
    """One line of a stack's history."""

    event_id: str
    operation_id: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str | None
    time: datetime
    token: str | None


@dataclass(frozen=True)
class Output:
    """An output of a stack."""

    key: str
    value: str
    description: str | None
    export: str | None


@dataclass
class Unfinished:
    """What an update left to undo: it failed and was kept, or its roll-back failed.

    ``previous``, ``outputs`` and ``imports`` are those of the last state that was reached; ``replaced``
    holds the resources that were replaced or removed since.
    """

    previous: Desired
    outputs: list[Output]
    imports: frozenset[str]
    replaced: list[Resource]
    leftover: list[Resource] = field(
        default_factory=list
    )  # made by the update, to be deleted by its roll-back


@dataclass
class Stack:
    """A stack and its history. ``imports``: the exports of other stacks that it uses."""

    name: str
    id: str
    created: datetime
    status: str
    desired: Desired | None = None
    reason: str | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    updated: datetime | None = None
    deleted: datetime | None = None
    change_set_id: str | None = None
    capabilities: tuple[str, ...] = ()
    role_arn: str | None = None
    termination_protection: bool = False
    policy: str | None = None
    imports: frozenset[str] = frozenset()
    unfinished: Unfinished | None = None
    cancelled: bool = False  # CancelUpdateStack was called during the running update
    waiting: dict[str, Waiting] = field(default_factory=dict)  # resources that wait for signals
    disable_rollback: bool = False
    operation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    token: str | None = None  # the ClientRequestToken of the running operation

    @property
    def busy(self) -> bool:
        """Say whether an operation is running."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def set(self, status: str, reason: str | None = None) -> None:
        """Change the stack's state and write the event."""
        # The event comes first: who sees the end of an operation must find its events complete.
        self.event(self.name, self.id, "AWS::CloudFormation::Stack", status, reason)
        self.status, self.reason = status, reason

    def event(
        self, logical_id: str, physical_id: str, kind: str, status: str, reason: str | None = None
    ) -> None:
        """Add an event.

        Times have milliseconds and differ, so that readers who sort by them keep the order.
        """
        now = datetime.now(UTC)
        if self.events:
            now = max(now, self.events[-1].time + timedelta(milliseconds=1))
        self.events.append(
            Event(
                event_id=str(uuid.uuid4())
                if logical_id == self.name
                else f"{logical_id}-{status}-{uuid.uuid4()}",
                operation_id=self.operation_id,
                logical_id=logical_id,
                physical_id=physical_id,
                type=kind,
                status=status,
                reason=reason,
                time=now,
                token=self.token,
            )
        )


@dataclass
class ChangeSet:
    """A change set: what it would deploy and what it would change."""

    name: str
    id: str
    stack: Stack
    kind: str  # CREATE, UPDATE or IMPORT
    desired: Desired
    changes: list[dict[str, Any]]
    status: str
    execution: str
    created: datetime
    reason: str | None = None
    description: str | None = None
    capabilities: tuple[str, ...] = ()
    role_arn: str | None = None
    on_failure: str | None = None
    imported: Mapping[str, str] = field(default_factory=dict)  # logical id -> identifier of what is taken in
