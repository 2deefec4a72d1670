"""RunInstances as IAM sees it: a dozen resources, each with its own condition keys.

Source: Service Authorization Reference, "Amazon EC2", RunInstances; EC2 user guide, "Control access to
launching instances with Amazon EC2 launch templates".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.core.permissions.policy import Access, Values
from localcloud.core.permissions.requests import ApiRequest, request_tags, tag_specifications

ACTION = "ec2:RunInstances"


def run_instances(request: ApiRequest) -> list[Access]:
    """Return the accesses that a launch needs."""
    named = {
        key.removeprefix("LaunchTemplate."): str(value)
        for key, value in request.parameters.items()
        if key.startswith("LaunchTemplate.")
    }
    template, data = request.cloud.template(request.region, named) if named else ("", {})
    arn = request.arn("ec2", f"launch-template/{template}")
    launch: dict[str, Values] = {"ec2:launchtemplate": (arn,)} if template else {}
    found = [*_existing(request, data, launch), *_created(request, data, launch)]
    if template:
        found.append(request.existing(ACTION, "launch-template", template))
    return [*found, *_passed_role(request, data)]


def _existing(request: ApiRequest, data: Mapping[str, Any], launch: Mapping[str, Values]) -> list[Access]:
    """Return the accesses to what the launch uses.

    A resource that the request names replaces the launch template's.
    """
    parameters = request.parameters
    # kind -> what the request names, what the template names
    used: dict[str, tuple[list[str], list[str]]] = {
        "image": (_one(parameters.get("ImageId")), _one(data.get("ImageId"))),
        "subnet": (_one(parameters.get("SubnetId")), _one(data.get("SubnetId"))),
        "security-group": (request.listed("SecurityGroupId"), list(data.get("SecurityGroupIds") or [])),
        "key-pair": (_one(parameters.get("KeyName")), _one(data.get("KeyName"))),
    }
    found = []
    for kind, (asked, of_template) in used.items():
        for identifier in asked or of_template:
            access = request.existing(ACTION, kind, identifier)
            found.append(_launched(access, launch, from_template=not asked))
    return found


def _created(request: ApiRequest, data: Mapping[str, Any], launch: Mapping[str, Values]) -> list[Access]:
    """Return the accesses to what the launch makes, and to its tags.

    Those of the template and those of the request.
    """
    tags = {
        specification.get("ResourceType", ""): {
            tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags") or []
        }
        for specification in data.get("TagSpecifications") or []
    }
    for kind, given in tag_specifications(request).items():
        tags[kind] = tags.get(kind, {}) | given
    found = []
    for kind in ("instance", "volume", "network-interface"):
        arn = request.arn("ec2", f"{kind}/*")
        context: dict[str, Values] = dict(request_tags(tags.get(kind, {})))
        if kind == "instance":
            context |= _of_instance(request, data)
        found.append(_launched(Access(ACTION, arn, context), launch, from_template=True))
        if tags.get(kind):
            tagging = {**request_tags(tags[kind]), "ec2:createaction": ("RunInstances",)}
            found.append(Access("ec2:CreateTags", arn, tagging))
    return found


def _of_instance(request: ApiRequest, data: Mapping[str, Any]) -> dict[str, Values]:
    kind = request.parameters.get("InstanceType") or data.get("InstanceType") or "m1.small"
    context: dict[str, Values] = {"ec2:instancetype": (str(kind),)}
    profile = _profile(request, data)
    return context | {"ec2:instanceprofile": (profile,)} if profile else context


def _launched(access: Access, launch: Mapping[str, Values], *, from_template: bool) -> Access:
    """Add what a launch template says of every resource of its launch."""
    if not launch:
        return access
    is_of_template: Values = ("true" if from_template else "false",)
    context = {**access.context, **launch, "ec2:islaunchtemplateresource": is_of_template}
    return Access(access.action, access.resource, context)


def _profile(request: ApiRequest, data: Mapping[str, Any]) -> str:
    of_template = data.get("IamInstanceProfile") or {}
    asked = [request.parameters.get(f"IamInstanceProfile.{key}") for key in ("Arn", "Name")]
    named = next(
        (str(value) for value in [*asked, of_template.get("Arn"), of_template.get("Name")] if value), ""
    )
    account = request.cloud.account
    return (
        named if not named or named.startswith("arn:") else f"arn:aws:iam::{account}:instance-profile/{named}"
    )


def _passed_role(request: ApiRequest, data: Mapping[str, Any]) -> list[Access]:
    """Return the access that an instance profile needs: its role is handed to EC2."""
    profile = _profile(request, data)
    context: dict[str, Values] = {"iam:passedtoservice": ("ec2.amazonaws.com",)}
    return [
        Access("iam:PassRole", role, context) for role in (request.cloud.roles_of(profile) if profile else [])
    ]


def _one(value: object) -> list[str]:
    return [str(value)] if value else []
