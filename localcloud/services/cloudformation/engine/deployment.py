"""One operation on one stack: create, update, delete; and the way back when it fails.

AWS's order: resources are created and updated so that each comes after those that it needs. What is no longer
wanted goes only after everything else succeeded, in the reverse order. A failed creation deletes what it had
created; a failed update goes forward over the previous template, so that a launch template gets one more
version and not its old number back. Source: "Update behaviors of stack resources" and "Stack failure
options", CloudFormation user guide.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ingot.errors import IngotError
from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.engine.model import Desired, Output, Resource, Stack
from localcloud.services.cloudformation.engine.scope import World, scope_of
from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.resources import ResourceType, type_of
from localcloud.services.cloudformation.resources.base import Env
from localcloud.services.cloudformation.template.functions import Scope
from localcloud.services.cloudformation.template.references import DYNAMIC, in_order, resolve_dynamic


@dataclass
class Deployment:
    """A running operation. ``cleanup`` collects the resources to delete at its end."""

    world: World
    stack: Stack
    cleanup: list[Resource] = field(default_factory=list)
    before: dict[str, Resource] = field(default_factory=dict)

    # -- the three operations

    def create(self, desired: Desired, on_failure: str = "ROLLBACK") -> None:
        """Create the stack's resources; on failure roll back, delete or leave it as it is."""
        stack = self.stack
        stack.desired = desired
        try:
            self._apply(desired)
        except (ResourceFailure, CfnError, IngotError) as error:
            if on_failure == "DO_NOTHING":
                stack.set("CREATE_FAILED", str(error))
                return
            if on_failure == "DELETE":
                self.delete(str(error))
                return
            stack.set("ROLLBACK_IN_PROGRESS", _summary(error, "create"))
            gone = self._delete_all(retain=False)
            stack.outputs = []
            stack.set("ROLLBACK_COMPLETE" if gone else "ROLLBACK_FAILED")
            return
        stack.set("CREATE_COMPLETE")

    def update(self, desired: Desired, *, disable_rollback: bool = False) -> None:
        """Bring the stack to ``desired``; on failure go back to what it was."""
        stack, previous = self.stack, self.stack.desired
        assert previous is not None  # noqa: S101 - a stack that can be updated has been deployed
        self.before = dict(stack.resources)
        outputs = list(stack.outputs)
        try:
            self._apply(desired)
        except (ResourceFailure, CfnError, IngotError) as error:
            if disable_rollback:
                stack.set("UPDATE_FAILED", _summary(error, "update"))
                return
            self._roll_back(previous, outputs, _summary(error, "update"))
            return
        stack.desired = desired
        stack.updated = datetime.now(UTC)
        stack.set("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up()
        stack.set("UPDATE_COMPLETE")

    def delete(self, reason: str | None = None) -> None:
        """Delete the stack's resources, but those with DeletionPolicy Retain."""
        self.stack.set("DELETE_IN_PROGRESS", reason)
        if self._delete_all(retain=True):
            self.stack.deleted = datetime.now(UTC)
            self.stack.set("DELETE_COMPLETE")
            self.stack.outputs = []
            return
        failed = ", ".join(name for name, r in self.stack.resources.items() if r.status == "DELETE_FAILED")
        self.stack.set("DELETE_FAILED", f"The following resource(s) failed to delete: [{failed}].")

    # -- forward

    def _apply(self, desired: Desired) -> None:
        scope = self.scope(desired)
        nodes = {name: node for name, node in desired.template["Resources"].items() if scope.present(node)}
        self._check_dynamic(nodes)
        for name in in_order(nodes):
            self._apply_one(desired, scope, name, nodes[name])
        self.cleanup.extend(
            self.stack.resources.pop(name) for name in list(self.stack.resources) if name not in nodes
        )
        self.stack.outputs = self._outputs(desired, scope)

    def _check_dynamic(self, nodes: Mapping[str, Any]) -> None:
        """Look up every literal dynamic reference before anything is created.

        A missing one must leave no trace.
        """
        for name, node in nodes.items():
            known = self.stack.resources.get(name)
            if known is None or known.node != node:
                resolve_dynamic(_dynamic_texts(node.get("Properties")), self.world.parameter)

    def _apply_one(self, desired: Desired, scope: Scope, name: str, node: Mapping[str, Any]) -> None:
        properties = scope.value(node.get("Properties") or {})
        kind = type_of(node["Type"])
        env = self._env(desired, scope, name, node)
        old = self.stack.resources.get(name)
        if old is not None and old.status == "CREATE_FAILED":
            # Of an operation without rollback: what there is of it makes room for another attempt.
            if not self._delete_one(old):
                raise ResourceFailure(name) from ResourceFailure(old.reason or "")
            del self.stack.resources[name]
            old = None
        if old is None:
            self._create_one(env, kind, node, properties)
        elif old.properties == properties and not old.dirty:
            # The stack's tags reach a resource when it is made or changed.
            self.stack.resources[name] = replace(old, node=node)
        elif old.type != node["Type"] or kind.replacement(old.properties, properties):
            self._event(
                old, "UPDATE_IN_PROGRESS", "Requested update requires the creation of a new physical resource"
            )
            self._create_one(env, kind, node, properties, status="UPDATE")
        else:
            self._update_one(env, kind, node, old, properties)

    def _create_one(
        self,
        env: Env,
        kind: ResourceType,
        node: Mapping[str, Any],
        properties: Mapping[str, Any],
        status: str = "CREATE",
    ) -> None:
        name, type_name = env.logical_id, node["Type"]
        self.stack.event(name, "", type_name, f"{status}_IN_PROGRESS")
        created: list[Resource] = []
        try:
            resolved = self._resolved(env, type_name, properties)

            def exists(physical_id: str) -> None:
                resource = Resource(name, type_name, physical_id, properties, resolved, {}, node)
                resource.status = f"{status}_IN_PROGRESS"
                created.append(resource)
                self._take_in(resource)

            with _validated(name):
                result = kind.create(replace(env, exists=exists), resolved)
            if not created:
                exists(result.physical_id)
        except (ResourceFailure, CfnError, IngotError) as error:
            for resource in created:
                resource.status, resource.reason = "CREATE_FAILED", str(error)
            physical_id = created[0].physical_id if created else ""
            self.stack.event(name, physical_id, type_name, f"{status}_FAILED", str(error))
            raise ResourceFailure(name) from error
        created[0].attributes, created[0].status = result.attributes, f"{status}_COMPLETE"
        self._event(created[0], f"{status}_COMPLETE")

    def _resolved(self, env: Env, type_name: str, properties: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the properties as the type's handler gets them.

        Raises ResourceFailure for what does not fit its schema.
        """
        from localcloud.services.cloudformation.template.properties import (
            check,  # a cloud is up sooner than its schemas are read
        )

        resolved: Mapping[str, Any] = resolve_dynamic(properties, self.world.parameter)
        check(env.logical_id, type_name, env.region, resolved)
        return resolved

    def _take_in(self, resource: Resource) -> None:
        """Keep the handle of a resource as soon as it exists: whatever fails later, it is not lost."""
        replaced = self.stack.resources.get(resource.logical_id)
        if replaced is not None:
            self.cleanup.append(replaced)
        self.stack.resources[resource.logical_id] = resource
        self._event(resource, resource.status, "Resource creation Initiated")

    def _update_one(
        self,
        env: Env,
        kind: ResourceType,
        node: Mapping[str, Any],
        old: Resource,
        properties: Mapping[str, Any],
    ) -> None:
        assert kind.update is not None  # noqa: S101 - replacement() says so
        self._event(old, "UPDATE_IN_PROGRESS")
        resource = replace(old, node=node, dirty=True, changed=datetime.now(UTC))
        self.stack.resources[old.logical_id] = resource
        try:
            resolved = self._resolved(env, old.type, properties)
            # What failed half-way may have been done: the handlers undo what differs from it.
            before = old.resolved if old.attempted is None else old.attempted
            resource.attempted = resolved
            with _validated(old.logical_id):
                attributes = kind.update(env, old.physical_id, before, resolved)
        except (ResourceFailure, CfnError, IngotError) as error:
            resource.status, resource.reason = "UPDATE_FAILED", str(error)
            self._event(resource, "UPDATE_FAILED", str(error))
            raise ResourceFailure(old.logical_id) from error
        resource.properties, resource.resolved, resource.attributes = properties, resolved, attributes
        resource.dirty, resource.attempted = False, None
        resource.status, resource.reason = "UPDATE_COMPLETE", None
        self._event(resource, "UPDATE_COMPLETE")

    # -- back

    def _roll_back(self, previous: Desired, outputs: list[Output], reason: str) -> None:
        stack = self.stack
        stack.set("UPDATE_ROLLBACK_IN_PROGRESS", reason)
        # Replaced and removed resources are all still there: take the old ones back and let the new ones go.
        waiting, self.cleanup = self.cleanup, []
        for old in waiting:
            new = stack.resources.get(old.logical_id)
            stack.resources[old.logical_id] = old
            if new is not None:
                self.cleanup.append(new)
        try:
            self._apply(previous)
        except (ResourceFailure, CfnError, IngotError) as error:
            stack.set("UPDATE_ROLLBACK_FAILED", _summary(error, "update"))
            return
        stack.outputs = outputs
        stack.set("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up()
        stack.set("UPDATE_ROLLBACK_COMPLETE")

    def _clean_up(self) -> None:
        while self.cleanup:
            resource = self.cleanup.pop()
            policy = (
                "DeletionPolicy" if resource.logical_id not in self.stack.resources else "UpdateReplacePolicy"
            )
            if resource.node.get(policy, "Delete").startswith("Retain"):
                self._event(resource, "DELETE_SKIPPED")
            else:
                self._delete_one(resource)

    def _delete_all(self, *, retain: bool) -> bool:
        """Delete the resources in the reverse order of their making; return whether all are gone."""
        nodes = {name: resource.node for name, resource in self.stack.resources.items()}
        for name in reversed(in_order(nodes)):
            resource = self.stack.resources[name]
            policy = resource.node.get("DeletionPolicy", "Delete")
            # A failed creation rolls back RetainExceptOnCreate too, but never Retain.
            if policy == "Retain" or (retain and policy == "RetainExceptOnCreate"):
                self._event(resource, "DELETE_SKIPPED")
            elif not self._delete_one(resource):
                continue
            del self.stack.resources[name]
        return not self.stack.resources

    def _delete_one(self, resource: Resource) -> bool:
        self._event(resource, "DELETE_IN_PROGRESS")
        env = self._env(self.stack.desired, None, resource.logical_id, {})
        try:
            type_of(resource.type).delete(env, resource.physical_id, resource.resolved)
        except ResourceFailure as error:
            if not getattr(error, "gone", False):
                resource.status, resource.reason = "DELETE_FAILED", str(error)
                self._event(resource, "DELETE_FAILED", str(error))
                return False
        self._event(resource, "DELETE_COMPLETE")
        return True

    # -- what a template sees

    def scope(self, desired: Desired) -> Scope:
        """Return the scope of the stack's template."""
        return scope_of(self.stack, desired, self.world)

    def _outputs(self, desired: Desired, scope: Scope) -> list[Output]:
        outputs = []
        for key, node in (desired.template.get("Outputs") or {}).items():
            if scope.present(node):
                value = resolve_dynamic(scope.value(node["Value"]), self.world.parameter)
                export = scope.value(node["Export"]["Name"]) if "Export" in node else None
                outputs.append(Output(key, str(value), node.get("Description"), export))
        return outputs

    def _env(self, desired: Desired | None, scope: Scope | None, name: str, node: Mapping[str, Any]) -> Env:
        policy = scope.value(node.get("UpdatePolicy") or {}) if scope is not None else {}
        tags = dict(desired.tags) if desired is not None else {}
        back = self.stack.status.startswith("UPDATE_ROLLBACK")
        stack = self.stack
        return Env(self.world.context, self.world.region, stack.name, stack.id, tags, name, policy, back)

    def _event(self, resource: Resource, status: str, reason: str | None = None) -> None:
        self.stack.event(resource.logical_id, resource.physical_id, resource.type, status, reason)


def begin(stack: Stack, status: str, token: str | None, reason: str | None = "User Initiated") -> None:
    """Start an operation: a new id for its events, and the state that says that it runs."""
    stack.operation_id, stack.token = str(uuid.uuid4()), token
    stack.set(status, reason)


@contextmanager
def _validated(name: str) -> Iterator[None]:
    """Let a resource fail when its handler meets a missing property, or one that is no number."""
    try:
        yield
    except (KeyError, ValueError) as error:
        found = f"required key [{error.args[0]}] not found" if isinstance(error, KeyError) else str(error)
        raise ResourceFailure(
            f"Properties validation failed for resource {name} with message:\n#: {found}"
        ) from error


def _dynamic_texts(node: Value) -> list[str]:
    """Return every text below ``node`` that has a dynamic reference."""
    if isinstance(node, str):
        return [match[0] for match in DYNAMIC.finditer(node)]
    parts = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else []
    return [text for part in parts for text in _dynamic_texts(part)]


def _summary(error: Exception, verb: str) -> str:
    if type(error) is ResourceFailure and error.__cause__ is not None:
        return f"The following resource(s) failed to {verb}: [{error}]. "
    return str(error)
