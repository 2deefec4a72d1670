"""Launch templates: an update makes a new numbered version and leaves the default version alone."""

from __future__ import annotations

from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
)
from localcloud.services.cloudformation.resources.ec2.network import tag


def _attributes(env: Env, template_id: str) -> Attributes:
    template = env.call("ec2", "describe_launch_templates", LaunchTemplateIds=[template_id])[
        "LaunchTemplates"
    ][0]
    return {
        "LaunchTemplateId": template_id,
        "LatestVersionNumber": str(template["LatestVersionNumber"]),
        "DefaultVersionNumber": str(template["DefaultVersionNumber"]),
    }


def _tags(properties: Properties) -> Properties:
    """Return the launch template's own tags: CloudFormation gives them as tag specifications."""
    own = [s for s in properties.get("TagSpecifications") or [] if s.get("ResourceType") == "launch-template"]
    return {"Tags": [tag for specification in own for tag in specification.get("Tags", [])]}


def _create(env: Env, properties: Properties) -> Created:
    template_id = env.call(
        "ec2",
        "create_launch_template",
        LaunchTemplateName=properties.get("LaunchTemplateName") or env.name(128),
        LaunchTemplateData=properties["LaunchTemplateData"],
        VersionDescription=properties.get("VersionDescription"),
    )["LaunchTemplate"]["LaunchTemplateId"]
    env.exists(template_id)
    tag(env, template_id, _tags(properties))
    return Created(template_id, _attributes(env, template_id))


def _update(env: Env, template_id: str, old: Properties, new: Properties) -> Attributes:
    names = ("LaunchTemplateData", "VersionDescription")
    if any(old.get(name) != new.get(name) for name in names):
        env.call(
            "ec2",
            "create_launch_template_version",
            LaunchTemplateId=template_id,
            LaunchTemplateData=new["LaunchTemplateData"],
            VersionDescription=new.get("VersionDescription"),
        )
    tag(env, template_id, _tags(new))
    return _attributes(env, template_id)


def _delete(env: Env, template_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_launch_template", LaunchTemplateId=template_id)


TYPES = {
    "AWS::EC2::LaunchTemplate": ResourceType(_create, _update, _delete, frozenset({"LaunchTemplateName"}))
}
