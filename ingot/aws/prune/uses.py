"""Who uses an AMI: instances, launch template versions, Auto Scaling groups, launch configurations, other
accounts.

Asked for the whole account and region, whoever made it. What cannot be asked is an error, never "nobody".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.session import tags
from ingot.aws.session.failures import code_of, is_missing

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef

    from ingot.aws.session.clients import Clients

# "Amazon EC2 user guide, Use a Systems Manager parameter instead of an AMI ID".
ALIAS = "resolve:ssm:"
# AWS's own public parameters name no AMI of this account.
PUBLIC_ALIASES = f"{ALIAS}/aws/service/"
# Every state but those from which nothing comes back.
ALIVE = ["pending", "running", "stopping", "stopped"]


@dataclass(frozen=True)
class TemplateVersion:
    """A version of a launch template.

    ``ours``: the template bears the tag ingot:recipe; ``ami_id`` "" when it names none.
    """

    template_id: str
    template_name: str
    number: int
    ami_id: str
    ours: bool
    default: bool
    latest: bool

    def __str__(self) -> str:
        default = ", its default, which stays" if self.default else ""
        return f"launch template {self.template_name} version {self.number}{default}"


@dataclass(frozen=True)
class Uses:
    """All uses in an account and region.

    ``by_ami``: AMI id -> who uses it, in words, launch template versions left out.
    """

    versions: tuple[TemplateVersion, ...]
    by_ami: Mapping[str, tuple[str, ...]]
    # Versions that a group or an instance names: (launch template id, number).
    wanted_versions: frozenset[tuple[str, int]]


def find_uses(clients: Clients) -> Uses:
    """Look at everything that launches or runs AMIs. Raises botocore's errors."""
    versions = tuple(_versions(clients))
    by_ami: dict[str, list[str]] = defaultdict(list)
    wanted: set[tuple[str, int]] = set()
    for instance in _instances(clients):
        by_ami[instance["ImageId"]].append(f"instance {instance['InstanceId']} ({instance['State']['Name']})")
        values = tags.tags_of(instance)
        number = values.get("aws:ec2launchtemplate:version", "")
        if number.isdigit():
            wanted.add((values.get("aws:ec2launchtemplate:id", ""), int(number)))
    for name, specification in _group_templates(clients):
        for version in versions:
            if _names(specification, version):
                wanted.add((version.template_id, version.number))
                by_ami[version.ami_id].append(f"Auto Scaling group {name}")
    for user, ami_id in _direct_uses(clients):
        by_ami[ami_id].append(user)
    return Uses(
        versions,
        {ami_id: tuple(dict.fromkeys(users)) for ami_id, users in by_ami.items()},
        frozenset(wanted),
    )


def _instances(clients: Clients) -> Iterator[Mapping[str, Any]]:
    filters: list[FilterTypeDef] = [{"Name": "instance-state-name", "Values": ALIVE}]
    for page in clients.ec2.get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]


def _versions(clients: Clients) -> Iterator[TemplateVersion]:
    for templates in clients.ec2.get_paginator("describe_launch_templates").paginate():
        for template in templates["LaunchTemplates"]:
            identifier = template["LaunchTemplateId"]
            ours = tags.RECIPE in tags.tags_of(template)
            pages = clients.ec2.get_paginator("describe_launch_template_versions")
            for page in pages.paginate(LaunchTemplateId=identifier):
                for version in page["LaunchTemplateVersions"]:
                    number = version["VersionNumber"]
                    yield TemplateVersion(
                        identifier,
                        template.get("LaunchTemplateName", identifier),
                        number,
                        _resolved(clients, version["LaunchTemplateData"].get("ImageId", "")),
                        ours,
                        default=bool(version.get("DefaultVersion")),
                        latest=number == template["LatestVersionNumber"],
                    )


def _resolved(clients: Clients, image: str) -> str:
    """Return the AMI that a launch template means by an SSM parameter; "" when there is no such parameter."""
    if not image.startswith(ALIAS) or image.startswith(PUBLIC_ALIASES):
        return image
    try:
        return clients.ssm.get_parameter(Name=image.removeprefix(ALIAS))["Parameter"]["Value"]
    except ClientError as error:
        if is_missing(error) or code_of(error) == "ParameterVersionNotFound":
            return ""
        raise


def _group_templates(clients: Clients) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give each group's name with each launch template that it may launch from."""
    for page in clients.autoscaling.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            name = group["AutoScalingGroupName"]
            if "LaunchTemplate" in group:
                yield name, group["LaunchTemplate"]
            mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
            if "LaunchTemplateSpecification" in mixed:
                yield name, mixed["LaunchTemplateSpecification"]
            for override in mixed.get("Overrides", []):
                if "LaunchTemplateSpecification" in override:
                    yield name, override["LaunchTemplateSpecification"]


def _direct_uses(clients: Clients) -> Iterator[tuple[str, str]]:
    """Give (who, AMI id) for groups and launch configurations that name an AMI themselves."""
    for page in clients.autoscaling.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
            for override in mixed.get("Overrides", []):
                if "ImageId" in override:
                    yield f"Auto Scaling group {group['AutoScalingGroupName']}", override["ImageId"]
    for configurations in clients.autoscaling.get_paginator("describe_launch_configurations").paginate():
        for configuration in configurations["LaunchConfigurations"]:
            yield (
                f"launch configuration {configuration['LaunchConfigurationName']}",
                configuration["ImageId"],
            )


def _names(specification: Mapping[str, Any], version: TemplateVersion) -> bool:
    """Say whether a group's specification means this version."""
    named = specification.get("LaunchTemplateId", specification.get("LaunchTemplateName"))
    if named not in (version.template_id, version.template_name):
        return False
    wanted = str(specification.get("Version") or "$Default").lower()
    if wanted == "$latest":
        return version.latest
    return version.default if wanted == "$default" else wanted == str(version.number)


def shared_with(clients: Clients, image: ImageTypeDef) -> str:
    """Say whom an AMI is shared with; "" for nobody.

    What other accounts run of it cannot be seen from here.
    """
    if image.get("Public"):
        return "everybody"
    answer = clients.ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute="launchPermission")
    granted: Iterable[Mapping[str, Any]] = answer.get("LaunchPermissions", [])
    who = [str(value) for permission in granted for value in permission.values()]
    return ", ".join(sorted(who))
