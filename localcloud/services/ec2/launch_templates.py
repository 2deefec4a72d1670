"""Launch templates as EC2 lists them: in pages, with all versions and today's tags.

Versions can be deleted.

moto shows the first 15 and says nothing of the rest. Source: EC2 API reference, DescribeLaunchTemplates,
DescribeLaunchTemplateVersions, DeleteLaunchTemplateVersions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidLaunchTemplateVersionNotFound
from moto.ec2.models.launch_templates import LaunchTemplate as MotoTemplate
from moto.ec2.responses.launch_templates import LaunchTemplates

from localcloud.core.moto_types import (
    Ec2Handler,
    LaunchTemplate,
    LaunchTemplateVersion,
)
from localcloud.core.patching import Patches

PAGE = 200  # the most that MaxResults may ask for


def install(patches: Patches) -> None:
    """Put these operations in the place of moto's."""
    patches.replace(MotoTemplate, "get_version", _without_deleted)
    patches.add(
        LaunchTemplates,
        describe_launch_templates=_describe_templates,
        describe_launch_template_versions=_describe_versions,
        delete_launch_template_versions=_delete_versions,
    )


def _page(handler: Ec2Handler, found: list[Any]) -> tuple[list[Any], str | None]:
    """Return the page that the request asks for, and the token of the next one."""
    start = int(handler._get_param("NextToken") or 0)
    size = handler._get_int_param("MaxResults", PAGE)
    if not 1 <= size <= PAGE:
        raise EC2ClientError("InvalidParameterValue", f"MaxResults must be between 1 and {PAGE}")
    end = start + size
    return found[start:end], str(end) if end < len(found) else None


def _result(key: str, items: list[dict[str, Any]], token: str | None) -> ActionResult:
    return ActionResult({key: items} | ({"NextToken": token} if token else {}))


def _describe_templates(handler: Ec2Handler) -> ActionResult:
    handler.error_on_dryrun()
    found = handler.ec2_backend.describe_launch_templates(
        template_names=handler._get_param("LaunchTemplateNames", []),
        template_ids=handler._get_param("LaunchTemplateIds", []),
        filters=handler._filters_from_querystring(),
    )
    page, token = _page(handler, found)
    items = [
        {
            "CreateTime": template.create_time,
            "CreatedBy": f"arn:aws:iam::{handler.current_account}:root",
            "DefaultVersionNumber": template.default_version_number,
            "LatestVersionNumber": template.latest_version_number,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Tags": template.get_tags(),
        }
        for template in page
    ]
    return _result("LaunchTemplates", items, token)


def _describe_versions(handler: Ec2Handler) -> ActionResult:
    handler.error_on_dryrun()
    found = handler.ec2_backend.describe_launch_template_versions(
        template_name=handler._get_param("LaunchTemplateName"),
        template_id=handler._get_param("LaunchTemplateId"),
        versions=handler._get_param("Versions", []),
        min_version=handler._get_int_param("MinVersion"),
        max_version=handler._get_int_param("MaxVersion"),
        max_results=1 << 30,
    )
    page, token = _page(handler, [pair for pair in found if not _is_deleted(pair[1])])
    items = [
        {
            "CreateTime": version.create_time,
            "CreatedBy": f"arn:aws:iam::{handler.current_account}:root",
            "DefaultVersion": template.is_default(version),
            "LaunchTemplateData": version.data,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionDescription": version.description,
            "VersionNumber": version.number,
        }
        for template, version in page
    ]
    return _result("LaunchTemplateVersions", items, token)


def _delete_versions(handler: Ec2Handler) -> ActionResult:
    """Delete versions but the default one. moto finds a version by its place.

    A deleted one keeps it, and is hidden.
    """
    handler.error_on_dryrun()
    backend, template_id = handler.ec2_backend, handler._get_param("LaunchTemplateId")
    template = (
        backend.get_launch_template(template_id)
        if template_id
        else backend.get_launch_template_by_name(handler._get_param("LaunchTemplateName"))
    )
    done, failed = [], []
    for number in handler._get_param("Versions", []):
        entry = {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionNumber": int(number),
        }
        problem = _undeletable(template, int(number))
        if problem is None:
            template.versions[int(number) - 1].ingot_deleted = True
            done.append(entry)
        else:
            failed.append({**entry, "ResponseError": problem})
    return ActionResult(
        {
            "SuccessfullyDeletedLaunchTemplateVersions": done,
            "UnsuccessfullyDeletedLaunchTemplateVersions": failed,
        }
    )


def _undeletable(template: LaunchTemplate, number: int) -> dict[str, str] | None:
    try:
        version = template.get_version(number)
    except InvalidLaunchTemplateVersionNotFound:
        message = f"The specified launch template version {number} does not exist"
        return {"Code": "launchTemplateVersionDoesNotExist", "Message": message}
    if template.is_default(version):
        return {"Code": "unexpectedError", "Message": "The default version cannot be deleted"}
    return None


def _is_deleted(version: LaunchTemplateVersion) -> bool:
    return bool(getattr(version, "ingot_deleted", False))


def _without_deleted(original: Callable[..., LaunchTemplateVersion]) -> Callable[..., LaunchTemplateVersion]:
    def get_version(template: LaunchTemplate, number: int | str) -> LaunchTemplateVersion:
        version = original(template, number)
        if _is_deleted(version):
            raise InvalidLaunchTemplateVersionNotFound(template_id=template.id, version=number)
        return version

    return get_version
