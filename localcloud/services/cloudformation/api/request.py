"""What all actions share: the request's region, template, parameters and tags; errors in AWS's form."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.cloudformation.exceptions import CloudFormationError
from moto.cloudformation.utils import get_stack_from_s3_url
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.s3.exceptions import S3ClientError

from localcloud.core.context import CloudContext
from localcloud.services.cloudformation.engine.model import Desired, Stack
from localcloud.services.cloudformation.engine.stacks import Region
from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.template.checks import transforms

IAM_TYPES = ("AWS::IAM::",)
# Bytes of a template in a request and at an S3 address: "AWS CloudFormation quotas".
LONGEST_BODY = 51_200
LONGEST_OBJECT = 1_000_000


def action(method: Callable[[Any], dict[str, Any] | None]) -> Callable[[Any], ActionResult]:
    """Make a method an action: our errors become AWS's answers, mappings are serialized."""

    @wraps(method)
    def answer(self: StackRequest) -> ActionResult:
        try:
            result = method(self)
        except CfnError as error:
            raise CloudFormationError(error.code, error.message) from error
        except ResourceFailure as error:
            raise CloudFormationError("ValidationError", str(error)) from error
        return EmptyResult() if result is None else ActionResult(result)

    return answer


class StackRequest(BaseResponse):  # type: ignore[misc]  # moto is untyped
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

    def stack(self, *, deleted: bool = False) -> Stack:
        """Return the stack that the request names; raises CfnError."""
        return self.here.find(self._get_param("StackName") or "", deleted=deleted)

    def tags(self, stack: Stack | None) -> dict[str, str]:
        """Return the stack's tags as requested; without a word about them they stay."""
        tags = self._get_param("Tags")
        if tags is None:
            return dict(stack.desired.tags) if stack is not None and stack.desired is not None else {}
        return {tag["Key"]: tag["Value"] for tag in tags}

    def text(self, stack: Stack | None) -> str:
        """Return the template: given, at an S3 address, or the previous one."""
        body, url = self._get_param("TemplateBody"), self._get_param("TemplateURL")
        if self._get_bool_param("UsePreviousTemplate", False):
            if body or url:
                raise CfnError("You cannot specify both usePreviousTemplate and Template Body/Template URL.")
            if stack is None or stack.desired is None:
                raise CfnError("Cannot use the previous template of a stack that has none.")
            return stack.desired.text
        if url:
            if body:
                raise CfnError("Cannot specify both TemplateBody and TemplateURL.")
            try:
                text = str(
                    get_stack_from_s3_url(url, account_id=self.current_account, partition=self.partition)
                )
            except (S3ClientError, KeyError, AttributeError) as error:
                raise CfnError(f"S3 error: Access Denied: {url}") from error
            if len(text.encode()) > LONGEST_OBJECT:
                raise CfnError(f"Template may not exceed {LONGEST_OBJECT} bytes in size.")
            return text
        if not body:
            raise CfnError("Either Template URL or Template Body must be specified.")
        if len(str(body).encode()) > LONGEST_BODY:
            raise CfnError(
                f"1 validation error detected: Value '{str(body)[:60]}…' at 'templateBody' failed to "
                "satisfy constraint: "
                f"Member must have length less than or equal to {LONGEST_BODY}"
            )
        return str(body)

    def desired(self, stack: Stack | None) -> Desired:
        """Return what the request wants the stack to be, checked; raises CfnError."""
        desired = self.here.desired(
            self.text(stack), self._get_param("Parameters") or [], self.tags(stack), stack
        )
        self._check_capabilities(desired)
        return desired

    def _check_capabilities(self, desired: Desired) -> None:
        given = set(self._get_param("Capabilities") or [])
        if transforms(desired.template) and "CAPABILITY_AUTO_EXPAND" not in given:
            raise CfnError(
                "Requires capabilities : [CAPABILITY_AUTO_EXPAND]", "InsufficientCapabilitiesException"
            )
        iam = [n for n in desired.template["Resources"].values() if n["Type"].startswith(IAM_TYPES)]
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
