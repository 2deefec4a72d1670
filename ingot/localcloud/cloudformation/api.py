"""CloudFormation's actions, in moto's request and response machinery (which follows botocore's service model)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.cloudformation import urls
from moto.cloudformation.exceptions import CloudFormationError
from moto.cloudformation.utils import get_stack_from_s3_url
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.s3.exceptions import S3ClientError

from ingot.localcloud.cloudformation import views
from ingot.localcloud.cloudformation.errors import CfnError, ResourceFailure
from ingot.localcloud.cloudformation.model import Desired, Stack
from ingot.localcloud.cloudformation.stacks import Region
from ingot.localcloud.cloudformation.template import parse
from ingot.localcloud.context import CloudContext
from ingot.localcloud.moto_types import Value

IAM_TYPES = ("AWS::IAM::",)


def action(method: Callable[[Api], dict[str, Any] | None]) -> Callable[[Api], ActionResult]:
    """Make a method an action: our errors become AWS's answers, mappings are serialized."""

    @wraps(method)
    def answer(self: Api) -> ActionResult:
        try:
            result = method(self)
        except CfnError as error:
            raise CloudFormationError(error.code, error.message) from error
        except ResourceFailure as error:
            raise CloudFormationError("ValidationError", str(error)) from error
        return EmptyResult() if result is None else ActionResult(result)

    return answer


class Api(BaseResponse):  # type: ignore[misc]  # moto is untyped
    """One request."""

    regions: dict[str, Region]
    context: CloudContext

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True

    # -- what requests have in common

    @property
    def here(self) -> Region:
        """Return the stacks of the request's region."""
        return self.regions.setdefault(self.region, Region(self.context, self.region))

    def _stack(self, *, deleted: bool = False) -> Stack:
        return self.here.find(self._get_param("StackName") or "", deleted=deleted)

    def _tags(self, stack: Stack | None) -> dict[str, str]:
        tags = self._get_param("Tags")
        if tags is None:
            return dict(stack.desired.tags) if stack is not None and stack.desired is not None else {}
        return {tag["Key"]: tag["Value"] for tag in tags}

    def _text(self, stack: Stack | None) -> str:
        body, url = self._get_param("TemplateBody"), self._get_param("TemplateURL")
        if self._get_bool_param("UsePreviousTemplate", False):
            if body or url:
                raise CfnError("You cannot specify both usePreviousTemplate and Template Body/Template URL.")
            if stack is None or stack.desired is None:
                raise CfnError("Cannot use the previous template of a stack that has none.")
            return stack.desired.text
        if url:
            try:
                return str(
                    get_stack_from_s3_url(url, account_id=self.current_account, partition=self.partition)
                )
            except (S3ClientError, KeyError, AttributeError) as error:
                raise CfnError(f"S3 error: Access Denied: {url}") from error
        if not body:
            raise CfnError("Either Template URL or Template Body must be specified.")
        return str(body)

    def _desired(self, stack: Stack | None) -> Desired:
        desired = self.here.desired(
            self._text(stack), self._get_param("Parameters") or [], self._tags(stack), stack
        )
        self._check_capabilities(desired)
        return desired

    def _check_capabilities(self, desired: Desired) -> None:
        iam = [n for n in desired.template["Resources"].values() if n["Type"].startswith(IAM_TYPES)]
        given = set(self._get_param("Capabilities") or [])
        if not iam or "CAPABILITY_NAMED_IAM" in given:
            return
        names = {
            "RoleName",
            "PolicyName",
            "ManagedPolicyName",
            "InstanceProfileName",
            "GroupName",
            "UserName",
        }
        named = any(
            names & (n.get("Properties") or {}).keys() for n in iam if n["Type"] != "AWS::IAM::Policy"
        )
        if named or "CAPABILITY_IAM" not in given:
            needed = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
            raise CfnError(f"Requires capabilities : [{needed}]", "InsufficientCapabilitiesException")

    # -- stacks

    @action
    def create_stack(self) -> dict[str, Any]:
        """Create a stack."""
        name = self._get_param("StackName")
        if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
            raise CfnError(
                f"Value '{name}' at 'stackName' failed to satisfy constraint: [a-zA-Z][-a-zA-Z0-9]*"
            )
        on_failure = self._get_param("OnFailure") or "ROLLBACK"
        if self._get_bool_param("DisableRollback", False):
            on_failure = "DO_NOTHING"
        desired = self._desired(None)
        stack = self.here.create(
            name, desired, token=self._get_param("ClientRequestToken"), on_failure=on_failure
        )
        stack.capabilities = tuple(self._get_param("Capabilities") or ())
        stack.role_arn = self._get_param("RoleARN")
        stack.termination_protection = bool(self._get_bool_param("EnableTerminationProtection", False))
        stack.policy = self._get_param("StackPolicyBody")
        return {"StackId": stack.id}

    @action
    def update_stack(self) -> dict[str, Any]:
        """Update a stack."""
        stack = self._stack()
        desired = self._desired(stack)
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
            stack = self._stack()
        except CfnError:
            return
        self.here.delete(stack, self._get_param("ClientRequestToken"))

    @action
    def describe_stacks(self) -> dict[str, Any]:
        """Describe one stack or all."""
        name = self._get_param("StackName")
        stacks = [self._stack(deleted=True)] if name else list(self.here.stacks.values())
        return {"Stacks": [views.stack(s) for s in stacks if name or s.status != "DELETE_COMPLETE"]}

    @action
    def list_stacks(self) -> dict[str, Any]:
        """List stacks, the deleted ones too."""
        wanted = self._get_param("StackStatusFilter")
        found = [s for s in self.here.stacks.values() if not wanted or s.status in wanted]
        return {"StackSummaries": [views.stack(s) for s in reversed(found)]}

    @action
    def describe_stack_events(self) -> dict[str, Any]:
        """Return a stack's events, the newest first."""
        stack = self._stack(deleted=True)
        return {"StackEvents": [views.event(stack, e) for e in reversed(list(stack.events))]}

    @action
    def describe_events(self) -> dict[str, Any]:
        """Return the events of operations (the newer form of DescribeStackEvents)."""
        if self._get_param("ChangeSetName"):
            stack = self.here.find_change_set(
                self._get_param("ChangeSetName"), self._get_param("StackName")
            ).stack
            return {"OperationEvents": []}  # change sets are made in one step and have no events of their own
        stack = self._stack(deleted=True)
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
            stack = self._stack(deleted=True)
        found = [
            r
            for r in list(stack.resources.values())
            if logical_id in (None, r.logical_id) and physical_id in (None, r.physical_id)
        ]
        return {"StackResources": [views.resource(stack, r) for r in found]}

    @action
    def describe_stack_resource(self) -> dict[str, Any]:
        """Describe one resource."""
        stack, name = self._stack(deleted=True), self._get_param("LogicalResourceId")
        if name not in stack.resources:
            raise CfnError(f"Resource {name} does not exist for stack {stack.name}")
        return {"StackResourceDetail": views.resource(stack, stack.resources[name])}

    @action
    def list_stack_resources(self) -> dict[str, Any]:
        """List a stack's resources."""
        stack = self._stack(deleted=True)
        return {"StackResourceSummaries": [views.resource(stack, r) for r in list(stack.resources.values())]}

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
        stack = self._stack()
        stack.termination_protection = bool(self._get_bool_param("EnableTerminationProtection", False))
        return {"StackId": stack.id}

    @action
    def get_stack_policy(self) -> dict[str, Any]:
        """Return the stack policy; it is stored, not enforced."""
        return {"StackPolicyBody": self._stack().policy}

    @action
    def set_stack_policy(self) -> None:
        """Store the stack policy."""
        self._stack().policy = self._get_param("StackPolicyBody")

    # -- templates

    @action
    def get_template(self) -> dict[str, Any]:
        """Return the template of a stack or of a change set, as it was given."""
        name = self._get_param("ChangeSetName")
        if name:
            desired: Desired | None = self.here.find_change_set(name, self._get_param("StackName")).desired
        else:
            desired = self._stack(deleted=True).desired
        return {
            "TemplateBody": desired.text if desired else "{}",
            "StagesAvailable": ["Original", "Processed"],
        }

    @action
    def get_template_summary(self) -> dict[str, Any]:
        """Describe a template."""
        stack = self._stack() if self._get_param("StackName") else None
        return views.summary(
            parse(stack.desired.text if stack is not None and stack.desired else self._text(None))
        )

    @action
    def validate_template(self) -> dict[str, Any]:
        """Check that a template is one."""
        return views.summary(parse(self._text(None)))

    # -- change sets

    @action
    def create_change_set(self) -> dict[str, Any]:
        """Create a change set, and the stack in review when it is a new one."""
        name, stack_name = self._get_param("ChangeSetName"), self._get_param("StackName")
        kind = self._get_param("ChangeSetType") or "UPDATE"
        if kind not in ("CREATE", "UPDATE"):
            raise CfnError(f"The local cloud does not support change sets of type {kind}")
        change_set = self.here.create_change_set(name, stack_name, kind, self._desired)
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
        stack = self._stack()
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


def install(context: CloudContext) -> None:
    """Answer CloudFormation's requests with ``Api``; stacks of an earlier cloud in this process are forgotten."""
    Api.context, Api.regions = context, {}
    paths: dict[str, Value] = urls.url_paths
    paths["{0}/$"] = Api.dispatch
