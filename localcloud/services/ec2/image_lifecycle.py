"""The end of an AMI's life: deprecated, disabled, protected; and who still gets to see it.

Source: EC2 API reference, EnableImageDeprecation, DisableImage, EnableImageDeregistrationProtection,
DescribeImages ("IncludeDisabled", default: no). moto shows disabled AMIs to everybody, and knows neither
deprecation nor protection.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.responses.amis import AmisResponse

from localcloud.core.moto_types import Ec2Backend, Ec2Handler, Image
from localcloud.core.patching import Patches

# "You can't specify a date in the past", and at most ten years ahead.
LATEST = timedelta(days=3653)


def install(patches: Patches) -> None:
    """Add the operations that moto lacks, and their effects to those that it has."""
    patches.add(
        AmisResponse,
        enable_image_deprecation=_enable_deprecation,
        disable_image_deprecation=_disable_deprecation,
        enable_image_deregistration_protection=_protect,
        disable_image_deregistration_protection=_unprotect,
    )
    patches.replace(AmisResponse, "describe_images", _without_disabled)
    patches.replace(EC2Backend, "deregister_image", _unless_protected)


def _without_disabled(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
    def describe_images(handler: Ec2Handler) -> ActionResult:
        """DescribeImages without disabled AMIs, unless they are asked for.

        An owner sees deprecated ones in any case.
        """
        answer = original(handler)
        if not handler._get_bool_param("IncludeDisabled", False):
            images = answer.result["Images"]
            answer.result["Images"] = [image for image in images if image.state != "disabled"]
        return answer

    return describe_images


def _image(handler: Ec2Handler) -> Image:
    handler.error_on_dryrun()
    return handler.ec2_backend.describe_images(ami_ids=[handler._get_param("ImageId")])[0]


def _enable_deprecation(handler: Ec2Handler) -> ActionResult:
    image, at = _image(handler), handler._get_param("DeprecateAt")
    when = at if isinstance(at, datetime) else datetime.fromisoformat(str(at).replace("Z", "+00:00"))
    now = datetime.now(UTC)
    if not now - timedelta(minutes=1) < when.astimezone(UTC) <= now + LATEST:
        raise EC2ClientError(
            "InvalidParameterValue", "DeprecateAt must be in the future, and at most ten years ahead"
        )
    image.deprecation_time = when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:00.000Z")
    return ActionResult({"Return": True})


def _disable_deprecation(handler: Ec2Handler) -> ActionResult:
    _image(handler).deprecation_time = None
    return ActionResult({"Return": True})


def _protect(handler: Ec2Handler) -> ActionResult:
    _image(handler).deregistration_protection = "enabled-without-cooldown"
    return ActionResult({"Return": "true"})


def _unprotect(handler: Ec2Handler) -> ActionResult:
    _image(handler).deregistration_protection = "disabled"
    return ActionResult({"Return": "true"})


def _unless_protected(original: Callable[[Ec2Backend, str], None]) -> Callable[[Ec2Backend, str], None]:
    def deregister_image(backend: Ec2Backend, ami_id: str) -> None:
        image = backend.amis.get(ami_id)
        if str(getattr(image, "deregistration_protection", "disabled")).startswith("enabled"):
            raise EC2ClientError(
                "OperationNotPermitted", f"The AMI {ami_id} is protected from deregistration"
            )
        original(backend, ami_id)

    return deregister_image
