"""The role of clones: made when something is granted, or given."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.errors import InputError

EC2 = "ec2.amazonaws.com"


def clone_role(scope: Construct, id_: str, purpose: str) -> iam.Role:
    """Return a role for clones, without permissions."""
    return iam.Role(scope, id_, assumed_by=iam.ServicePrincipal(EC2), description=f"Clones: {purpose}")


def fitting_role(scope: Construct, role: iam.IRole) -> iam.IRole:
    """Return a role that was given; raise InputError where EC2 certainly cannot assume it."""
    document = role.assume_role_policy if isinstance(role, iam.Role) else None
    trusted = None if document is None else str(Stack.of(scope).resolve(document.to_json()))
    # What is known at deployment only may name EC2.
    if trusted is not None and not any(word in trusted for word in (EC2, "'Ref'", "'Fn::")):
        raise InputError(
            f"{scope.node.path}: EC2 cannot assume the role {role.node.path}",
            hint=f'make it with assumed_by=iam.ServicePrincipal("{EC2}")',
        )
    return role


def with_role(template: ec2.LaunchTemplate, role: iam.IRole) -> None:
    """Give a launch template an instance profile of the role's."""
    profile = iam.CfnInstanceProfile(template, "Profile", roles=[role.role_name])
    cfn = template.node.default_child
    assert isinstance(cfn, ec2.CfnLaunchTemplate)  # noqa: S101 - what the construct is made of
    # A clone must not start before its role may do what it was granted.
    cfn.node.add_dependency(role)
    cfn.add_property_override("LaunchTemplateData.IamInstanceProfile", {"Arn": profile.attr_arn})
