"""Secrets, given or generated.

Source: "AWS::SecretsManager::Secret" and its "GenerateSecretString", CloudFormation template reference.
"""

from __future__ import annotations

import json
import secrets
import string

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    pick,
)

# What GetRandomPassword takes; the rest of GenerateSecretString says where its answer goes.
OF_PASSWORDS = (
    "ExcludeCharacters", "ExcludeLowercase", "ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase",
    "IncludeSpace", "PasswordLength", "RequireEachIncludedType",
)  # fmt: skip
OF_VALUES = ("SecretString", "GenerateSecretString")


def _name(env: Env) -> str:
    """Return a name of the form that CloudFormation makes up: the logical id and twelve characters."""
    suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))
    return f"{env.logical_id}-{suffix}"


def _value(env: Env, properties: Properties) -> str | None:
    """Return the secret's value; None for one that is made without."""
    generate = properties.get("GenerateSecretString")
    if generate is None:
        return properties.get("SecretString")
    if "SecretString" in properties:
        raise ResourceFailure(
            "Invalid request provided: You can't specify both SecretString and GenerateSecretString"
        )
    template, key = generate.get("SecretStringTemplate"), generate.get("GenerateStringKey")
    if bool(template) != bool(key):
        raise ResourceFailure("SecretStringTemplate and GenerateStringKey must both be set or removed.")
    filled = _parsed(template) if template else None
    password: str = env.call("secretsmanager", "get_random_password", **pick(generate, *OF_PASSWORDS))[
        "RandomPassword"
    ]
    return password if filled is None else json.dumps({**filled, key: password}, separators=(",", ":"))


def _parsed(template: str) -> dict[str, Value]:
    try:
        filled = json.loads(template)
    except ValueError:
        filled = None
    if not isinstance(filled, dict):
        raise ResourceFailure("Could not parse SecretStringTemplate JSON.")
    return filled


def _create(env: Env, properties: Properties) -> Created:
    arn = env.call(
        "secretsmanager",
        "create_secret",
        Name=properties.get("Name") or _name(env),
        SecretString=_value(env, properties),
        AddReplicaRegions=properties.get("ReplicaRegions"),
        Tags=env.tag_list(properties),
        **pick(properties, "Description", "KmsKeyId"),
    )["ARN"]
    return Created(arn, {"Id": arn})


def _update(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
    changed = any(old.get(key) != new.get(key) for key in OF_VALUES)
    env.call(
        "secretsmanager",
        "update_secret",
        SecretId=arn,
        SecretString=_value(env, new) if changed else None,
        **pick(new, "Description", "KmsKeyId"),
    )
    before, after = env.tags(old), env.tags(new)
    if before.keys() - after.keys():
        gone = sorted(before.keys() - after.keys())
        env.call("secretsmanager", "untag_resource", SecretId=arn, TagKeys=gone)
    env.call("secretsmanager", "tag_resource", SecretId=arn, Tags=env.tag_list(new))
    _replicate(env, arn, old, new)
    return {"Id": arn}


def _replicate(env: Env, arn: str, old: Properties, new: Properties) -> None:
    before, after = (
        {replica["Region"]: replica for replica in properties.get("ReplicaRegions") or []}
        for properties in (old, new)
    )
    gone = [region for region in before if before[region] != after.get(region)]
    added = [replica for region, replica in after.items() if before.get(region) != replica]
    if gone:
        env.call("secretsmanager", "remove_regions_from_replication", SecretId=arn, RemoveReplicaRegions=gone)
    if added:
        env.call("secretsmanager", "replicate_secret_to_regions", SecretId=arn, AddReplicaRegions=added)


def _delete(env: Env, arn: str, properties: Properties) -> None:
    """Delete the secret at once, as CloudFormation does: its name is free for the next stack."""
    _replicate(env, arn, properties, {})
    env.call("secretsmanager", "delete_secret", SecretId=arn, ForceDeleteWithoutRecovery=True)


TYPES = {"AWS::SecretsManager::Secret": ResourceType(_create, _update, _delete, frozenset({"Name"}))}
