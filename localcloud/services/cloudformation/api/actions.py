"""CloudFormation's actions in moto's request and response machinery (it follows botocore's models)."""

from __future__ import annotations

import re
from typing import Any

from moto.cloudformation import urls

from localcloud.core.context import CloudContext
from localcloud.core.patching import Patches
from localcloud.services.cloudformation.api import views
from localcloud.services.cloudformation.api.request import StackRequest, action
from localcloud.services.cloudformation.engine.drift import check_state
from localcloud.services.cloudformation.engine.imports import identifiers
from localcloud.services.cloudformation.engine.model import Desired
from localcloud.services.cloudformation.errors import CfnError


class Api(StackRequest):
    """One request."""

    # -- stacks

    @action
    def create_stack(self) -> dict[str, Any]:
        """Create a stack."""
        name = self._get_param("StackName")
        if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
            raise CfnError(
                f"Value '{name}' at 'stackName' failed to satisfy constraint: [a-zA-Z][-a-zA-Z0-9]*"
            )
        given, disable = self._get_param("OnFailure"), self._get_param("DisableRollback")
        if given is not None and disable is not None:
            raise CfnError("You can specify either DisableRollback or OnFailure, but not both.")
        if given not in (None, "ROLLBACK", "DELETE", "DO_NOTHING"):
            raise CfnError(
                f"1 validation error detected: Value '{given}' at 'onFailure' failed to satisfy "
                "constraint: Member "
                "must satisfy enum value set: [ROLLBACK, DELETE, DO_NOTHING]"
            )
        on_failure = given or "ROLLBACK"
        if self._get_bool_param("DisableRollback", False):
            on_failure = "DO_NOTHING"
        desired = self.desired(None)
        stack = self.here.create(
            name, desired, token=self._get_param("ClientRequestToken"), on_failure=on_failure
        )
        stack.disable_rollback = on_failure == "DO_NOTHING"
        stack.capabilities = tuple(self._get_param("Capabilities") or ())
        stack.role_arn = self._get_param("RoleARN")
        stack.termination_protection = bool(self._get_bool_param("EnableTerminationProtection", False))
        stack.policy = self._get_param("StackPolicyBody")
        return {"StackId": stack.id}

    @action
    def update_stack(self) -> dict[str, Any]:
        """Update a stack."""
        stack = self.stack()
        desired = self.desired(stack)
        disable = bool(self._get_bool_param("DisableRollback", False))
        self.here.update(
            stack, desired, token=self._get_param("ClientRequestToken"), disable_rollback=disable
        )
        stack.role_arn = self._get_param("RoleARN") or stack.role_arn
        return {"StackId": stack.id}

    @action
    def delete_stack(self) -> None:
        """Delete a stack; one that does not exist is deleted already."""
        try:
            stack = self.stack()
        except CfnError:
            return
        self.here.delete(
            stack,
            self._get_param("ClientRequestToken"),
            keep=frozenset(self._get_param("RetainResources") or ()),
            force=self._get_param("DeletionMode") == "FORCE_DELETE_STACK",
        )

    @action
    def cancel_update_stack(self) -> None:
        """Let a running update roll back."""
        self.here.cancel_update(self.stack())

    @action
    def continue_update_rollback(self) -> dict[str, Any]:
        """Go on with a roll-back that failed."""
        skip = frozenset(self._get_param("ResourcesToSkip") or ())
        self.here.continue_rollback(self.stack(), skip, self._get_param("ClientRequestToken"))
        return {}

    @action
    def rollback_stack(self) -> dict[str, Any]:
        """Undo an operation that failed without roll-back."""
        stack = self.stack()
        self.here.rollback(stack, self._get_param("ClientRequestToken"))
        return {"StackId": stack.id}

    @action
    def signal_resource(self) -> None:
        """Signal a resource that waits because of its creation policy."""
        status = self._get_param("Status")
        if status not in ("FAILURE", "SUCCESS"):
            raise CfnError(
                f"1 validation error detected: Value '{status}' at 'status' failed to satisfy constraint: "
                "Member must satisfy enum value set: [FAILURE, SUCCESS]"
            )
        name, unique_id = self._get_param("LogicalResourceId"), self._get_param("UniqueId")
        self.here.signal(self.stack(), name, unique_id, status)

    # -- drift

    @action
    def detect_stack_drift(self) -> dict[str, Any]:
        """Begin to compare a stack's resources with what they should be."""
        names = list(self._get_param("LogicalResourceIds") or [])
        return {"StackDriftDetectionId": self.here.drifts.start(self.here.world(), self.stack(), names).id}

    @action
    def describe_stack_drift_detection_status(self) -> dict[str, Any]:
        """Return how far a detection is."""
        known = self.here.drifts.detections.get(self._get_param("StackDriftDetectionId"))
        if known is None:
            raise CfnError(f"DetectionId [{self._get_param('StackDriftDetectionId')}] does not exist")
        return views.detection(known, self.here.drifts)

    @action
    def describe_stack_resource_drifts(self) -> dict[str, Any]:
        """Return what was found of each resource that was looked at."""
        stack, wanted = self.stack(), self._get_param("StackResourceDriftStatusFilters")
        drifts = self.here.drifts.of(stack).values()
        return {
            "StackResourceDrifts": [
                views.resource_drift(stack, drift) for drift in drifts if not wanted or drift.status in wanted
            ]
        }

    @action
    def detect_stack_resource_drift(self) -> dict[str, Any]:
        """Compare one resource with what it should be."""
        stack, name = self.stack(), self._get_param("LogicalResourceId")
        check_state(stack)
        if name not in stack.resources:
            raise CfnError(f"Resource {name} does not exist for stack {stack.name}")
        drift = self.here.drifts.look(self.here.world(), stack, stack.resources[name])
        return {"StackResourceDrift": views.resource_drift(stack, drift)}

    @action
    def list_imports(self) -> dict[str, Any]:
        """List the stacks that use an export."""
        name = self._get_param("ExportName")
        users = self.here.importers(name)
        if not users:
            raise CfnError(f"Export '{name}' is not imported by any stack.")
        return {"Imports": users}

    @action
    def describe_stacks(self) -> dict[str, Any]:
        """Describe one stack or all."""
        name = self._get_param("StackName")
        stacks = [self.stack(deleted=True)] if name else list(self.here.stacks.values())
        return {
            "Stacks": [
                views.stack(s, self.here.drifts) for s in stacks if name or s.status != "DELETE_COMPLETE"
            ]
        }

    @action
    def list_stacks(self) -> dict[str, Any]:
        """List stacks, the deleted ones too."""
        wanted = self._get_param("StackStatusFilter")
        found = [s for s in self.here.stacks.values() if not wanted or s.status in wanted]
        return {"StackSummaries": [views.stack(s, self.here.drifts) for s in reversed(found)]}

    @action
    def describe_stack_events(self) -> dict[str, Any]:
        """Return a stack's events, the newest first."""
        stack = self.stack(deleted=True)
        return {"StackEvents": [views.event(stack, e) for e in reversed(list(stack.events))]}

    @action
    def describe_events(self) -> dict[str, Any]:
        """Return the events of operations (the newer form of DescribeStackEvents)."""
        if self._get_param("ChangeSetName"):
            stack = self.here.find_change_set(
                self._get_param("ChangeSetName"), self._get_param("StackName")
            ).stack
            return {"OperationEvents": []}  # change sets are made in one step and have no events of their own
        stack = self.stack(deleted=True)
        failed = str((self._get_param("Filters") or {}).get("FailedEvents", "")).lower() == "true"
        operation = self._get_param("OperationId")
        events = [e for e in stack.events if not failed or e.status.endswith("_FAILED")]
        return {
            "OperationEvents": [
                views.event(stack, e) | {"EventType": "STACK_EVENT"}
                for e in reversed(events)
                if operation in (None, e.operation_id)
            ]
        }

    @action
    def describe_stack_resources(self) -> dict[str, Any]:
        """Describe resources of a stack, or of the stack that has a physical id."""
        physical_id, logical_id = self._get_param("PhysicalResourceId"), self._get_param("LogicalResourceId")
        if physical_id and not self._get_param("StackName"):
            owners = [
                s
                for s in self.here.stacks.values()
                if any(r.physical_id == physical_id for r in s.resources.values())
            ]
            if not owners:
                raise CfnError(f"Stack for {physical_id} does not exist")
            stack = owners[0]
        else:
            stack = self.stack(deleted=True)
        found = [
            r
            for r in list(stack.resources.values())
            if logical_id in (None, r.logical_id) and physical_id in (None, r.physical_id)
        ]
        return {"StackResources": [views.resource(stack, r, self.here.drifts) for r in found]}

    @action
    def describe_stack_resource(self) -> dict[str, Any]:
        """Describe one resource."""
        stack, name = self.stack(deleted=True), self._get_param("LogicalResourceId")
        if name not in stack.resources:
            raise CfnError(f"Resource {name} does not exist for stack {stack.name}")
        return {"StackResourceDetail": views.resource(stack, stack.resources[name], self.here.drifts)}

    @action
    def list_stack_resources(self) -> dict[str, Any]:
        """List a stack's resources."""
        stack = self.stack(deleted=True)
        return {
            "StackResourceSummaries": [
                views.resource(stack, r, self.here.drifts) for r in list(stack.resources.values())
            ]
        }

    @action
    def list_exports(self) -> dict[str, Any]:
        """List the exports of all stacks."""
        return {
            "Exports": [
                {"ExportingStackId": s.id, "Name": o.export, "Value": o.value} for s, o in self.here.exports()
            ]
        }

    @action
    def update_termination_protection(self) -> dict[str, Any]:
        """Switch termination protection."""
        stack = self.stack()
        stack.termination_protection = bool(self._get_bool_param("EnableTerminationProtection", False))
        return {"StackId": stack.id}

    @action
    def get_stack_policy(self) -> dict[str, Any]:
        """Return the stack policy; it is stored, not enforced."""
        return {"StackPolicyBody": self.stack().policy}

    @action
    def set_stack_policy(self) -> None:
        """Store the stack policy."""
        self.stack().policy = self._get_param("StackPolicyBody")

    # -- templates

    @action
    def get_template(self) -> dict[str, Any]:
        """Return the template of a stack or of a change set, as it was given."""
        name = self._get_param("ChangeSetName")
        if name:
            desired: Desired | None = self.here.find_change_set(name, self._get_param("StackName")).desired
        else:
            desired = self.stack(deleted=True).desired
        return {
            "TemplateBody": desired.text if desired else "{}",
            "StagesAvailable": ["Original", "Processed"],
        }

    @action
    def get_template_summary(self) -> dict[str, Any]:
        """Describe a template."""
        stack = self.stack() if self._get_param("StackName") else None
        text = stack.desired.text if stack is not None and stack.desired else self.text(None)
        return views.summary(self.here.checked(text), self.region)

    @action
    def validate_template(self) -> dict[str, Any]:
        """Check that a template is one."""
        summary = views.summary(self.here.checked(self.text(None)), self.region)
        return {key: summary[key] for key in ("Parameters", "Description", "Capabilities",
        "DeclaredTransforms")
                if key in summary}  # fmt: skip

    # -- change sets

    @action
    def create_change_set(self) -> dict[str, Any]:
        """Create a change set, and the stack in review when it is a new one."""
        name, stack_name = self._get_param("ChangeSetName"), self._get_param("StackName")
        kind = self._get_param("ChangeSetType") or "UPDATE"
        if kind not in ("CREATE", "UPDATE", "IMPORT"):
            raise CfnError(
                f"1 validation error detected: Value '{kind}' at 'changeSetType' failed to satisfy "
                "constraint: "
                "Member must satisfy enum value set: [CREATE, UPDATE, IMPORT]"
            )
        given = self._get_param("ResourcesToImport") or []
        if given and kind != "IMPORT":
            raise CfnError("ResourcesToImport can only be specified for a change set of type IMPORT")
        imported = identifiers(given, self.region)
        change_set = self.here.create_change_set(name, stack_name, kind, self.desired, imported)
        change_set.capabilities = tuple(self._get_param("Capabilities") or ())
        change_set.role_arn = self._get_param("RoleARN")
        change_set.description = self._get_param("Description")
        change_set.on_failure = self._get_param("OnStackFailure")
        return {"Id": change_set.id, "StackId": change_set.stack.id}

    @action
    def describe_change_set(self) -> dict[str, Any]:
        """Describe a change set."""
        return views.change_set(
            self.here.find_change_set(self._get_param("ChangeSetName"), self._get_param("StackName"))
        )

    @action
    def list_change_sets(self) -> dict[str, Any]:
        """List a stack's change sets."""
        stack = self.stack()
        return {
            "Summaries": [views.change_set(c) for c in self.here.change_sets.values() if c.stack is stack]
        }

    @action
    def delete_change_set(self) -> None:
        """Delete a change set; one that does not exist is deleted already, when its stack exists."""
        name, stack_name = self._get_param("ChangeSetName"), self._get_param("StackName")
        try:
            change_set = self.here.find_change_set(name, stack_name)
        except CfnError:
            if stack_name:
                self.here.find(stack_name)
            return
        del self.here.change_sets[change_set.id]

    @action
    def execute_change_set(self) -> None:
        """Execute a change set."""
        change_set = self.here.find_change_set(self._get_param("ChangeSetName"), self._get_param("StackName"))
        self.here.execute(
            change_set,
            token=self._get_param("ClientRequestToken"),
            disable_rollback=bool(self._get_bool_param("DisableRollback", False)),
        )


def install(patches: Patches, context: CloudContext) -> None:
    """Answer CloudFormation's requests with ``Api``, which knows no stacks at first."""
    patches.add(Api, context=context, regions={})
    patches.set_item(urls.url_paths, "{0}/$", Api.dispatch)
