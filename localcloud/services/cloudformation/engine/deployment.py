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
from localcloud.services.cloudformation.engine import exports
from localcloud.services.cloudformation.engine.model import Desired, Output, Resource, Stack, Unfinished
from localcloud.services.cloudformation.engine.scope import World, scope_of
from localcloud.services.cloudformation.engine.signals import Waiting
from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.resources import ResourceType, type_of
from localcloud.services.cloudformation.resources.base import Env
from localcloud.services.cloudformation.template.creation_policy import policy_of
from localcloud.services.cloudformation.template.functions import Scope
from localcloud.services.cloudformation.template.references import DYNAMIC, in_order, resolve_dynamic


@dataclass
class Deployment:
    """A running operation. ``cleanup`` collects the resources to delete at its end."""

    world: World
    stack: Stack
    cleanup: list[Resource] = field(default_factory=list)
    before: dict[str, Resource] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)  # the exports that the operation has used

    # -- the operations

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
        stack.imports = frozenset(self.imports)
        stack.set("CREATE_COMPLETE")

    def update(self, desired: Desired, *, disable_rollback: bool = False) -> None:
        """Bring the stack to ``desired``; on failure go back to what it was."""
        stack, previous = self.stack, self.stack.desired
        assert previous is not None  # noqa: S101 - a stack that can be updated has been deployed
        self.before = dict(stack.resources)
        # An update that failed and was kept is gone on with: what it had replaced is still to be deleted.
        unfinished = stack.unfinished or Unfinished(previous, list(stack.outputs), stack.imports, [])
        stack.unfinished, stack.cancelled = None, False
        self.cleanup.extend(unfinished.replaced)
        try:
            self._apply(desired)
        except (ResourceFailure, CfnError, IngotError) as error:
            stack.unfinished = replace(unfinished, replaced=self.cleanup)
            if disable_rollback and not stack.cancelled:
                stack.set("UPDATE_FAILED", _summary(error, "update"))
                return
            self.roll_back("User Initiated" if stack.cancelled else _summary(error, "update"))
            return
        stack.desired, stack.imports = desired, frozenset(self.imports)
        stack.updated = datetime.now(UTC)
        stack.set("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up()
        stack.set("UPDATE_COMPLETE")

    def delete(
        self, reason: str | None = None, *, keep: frozenset[str] = frozenset(), force: bool = False
    ) -> None:
        """Delete the stack's resources, but those with DeletionPolicy Retain.

        ``keep``: resources that stay (RetainResources). ``force``: those that cannot be deleted stay, and the
        stack is deleted all the same (FORCE_DELETE_STACK).
        """
        stack = self.stack
        stack.set("DELETE_IN_PROGRESS", reason)
        used = exports.in_use(stack.outputs, self.world)
        if used:
            name, users = used[0]
            stack.set(
                "DELETE_FAILED", f"Delete canceled. Cannot delete export {name} as it is in use by {users}."
            )
            return
        for name in sorted(keep & stack.resources.keys()):
            self._event(stack.resources.pop(name), "DELETE_SKIPPED")
        gone = self._delete_all(retain=True)
        if not gone and force:
            for name in list(stack.resources):
                self._event(stack.resources.pop(name), "DELETE_SKIPPED")
        if gone or force:
            stack.deleted = datetime.now(UTC)
            stack.outputs, stack.imports, stack.unfinished = [], frozenset(), None
            stack.set("DELETE_COMPLETE")
            return
        failed = ", ".join(name for name, r in stack.resources.items() if r.status == "DELETE_FAILED")
        stack.set("DELETE_FAILED", f"The following resource(s) failed to delete: [{failed}].")

    def undo_creation(self) -> None:
        """Delete what a failed creation without roll-back left (RollbackStack)."""
        self.stack.set("ROLLBACK_IN_PROGRESS", "User Initiated")
        gone = self._delete_all(retain=False)
        self.stack.outputs = []
        self.stack.set("ROLLBACK_COMPLETE" if gone else "ROLLBACK_FAILED")

    def take_in(self, desired: Desired, identifiers: Mapping[str, str]) -> None:
        """Import resources that exist: ``identifiers`` has the identifier of each, by logical id."""
        stack = self.stack
        before, previous = dict(stack.resources), stack.desired
        stack.desired = desired
        try:
            scope = self.scope(desired)
            for name in in_order({name: desired.template["Resources"][name] for name in identifiers}):
                self._import_one(scope, name, desired.template["Resources"][name], identifiers[name])
        except (ResourceFailure, CfnError, IngotError) as error:
            stack.set("IMPORT_ROLLBACK_IN_PROGRESS", _summary(error, "import"))
            stack.resources, stack.desired = before, previous
            stack.set("IMPORT_ROLLBACK_COMPLETE")
            return
        stack.imports |= self.imports
        stack.updated = datetime.now(UTC)
        stack.set("IMPORT_COMPLETE")

    def _import_one(self, scope: Scope, name: str, node: Mapping[str, Any], identifier: str) -> None:
        kind = type_of(node["Type"])
        assert kind.lookup is not None  # noqa: S101 - the change set was refused otherwise
        self.stack.event(name, identifier, node["Type"], "IMPORT_IN_PROGRESS", "Resource import started.")
        properties = scope.value(node.get("Properties") or {})
        resolved = resolve_dynamic(properties, self.world.lookups)
        attributes = kind.lookup.read(self.world.env(self.stack), identifier)
        if attributes is None:
            why = f"Resource of type '{node['Type']}' with identifier '{identifier}' was not found."
            self.stack.event(name, identifier, node["Type"], "IMPORT_FAILED", why)
            raise ResourceFailure(name) from ResourceFailure(why)
        resource = Resource(name, node["Type"], identifier, properties, resolved, attributes, node)
        resource.status = "IMPORT_COMPLETE"
        self.stack.resources[name] = resource
        self._event(resource, "IMPORT_COMPLETE", "Resource import completed.")

    # -- forward

    def _apply(self, desired: Desired, skip: frozenset[str] = frozenset()) -> None:
        scope = self.scope(desired)
        self.imports.clear()
        nodes = {name: node for name, node in desired.template["Resources"].items() if scope.present(node)}
        self._check_dynamic(nodes)
        for name in in_order(nodes):
            if self.stack.cancelled and self.stack.status == "UPDATE_IN_PROGRESS":
                raise CfnError("Resource update cancelled")
            if name in skip and name in self.stack.resources:
                self._skip(self.stack.resources[name])
            else:
                self._apply_one(desired, scope, name, nodes[name])
        self.cleanup.extend(
            self.stack.resources.pop(name) for name in list(self.stack.resources) if name not in nodes
        )
        outputs = self._outputs(desired, scope)
        if self.stack.status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
            exports.check(self.stack, outputs, self.world)
        self.stack.outputs = outputs

    def _skip(self, resource: Resource) -> None:
        """Take a resource that cannot be rolled back as it is (ResourcesToSkip)."""
        resource.status, resource.reason, resource.dirty = "UPDATE_COMPLETE", None, False
        self._event(resource, "UPDATE_COMPLETE")

    def _check_dynamic(self, nodes: Mapping[str, Any]) -> None:
        """Look up every literal reference to a parameter before anything is created.

        A missing one must leave no trace. Secrets are looked up when their turn comes: the stack may make
        them.
        """
        lookups = {**self.world.lookups, "secretsmanager": lambda reference: reference}
        for name, node in nodes.items():
            known = self.stack.resources.get(name)
            if known is None or known.node != node:
                resolve_dynamic(_dynamic_texts(node.get("Properties")), lookups)

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
        policy = policy_of(env.creation_policy)
        if policy is not None:
            # Before the resource exists: its instances may signal before the call that makes it returns.
            self.stack.waiting[name] = Waiting(name, policy)
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
                if kind.lookup is not None:
                    kind.lookup.refuse_existing(env, type_name, resolved)
                result = kind.create(replace(env, exists=exists), resolved)
            if not created:
                exists(result.physical_id)
            if name in self.stack.waiting:
                self.stack.waiting[name].wait()
        except (ResourceFailure, CfnError, IngotError) as error:
            for resource in created:
                resource.status, resource.reason = "CREATE_FAILED", str(error)
            physical_id = created[0].physical_id if created else ""
            self.stack.event(name, physical_id, type_name, f"{status}_FAILED", str(error))
            raise ResourceFailure(name) from error
        finally:
            self.stack.waiting.pop(name, None)
        created[0].attributes, created[0].status = result.attributes, f"{status}_COMPLETE"
        self._event(created[0], f"{status}_COMPLETE")

    def _resolved(self, env: Env, type_name: str, properties: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the properties as the type's handler gets them.

        Raises ResourceFailure for what does not fit its schema.
        """
        from localcloud.services.cloudformation.template.properties import (
            check,  # a cloud is up sooner than its schemas are read
        )

        resolved: Mapping[str, Any] = resolve_dynamic(properties, self.world.lookups)
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

    def roll_back(self, reason: str, skip: frozenset[str] = frozenset()) -> None:
        """Go back to the state before the update; ``skip``: resources that stay as they are."""
        stack, unfinished = self.stack, self.stack.unfinished
        assert unfinished is not None  # noqa: S101 - there is an update to undo
        stack.set("UPDATE_ROLLBACK_IN_PROGRESS", reason)
        # Replaced and removed resources are all still there: take the old ones back and let the new ones go.
        self.cleanup = []
        for old in unfinished.replaced:
            new = stack.resources.get(old.logical_id)
            stack.resources[old.logical_id] = old
            if new is not None:
                self.cleanup.append(new)
        stack.unfinished = replace(unfinished, replaced=[])
        try:
            self._apply(unfinished.previous, skip)
        except (ResourceFailure, CfnError, IngotError) as error:
            stack.unfinished = replace(
                unfinished, replaced=[], leftover=[*unfinished.leftover, *self.cleanup]
            )
            stack.set("UPDATE_ROLLBACK_FAILED", _summary(error, "update"))
            return
        self.cleanup.extend(unfinished.leftover)
        stack.outputs, stack.imports, stack.unfinished = unfinished.outputs, unfinished.imports, None
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
        """Return the scope of the stack's template; it notes what the stack imports."""

        def imported(name: str) -> Value:
            # At once, so that the export is protected while the operation runs.
            self.imports.add(name)
            self.stack.imports |= {name}
            return self.world.exported(name)

        return replace(scope_of(self.stack, desired, self.world), imports=imported)

    def _outputs(self, desired: Desired, scope: Scope) -> list[Output]:
        outputs = []
        for key, node in (desired.template.get("Outputs") or {}).items():
            if scope.present(node):
                # No secret: outputs are shown to whoever may describe the stack.
                value = resolve_dynamic(scope.value(node["Value"]), {"ssm": self.world.parameter})
                export = scope.value(node["Export"]["Name"]) if "Export" in node else None
                outputs.append(Output(key, str(value), node.get("Description"), export))
        return outputs

    def _env(self, desired: Desired | None, scope: Scope | None, name: str, node: Mapping[str, Any]) -> Env:
        update, creation = (
            scope.value(node.get(policy) or {}) if scope is not None else {}
            for policy in ("UpdatePolicy", "CreationPolicy")
        )
        tags = dict(desired.tags) if desired is not None else {}
        back = self.stack.status.startswith("UPDATE_ROLLBACK")
        stack = self.stack
        env = Env(self.world.context, self.world.region, stack.name, stack.id, tags, name)
        return replace(env, update_policy=update, creation_policy=creation, rolling_back=back)

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
