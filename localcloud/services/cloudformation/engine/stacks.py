"""All stacks of the cloud: look-up, checks, change sets, and the threads in which operations run."""

from __future__ import annotations

import threading
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from localcloud.core.context import CloudContext
from localcloud.services.cloudformation.engine import imports
from localcloud.services.cloudformation.engine.changes import changes
from localcloud.services.cloudformation.engine.deployment import Deployment, begin
from localcloud.services.cloudformation.engine.drift import Drifts
from localcloud.services.cloudformation.engine.model import ChangeSet, Desired, Stack
from localcloud.services.cloudformation.engine.scope import World, scope_of
from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.resources import known_type, type_of
from localcloud.services.cloudformation.template.checks import check_template
from localcloud.services.cloudformation.template.parameters import effective
from localcloud.services.cloudformation.template.parsing import Template, parse
from localcloud.services.cloudformation.template.references import in_order
from localcloud.services.cloudformation.template.rules import assert_rules

NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)
UPDATABLE = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_FAILED",
    "CREATE_FAILED",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)


@dataclass
class Region:
    """The stacks of one region."""

    context: CloudContext
    region: str
    stacks: dict[str, Stack] = field(default_factory=dict)  # by id, the deleted ones too
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    drifts: Drifts = field(default_factory=Drifts)
    lock: threading.RLock = field(default_factory=threading.RLock)

    # -- looking up

    def find(self, name: str, *, deleted: bool = False) -> Stack:
        """Return a stack by name or id; a deleted one only by id. Raises CfnError."""
        for stack in self.stacks.values():
            if stack.id == name or (stack.name == name and stack.status != "DELETE_COMPLETE"):
                if stack.status == "DELETE_COMPLETE" and not deleted:
                    continue
                return stack
        raise CfnError(f"Stack with id {name} does not exist")

    def find_change_set(self, name: str, stack_name: str | None) -> ChangeSet:
        """Return a change set by ARN, or by name and stack; raises ChangeSetNotFound."""
        for change_set in reversed(self.change_sets.values()):
            if change_set.id == name or (
                change_set.name == name and stack_name in (change_set.stack.name, change_set.stack.id)
            ):
                return change_set
        raise CfnError(f"ChangeSet [{name}] does not exist", "ChangeSetNotFound")

    def exported(self, name: str) -> str | None:
        """Return the value of an export."""
        return next((output.value for _, output in self.exports() if output.export == name), None)

    def exporter(self, name: str) -> str | None:
        """Return the id of the stack that exports a name."""
        return next((stack.id for stack, output in self.exports() if output.export == name), None)

    def importers(self, name: str) -> list[str]:
        """Return the names of the stacks that use an export."""
        return sorted(stack.name for stack in list(self.stacks.values()) if name in stack.imports)

    def output(self, stack: str, name: str) -> str | None:
        """Return the value of a stack's output, or None. Raises CfnError when there is no such stack."""
        return next((output.value for output in self.find(stack).outputs if output.key == name), None)

    def exports(self) -> list[tuple[Stack, Any]]:
        """Return all exports with their stacks."""
        return [(s, o) for s in list(self.stacks.values()) for o in s.outputs if o.export is not None]

    # -- what is wanted

    def desired(
        self, text: str, parameters: Iterable[Mapping[str, Any]], tags: Mapping[str, str], stack: Stack | None
    ) -> Desired:
        """Check a template and its parameters as AWS does before it starts anything."""
        template = self.checked(text)
        previous = stack.desired.parameters if stack is not None and stack.desired is not None else {}
        given = effective(template, parameters, previous, self.world())
        desired = Desired(text, template, given, dict(tags))
        # Of a stack that is not there yet: what a template can see before anything is made.
        empty = Stack("", "", datetime.now(UTC), "")
        scope = scope_of(stack or empty, desired, self.world())
        assert_rules(template, given, scope.names, self.world())
        for section in ("Resources", "Outputs"):
            for node in (template.get(section) or {}).values():
                if scope.present(node):
                    scope.check_mappings(node)
        return desired

    def checked(self, text: str) -> Template:
        """Return a template that CloudFormation takes; raises CfnError."""
        template = parse(text)
        check_template(template, self.region, known_type)
        in_order(template["Resources"])
        return template

    def world(self) -> World:
        """Return what stacks of this region can see."""
        return World(self.context, self.region, self.exported, self.exporter, self.importers, self.output)

    # -- operations

    def create(self, name: str, desired: Desired, *, token: str | None, on_failure: str) -> Stack:
        """Create a stack; returns at once."""
        with self.lock:
            stack = self._new(name, "CREATE_IN_PROGRESS")
            begin(stack, "CREATE_IN_PROGRESS", token)
            self.run(stack, lambda: self.deployment(stack).create(desired, on_failure))
            return stack

    def _new(self, name: str, status: str) -> Stack:
        if any(stack.name == name and stack.status != "DELETE_COMPLETE" for stack in self.stacks.values()):
            raise CfnError(f"Stack [{name}] already exists", "AlreadyExistsException")
        stack_id = f"arn:aws:cloudformation:{self.region}:{self.context.account}:stack/{name}/{uuid.uuid4()}"
        stack = Stack(name, stack_id, datetime.now(UTC), status)
        self.stacks[stack_id] = stack
        return stack

    def update(self, stack: Stack, desired: Desired, *, token: str | None, disable_rollback: bool) -> None:
        """Update a stack; returns at once. Raises CfnError when there is nothing to do."""
        with self.lock:
            self.check_updatable(stack)
            if stack.desired is not None and stack.desired.same(desired):
                raise CfnError("No updates are to be performed.")
            self._drop_change_sets(stack)
            begin(stack, "UPDATE_IN_PROGRESS", token)
            self.run(stack, lambda: self.deployment(stack).update(desired, disable_rollback=disable_rollback))

    def cancel_update(self, stack: Stack) -> None:
        """Let a running update roll back (CancelUpdateStack); returns at once."""
        with self.lock:
            if stack.status != "UPDATE_IN_PROGRESS":
                raise CfnError("CancelUpdateStack cannot be called from current stack status")
            stack.cancelled = True
        for resource in [r for r in list(stack.resources.values()) if r.dirty]:
            type_of(resource.type).cancel(self.world().env(stack), resource.physical_id)
        for waiting in list(stack.waiting.values()):
            waiting.cancel()

    def signal(self, stack: Stack, name: str, unique_id: str, status: str) -> None:
        """Take in a signal for a resource that is being created (SignalResource)."""
        if not stack.busy:
            raise CfnError(f"Stack {stack.id} is in {stack.status} state and cannot be signaled")
        waiting, resource = stack.waiting.get(name), stack.resources.get(name)
        if waiting is None:
            if resource is None:
                raise CfnError(f"Resource {name} does not exist for stack {stack.name}")
            raise CfnError(f"Resource {name} is in {resource.status} state and cannot be signaled")
        node = stack.desired.template["Resources"].get(name) if stack.desired is not None else None
        kind = resource.type if resource is not None else (node or {}).get("Type", "")
        physical_id = resource.physical_id if resource is not None else ""
        said = f"Received {status} signal with UniqueId {unique_id}"
        waiting.signal(
            unique_id,
            status,
            lambda: stack.event(name, physical_id, kind, "CREATE_IN_PROGRESS", said),
        )

    def continue_rollback(self, stack: Stack, skip: frozenset[str], token: str | None) -> None:
        """Go on with a roll-back that failed (ContinueUpdateRollback); returns at once."""
        with self.lock:
            if stack.status != "UPDATE_ROLLBACK_FAILED" or stack.unfinished is None:
                raise CfnError(f"Stack:{stack.id} is in {stack.status} state and can not continue rollback.")
            unknown = sorted(skip - stack.resources.keys())
            if unknown:
                raise CfnError(f"Resources to skip [{', '.join(unknown)}] do not exist in stack {stack.name}")
            whole = sorted(name for name in skip if stack.resources[name].status != "UPDATE_FAILED")
            if whole:
                raise CfnError(
                    f"Resources to skip [{', '.join(whole)}] must be in UPDATE_FAILED status: the "
                    "rollback failed for "
                    "another resource"
                )
            begin(stack, "UPDATE_ROLLBACK_IN_PROGRESS", token)
            self.run(stack, lambda: self.deployment(stack).roll_back("User Initiated", skip))

    def rollback(self, stack: Stack, token: str | None) -> None:
        """Undo an operation that failed without roll-back (RollbackStack); returns at once."""
        with self.lock:
            if stack.status == "CREATE_FAILED":
                begin(stack, "ROLLBACK_IN_PROGRESS", token)
                self.run(stack, lambda: self.deployment(stack).undo_creation())
            elif stack.status == "UPDATE_FAILED" and stack.unfinished is not None:
                begin(stack, "UPDATE_ROLLBACK_IN_PROGRESS", token)
                self.run(stack, lambda: self.deployment(stack).roll_back("User Initiated"))
            else:
                raise CfnError(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")

    def delete(
        self, stack: Stack, token: str | None, *, keep: frozenset[str] = frozenset(), force: bool = False
    ) -> None:
        """Delete a stack; returns at once."""
        with self.lock:
            if (keep or force) and stack.status != "DELETE_FAILED":
                what = "DeletionMode FORCE_DELETE_STACK" if force else "RetainResources"
                raise CfnError(
                    f"Invalid operation on stack [{stack.id}]. Specify {what} only when the stack is in the "
                    "DELETE_FAILED state."
                )
            unknown = sorted(keep - stack.resources.keys())
            if unknown:
                raise CfnError(
                    "The specified resources to retain must be in a valid state. Do not specify "
                    "resources that are in "
                    f"the DELETE_COMPLETE state. ({', '.join(unknown)})"
                )
            if stack.termination_protection:
                raise CfnError(
                    f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
                )
            if stack.busy:
                raise CfnError(f"Stack [{stack.name}] cannot be deleted while in status {stack.status}")
            self._drop_change_sets(stack)
            begin(stack, "DELETE_IN_PROGRESS", token)
            self.run(stack, lambda: self.deployment(stack).delete("User Initiated", keep=keep, force=force))

    def check_updatable(self, stack: Stack) -> None:
        """Raise unless the stack's state allows an update."""
        if stack.status not in UPDATABLE:
            raise CfnError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")

    def deployment(self, stack: Stack) -> Deployment:
        """Return an operation on a stack."""
        return Deployment(self.world(), stack)

    def run(self, stack: Stack, operation: Callable[[], None]) -> None:
        """Run an operation in a thread of its own."""

        def guarded() -> None:
            try:
                operation()
            except Exception as error:  # noqa: BLE001 - our faults end the operation, or its waiters hang
                self.context.log("".join(traceback.format_exception(error)))
                failed = stack.status.split("_IN_PROGRESS")[0].removesuffix("_CLEANUP") + "_FAILED"
                stack.set(failed, f"Internal failure of the local cloud: {error!r}")

        threading.Thread(target=guarded, name=f"stack {stack.name}", daemon=True).start()

    # -- change sets

    def create_change_set(
        self,
        name: str,
        stack_name: str,
        kind: str,
        make: Callable[[Stack | None], Desired],
        imported: Mapping[str, str] = MappingProxyType({}),
    ) -> ChangeSet:
        """Create a change set.

        ``make`` returns what is wanted, given the stack that is there (None for a new one). ``imported``: the
        identifiers of the resources that one of kind IMPORT takes in, by logical id.
        """
        with self.lock:
            known = any(s.name == stack_name and s.status != "DELETE_COMPLETE" for s in self.stacks.values())
            if kind == "CREATE" or (kind == "IMPORT" and not known):
                stack = self._reviewed(stack_name)
            else:
                stack = self.find(stack_name)
                self.check_updatable(stack)
            if any(c.name == name and c.stack is stack for c in self.change_sets.values()):
                raise CfnError(f"ChangeSet {name} already exists", "AlreadyExistsException")
            wanted = make(stack)
            if kind == "IMPORT":
                imports.check(stack, wanted, imported, self.stacks.values())
            if stack.id not in self.stacks:
                self.stacks[stack.id] = stack
                begin(stack, "REVIEW_IN_PROGRESS", None)
            set_id = (
                f"arn:aws:cloudformation:{self.region}:{self.context.account}:changeSet/{name}/{uuid.uuid4()}"
            )
            change_set = ChangeSet(
                name,
                set_id,
                stack,
                kind,
                wanted,
                [],
                "CREATE_COMPLETE",
                "AVAILABLE",
                created=datetime.now(UTC),
                imported=imported,
            )
            self._fill(change_set)
            self.change_sets[set_id] = change_set
            return change_set

    def _reviewed(self, name: str) -> Stack:
        """Return the stack of a change set of type CREATE.

        One in review, or a new one that is not yet listed.
        """
        for stack in self.stacks.values():
            if stack.name == name and stack.status != "DELETE_COMPLETE":
                if stack.status != "REVIEW_IN_PROGRESS":
                    raise CfnError(
                        f"Stack [{name}] already exists and cannot be created again with the changeSet type "
                        "CREATE.",
                    )
                return stack
        stack = self._new(name, "REVIEW_IN_PROGRESS")
        del self.stacks[stack.id]
        return stack

    def _fill(self, change_set: ChangeSet) -> None:
        stack, wanted = change_set.stack, change_set.desired
        try:
            if change_set.kind == "UPDATE" and stack.desired is not None and stack.desired.same(wanted):
                raise ResourceFailure(NO_CHANGES)
            if change_set.kind == "IMPORT":
                change_set.changes = imports.changes(wanted, change_set.imported)
                return
            change_set.changes = changes(stack, wanted, self.deployment(stack).scope(wanted))
        except (CfnError, ResourceFailure) as error:
            change_set.status, change_set.execution = "FAILED", "UNAVAILABLE"
            change_set.reason = str(error)

    def _drop_change_sets(self, stack: Stack, but: ChangeSet | None = None) -> None:
        """Delete a stack's change sets, as CloudFormation does when the stack changes under them."""
        for other in [c for c in self.change_sets.values() if c.stack is stack and c is not but]:
            del self.change_sets[other.id]

    def execute(self, change_set: ChangeSet, *, token: str | None, disable_rollback: bool) -> None:
        """Execute a change set; returns at once."""
        with self.lock:
            if change_set.execution != "AVAILABLE":
                raise CfnError(
                    f"ChangeSet [{change_set.id}] cannot be executed in its current status of "
                    f"[{change_set.status}]",
                    "InvalidChangeSetStatus",
                )
            stack, wanted = change_set.stack, change_set.desired
            if stack.status != "REVIEW_IN_PROGRESS":
                self.check_updatable(stack)
            on_failure = "DO_NOTHING" if disable_rollback else (change_set.on_failure or "ROLLBACK")
            self._drop_change_sets(stack, but=change_set)
            stack.change_set_id = change_set.id
            stack.capabilities, stack.role_arn = change_set.capabilities, change_set.role_arn
            change_set.execution = "EXECUTE_IN_PROGRESS"
            begin(stack, f"{change_set.kind}_IN_PROGRESS", token)

            def operation() -> None:
                if change_set.kind == "IMPORT":
                    self.deployment(stack).take_in(wanted, change_set.imported)
                elif change_set.kind == "CREATE":
                    self.deployment(stack).create(wanted, on_failure)
                else:
                    self.deployment(stack).update(wanted, disable_rollback=disable_rollback)
                done = stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
                change_set.execution = "EXECUTE_COMPLETE" if done else "EXECUTE_FAILED"

            self.run(stack, operation)
