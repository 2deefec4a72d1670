"""The accesses that a request needs, service by service. Every one of them must be allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localcloud.core.permissions.launches import run_instances
from localcloud.core.permissions.policy import Access
from localcloud.core.permissions.requests import ApiRequest, flat_tags, request_tags, tag_specifications

# Prefix of an EC2 id -> the resource type in its ARN.
KINDS = {
    "snap": "snapshot",
    "ami": "image",
    "i": "instance",
    "vol": "volume",
    "lt": "launch-template",
    "subnet": "subnet",
    "vpc": "vpc",
    "sg": "security-group",
    "eni": "network-interface",
}
# EC2's actions on one resource that is there -> the parameter that names it.
ON_ONE = {
    "DeleteSnapshot": "SnapshotId",
    "DisableImage": "ImageId",
    "EnableImage": "ImageId",
    "EnableImageDeprecation": "ImageId",
    "DisableImageDeprecation": "ImageId",
    "DescribeImageAttribute": "ImageId",
    "GetConsoleOutput": "InstanceId",
    "DeleteLaunchTemplateVersions": "LaunchTemplateId",
}
ON_MANY = {"TerminateInstances": "InstanceId", "StopInstances": "InstanceId", "StartInstances": "InstanceId"}
# IAM's name of a service, where the signature has another one.
PREFIXES = {"monitoring": "cloudwatch"}


def accesses(request: ApiRequest) -> list[Access]:
    """Return what IAM is asked for a request; nothing where AWS asks for no permission."""
    judge = SERVICES.get(request.service, _without_resource)
    return judge(request)


def _without_resource(request: ApiRequest) -> list[Access]:
    return [Access(f"{PREFIXES.get(request.service, request.service)}:{request.action}")]


def _ec2(request: ApiRequest) -> list[Access]:
    action, parameters = f"ec2:{request.action}", request.parameters
    if request.action in ON_ONE:
        return [_named(request, action, str(parameters.get(ON_ONE[request.action], "")))]
    if request.action in ON_MANY:
        return [_named(request, action, one) for one in request.listed(ON_MANY[request.action])]
    if request.action == "CreateTags":
        context = request_tags(flat_tags(parameters, "Tag"))
        found = [_named(request, action, one) for one in request.listed("ResourceId")]
        return [Access(one.action, one.resource, {**one.context, **context}) for one in found]
    special = {
        "RegisterImage": _register_image,
        "DeregisterImage": _deregister_image,
        "CreateImage": _create_image,
        "RunInstances": run_instances,
        "CreateStoreImageTask": _store_image,
        "CreateRestoreImageTask": _restore_image,
    }.get(request.action)
    return special(request) if special else _without_resource(request)


def _named(request: ApiRequest, action: str, identifier: str) -> Access:
    return request.existing(action, KINDS.get(identifier.partition("-")[0], "unknown"), identifier)


def _tagging(request: ApiRequest, arn: str, tags: Mapping[str, str]) -> list[Access]:
    """Return the access that creating with tags needs besides."""
    if not tags:
        return []
    return [Access("ec2:CreateTags", arn, {**request_tags(tags), "ec2:createaction": (request.action,)})]


def _register_image(request: ApiRequest) -> list[Access]:
    tags = tag_specifications(request).get("image", {})
    arn = request.arn("ec2", "image/*", owned=False)
    snapshots = [
        str(value)
        for key, value in request.parameters.items()
        if key.startswith("BlockDeviceMapping.") and key.endswith(".Ebs.SnapshotId")
    ]
    return [
        Access("ec2:RegisterImage", arn, request_tags(tags)),
        *(request.existing("ec2:RegisterImage", "snapshot", one) for one in snapshots),
        *_tagging(request, arn, tags),
    ]


def _deregister_image(request: ApiRequest) -> list[Access]:
    image = _named(request, "ec2:DeregisterImage", str(request.parameters.get("ImageId", "")))
    return [image]


def _create_image(request: ApiRequest) -> list[Access]:
    tags = tag_specifications(request)
    found = [_named(request, "ec2:CreateImage", str(request.parameters.get("InstanceId", "")))]
    for kind in ("image", "snapshot"):
        arn = request.arn("ec2", f"{kind}/*", owned=False)
        found.append(Access("ec2:CreateImage", arn, request_tags(tags.get(kind, {}))))
        found += _tagging(request, arn, tags.get(kind, {}))
    return found


# EC2 user guide, "Permissions for storing and restoring AMIs using S3": what the caller needs besides the
# task's own action. Both read and write by EBS direct and S3 as the caller.
STORING = ("s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload", "s3:DeleteObject")
READING = ("ebs:ListSnapshotBlocks", "ebs:GetSnapshotBlock")
WRITING = ("ebs:StartSnapshot", "ebs:PutSnapshotBlock", "ebs:CompleteSnapshot")


def _store_image(request: ApiRequest) -> list[Access]:
    image, bucket = (str(request.parameters.get(name, "")) for name in ("ImageId", "Bucket"))
    stored = f"arn:aws:s3:::{bucket}/{image}.bin"
    return [
        _named(request, "ec2:CreateStoreImageTask", image),
        Access("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        *(Access(action, stored) for action in STORING),
        *(Access(action, request.arn("ec2", "snapshot/*", owned=False)) for action in READING),
    ]


def _restore_image(request: ApiRequest) -> list[Access]:
    bucket, key = (str(request.parameters.get(name, "")) for name in ("Bucket", "ObjectKey"))
    tags = tag_specifications(request)
    found = [
        Access("ec2:CreateRestoreImageTask", request.arn("ec2", "image/*", owned=False)),
        Access("ec2:GetEbsEncryptionByDefault"),
        Access("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        Access("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}"),
        *(Access(action, request.arn("ec2", "snapshot/*", owned=False)) for action in WRITING),
    ]
    for kind in ("image", "snapshot"):
        found += _tagging(request, request.arn("ec2", f"{kind}/*", owned=False), tags.get(kind, {}))
    return found


def _ebs(request: ApiRequest) -> list[Access]:
    action = f"ebs:{request.action}"
    if request.action != "StartSnapshot":
        return [request.existing(action, "snapshot", str(request.parameters.get("SnapshotId", "")))]
    tags = {tag["Key"]: tag.get("Value", "") for tag in request.parameters.get("Tags") or []}
    arn = request.arn("ec2", "snapshot/*", owned=False)
    # The Service Authorization Reference has EC2's CreateTags among what StartSnapshot asks for, but no value
    # of CreateAction: docs/security.md says so.
    return [Access(action, arn, request_tags(tags)), *_tagging(request, arn, tags)]


def _ssm(request: ApiRequest) -> list[Access]:
    parameters = request.parameters
    if request.action not in SSM_NAMES:
        return _without_resource(request)
    given = parameters.get(SSM_NAMES[request.action], [])
    names = given if isinstance(given, list) else [given]
    # AWS's public parameters are nobody's: their ARNs have no account.
    arns = [
        request.arn(
            "ssm", f"parameter/{str(name).lstrip('/')}", owned=not str(name).startswith("/aws/service/")
        )
        for name in names
    ]
    tags = {tag["Key"]: tag.get("Value", "") for tag in parameters.get("Tags") or []}
    found = [Access(f"ssm:{request.action}", arn, request_tags(tags)) for arn in arns]
    if request.action == "PutParameter" and tags:
        found += [Access("ssm:AddTagsToResource", arn, request_tags(tags)) for arn in arns]
    if request.action == "PutParameter" and parameters.get("DataType") == "aws:ec2:image":
        # Systems Manager user guide, "Native parameter support for Amazon Machine Image IDs": SSM looks the
        # AMI up as the caller.
        found.append(Access("ec2:DescribeImages"))
    return found


SSM_NAMES = {
    "GetParameter": "Name",
    "GetParameters": "Names",
    "GetParametersByPath": "Path",
    "PutParameter": "Name",
    "DeleteParameter": "Name",
    "DeleteParameters": "Names",
}


def _secretsmanager(request: ApiRequest) -> list[Access]:
    identifier = str(request.parameters.get("SecretId", ""))
    if not identifier:
        return _without_resource(request)
    found = request.cloud.secret(request.region, identifier)
    # A secret that is not there has no random end that a policy could name.
    unknown = identifier if identifier.startswith("arn:") else f"secret:{identifier}-??????"
    arn = found or (unknown if unknown.startswith("arn:") else request.arn("secretsmanager", unknown))
    return [Access(f"secretsmanager:{request.action}", arn)]


def _cloudformation(request: ApiRequest) -> list[Access]:
    stack = str(request.parameters.get("StackName", ""))
    if not stack:
        return _without_resource(request)
    arn = stack if stack.startswith("arn:") else request.arn("cloudformation", f"stack/{stack}/0")
    return [Access(f"cloudformation:{request.action}", arn)]


def _logs(request: ApiRequest) -> list[Access]:
    group = request.parameters.get("logGroupName") or request.parameters.get("logGroupIdentifier")
    if not group:
        return _without_resource(request)
    stream = request.parameters.get("logStreamName", "")
    return [Access(f"logs:{request.action}", request.arn("logs", f"log-group:{group}:log-stream:{stream}"))]


def _s3(request: ApiRequest) -> list[Access]:
    bucket, keys = request.parameters["Bucket"], request.parameters["Keys"]
    # An access control list that comes with an object takes a right of its own: S3 API reference, PutObject.
    actions = [request.action, *(["PutObjectAcl"] if request.parameters["Grants"] else [])]
    return [
        Access(f"s3:{action}", f"arn:aws:s3:::{bucket}{'/' if key else ''}{key}")
        for key in keys
        for action in actions
    ]


def _sts(request: ApiRequest) -> list[Access]:
    if request.action == "GetCallerIdentity":  # takes no permission: STS API reference
        return []
    return [Access(f"sts:{request.action}", str(request.parameters.get("RoleArn", "*")))]


SERVICES: dict[str, Callable[[Any], list[Access]]] = {
    "ec2": _ec2,
    "ebs": _ebs,
    "ssm": _ssm,
    "secretsmanager": _secretsmanager,
    "cloudformation": _cloudformation,
    "logs": _logs,
    "s3": _s3,
    "sts": _sts,
}
