"""Roles, instance profiles, policies and OpenID Connect providers (by which CI jobs sign in)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import (
    ApiFailure,
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    pick,
)


def _json(document: Value) -> str:
    return document if isinstance(document, str) else json.dumps(document)


# -- role


def _role_attributes(env: Env, name: str) -> Attributes:
    role = env.call("iam", "get_role", RoleName=name)["Role"]
    return {"Arn": role["Arn"], "RoleId": role["RoleId"]}


def _create_role(env: Env, properties: Properties) -> Created:
    name = properties.get("RoleName") or env.name(64)
    env.call(
        "iam",
        "create_role",
        RoleName=name,
        AssumeRolePolicyDocument=_json(properties["AssumeRolePolicyDocument"]),
        Tags=env.tag_list(properties, own=False),
        **pick(properties, "Path", "Description", "MaxSessionDuration", "PermissionsBoundary"),
    )
    env.exists(name)
    _role_policies(env, name, {}, properties)
    return Created(name, _role_attributes(env, name))


def _role_policies(env: Env, name: str, old: Properties, new: Properties) -> None:
    before, after = (set(properties.get("ManagedPolicyArns") or []) for properties in (old, new))
    for arn in sorted(after - before):
        env.call("iam", "attach_role_policy", RoleName=name, PolicyArn=arn)
    for arn in sorted(before - after):
        env.call("iam", "detach_role_policy", RoleName=name, PolicyArn=arn)
    inline, wanted = (
        {policy["PolicyName"]: policy["PolicyDocument"] for policy in properties.get("Policies") or []}
        for properties in (old, new)
    )
    for policy, document in wanted.items():
        if inline.get(policy) != document:
            env.call(
                "iam", "put_role_policy", RoleName=name, PolicyName=policy, PolicyDocument=_json(document)
            )
    for policy in inline.keys() - wanted.keys():
        env.call("iam", "delete_role_policy", RoleName=name, PolicyName=policy)


def _update_role(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    document = _json(new["AssumeRolePolicyDocument"])
    env.call("iam", "update_assume_role_policy", RoleName=name, PolicyDocument=document)
    env.call("iam", "update_role", RoleName=name, **pick(new, "Description", "MaxSessionDuration"))
    _role_policies(env, name, old, new)
    tags = env.tag_list(new, own=False)
    if tags:
        env.call("iam", "tag_role", RoleName=name, Tags=tags)
    return _role_attributes(env, name)


def _delete_role(env: Env, name: str, properties: Properties) -> None:
    for policy in env.call("iam", "list_attached_role_policies", RoleName=name)["AttachedPolicies"]:
        env.call("iam", "detach_role_policy", RoleName=name, PolicyArn=policy["PolicyArn"])
    for policy_name in env.call("iam", "list_role_policies", RoleName=name)["PolicyNames"]:
        env.call("iam", "delete_role_policy", RoleName=name, PolicyName=policy_name)
    env.call("iam", "delete_role", RoleName=name)


# -- instance profile


def _profile_attributes(env: Env, name: str) -> Attributes:
    profile = env.call("iam", "get_instance_profile", InstanceProfileName=name)["InstanceProfile"]
    return {"Arn": profile["Arn"], "InstanceProfileId": profile["InstanceProfileId"]}


def _create_profile(env: Env, properties: Properties) -> Created:
    name = properties.get("InstanceProfileName") or env.name(128)
    env.call("iam", "create_instance_profile", InstanceProfileName=name, **pick(properties, "Path"))
    env.exists(name)
    for role in properties["Roles"]:
        env.call("iam", "add_role_to_instance_profile", InstanceProfileName=name, RoleName=role)
    return Created(name, _profile_attributes(env, name))


def _update_profile(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    for role in old.get("Roles", []):
        env.call("iam", "remove_role_from_instance_profile", InstanceProfileName=name, RoleName=role)
    for role in new["Roles"]:
        env.call("iam", "add_role_to_instance_profile", InstanceProfileName=name, RoleName=role)
    return _profile_attributes(env, name)


def _delete_profile(env: Env, name: str, properties: Properties) -> None:
    for role in env.call("iam", "get_instance_profile", InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        env.call(
            "iam", "remove_role_from_instance_profile", InstanceProfileName=name, RoleName=role["RoleName"]
        )
    env.call("iam", "delete_instance_profile", InstanceProfileName=name)


# -- inline policy: AWS::IAM::Policy

OWNERS = {"Roles": "role", "Users": "user", "Groups": "group"}


def _owners(properties: Properties) -> set[tuple[str, str]]:
    return {(kind, name) for key, kind in OWNERS.items() for name in properties.get(key) or []}


def _put_inline(env: Env, properties: Properties) -> None:
    for kind, name in sorted(_owners(properties)):
        env.call(
            "iam",
            f"put_{kind}_policy",
            PolicyName=properties["PolicyName"],
            PolicyDocument=_json(properties["PolicyDocument"]),
            **{f"{kind.capitalize()}Name": name},
        )


def _drop_inline(env: Env, policy_name: str, owners: Iterable[tuple[str, str]]) -> None:
    for kind, name in sorted(owners):
        given = {"PolicyName": policy_name, f"{kind.capitalize()}Name": name}
        env.call("iam", f"delete_{kind}_policy", **given)


def _create_inline(env: Env, properties: Properties) -> Created:
    _put_inline(env, properties)
    physical_id = env.name(64)
    return Created(physical_id, {"Id": physical_id})


def _update_inline(env: Env, physical_id: str, old: Properties, new: Properties) -> Attributes:
    renamed = old["PolicyName"] != new["PolicyName"]
    _put_inline(env, new)
    _drop_inline(env, old["PolicyName"], _owners(old) if renamed else _owners(old) - _owners(new))
    return {"Id": physical_id}


def _delete_inline(env: Env, physical_id: str, properties: Properties) -> None:
    _drop_inline(env, properties["PolicyName"], _owners(properties))


# -- managed policy


def _create_managed(env: Env, properties: Properties) -> Created:
    arn = env.call(
        "iam",
        "create_policy",
        PolicyName=properties.get("ManagedPolicyName") or env.name(128),
        PolicyDocument=_json(properties["PolicyDocument"]),
        **pick(properties, "Path", "Description"),
    )["Policy"]["Arn"]
    env.exists(arn)
    for kind, name in sorted(_owners(properties)):
        env.call("iam", f"attach_{kind}_policy", PolicyArn=arn, **{f"{kind.capitalize()}Name": name})
    return Created(arn, {"PolicyArn": arn})


def _delete_managed(env: Env, arn: str, properties: Properties) -> None:
    for kind, name in sorted(_owners(properties)):
        try:
            env.call("iam", f"detach_{kind}_policy", PolicyArn=arn, **{f"{kind.capitalize()}Name": name})
        except ApiFailure as error:  # a creation that failed half-way had not attached it yet
            if not error.gone:
                raise
    env.call("iam", "delete_policy", PolicyArn=arn)


# -- OpenID Connect provider

# moto wants one; AWS finds it by itself:
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
THUMBPRINT = "0" * 40


def _create_provider(env: Env, properties: Properties) -> Created:
    arn = env.call(
        "iam",
        "create_open_id_connect_provider",
        Url=properties["Url"],
        ClientIDList=properties.get("ClientIdList") or [],
        ThumbprintList=properties.get("ThumbprintList") or [THUMBPRINT],
        Tags=env.tag_list(properties, own=False),
    )["OpenIDConnectProviderArn"]
    return Created(arn, {"Arn": arn})


def _update_provider(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
    before, after = (set(properties.get("ClientIdList") or []) for properties in (old, new))
    for client in sorted(after - before):
        env.call(
            "iam", "add_client_id_to_open_id_connect_provider", OpenIDConnectProviderArn=arn, ClientID=client
        )
    for client in sorted(before - after):
        env.call(
            "iam",
            "remove_client_id_from_open_id_connect_provider",
            OpenIDConnectProviderArn=arn,
            ClientID=client,
        )
    env.call(
        "iam",
        "update_open_id_connect_provider_thumbprint",
        OpenIDConnectProviderArn=arn,
        ThumbprintList=new.get("ThumbprintList") or [THUMBPRINT],
    )
    return {"Arn": arn}


def _delete_provider(env: Env, arn: str, properties: Properties) -> None:
    env.call("iam", "delete_open_id_connect_provider", OpenIDConnectProviderArn=arn)


TYPES = {
    "AWS::IAM::Role": ResourceType(_create_role, _update_role, _delete_role, frozenset({"RoleName", "Path"})),
    "AWS::IAM::InstanceProfile": ResourceType(
        _create_profile, _update_profile, _delete_profile, frozenset({"InstanceProfileName", "Path"})
    ),
    "AWS::IAM::Policy": ResourceType(_create_inline, _update_inline, _delete_inline),
    "AWS::IAM::ManagedPolicy": ResourceType(_create_managed, None, _delete_managed),
    "AWS::IAM::OIDCProvider": ResourceType(
        _create_provider, _update_provider, _delete_provider, frozenset({"Url"})
    ),
}
