"""Buckets, parameters of the Parameter Store, container repositories, keys."""

from __future__ import annotations

import json

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    named,
    pick,
    reading,
)

# -- bucket: how a property of the template becomes a call


def _bucket_attributes(env: Env, name: str) -> Attributes:
    return {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{env.region}.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{env.region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{env.region}.amazonaws.com",
    }


def _create_bucket(env: Env, name: str, properties: Properties) -> None:
    where = None if env.region == "us-east-1" else {"LocationConstraint": env.region}
    env.call("s3", "create_bucket", Bucket=name, CreateBucketConfiguration=where)


def _update_bucket(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    changed = {key: value for key, value in new.items() if old.get(key) != value}
    if "VersioningConfiguration" in changed:
        value: Value = changed["VersioningConfiguration"]
        env.call("s3", "put_bucket_versioning", Bucket=name, VersioningConfiguration=value)
    if "PublicAccessBlockConfiguration" in changed:
        value = changed["PublicAccessBlockConfiguration"]
        env.call("s3", "put_public_access_block", Bucket=name, PublicAccessBlockConfiguration=value)
    if "BucketEncryption" in changed:
        _encrypt(env, name, changed["BucketEncryption"])
    if "LifecycleConfiguration" in changed:
        rules = [_lifecycle_rule(rule) for rule in changed["LifecycleConfiguration"]["Rules"]]
        env.call(
            "s3", "put_bucket_lifecycle_configuration", Bucket=name, LifecycleConfiguration={"Rules": rules}
        )
    if "OwnershipControls" in changed:
        env.call(
            "s3", "put_bucket_ownership_controls", Bucket=name, OwnershipControls=changed["OwnershipControls"]
        )
    tags = env.tag_list(new, own=False)
    if tags:
        env.call("s3", "put_bucket_tagging", Bucket=name, Tagging={"TagSet": tags})
    return _bucket_attributes(env, name)


def _encrypt(env: Env, name: str, encryption: Properties) -> None:
    rules = [
        {
            **pick(rule, "BucketKeyEnabled"),
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
        }
        for rule in encryption["ServerSideEncryptionConfiguration"]
        if "ServerSideEncryptionByDefault" in rule
    ]
    if rules:
        env.call(
            "s3", "put_bucket_encryption", Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules}
        )


def _lifecycle_rule(rule: Properties) -> dict[str, Value]:
    """Return a template's lifecycle rule in the API's form: flat day counts become structures."""
    result: dict[str, Value] = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "Id" in rule:
        result["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        result["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    days = rule.get("NoncurrentVersionExpirationInDays") or (
        rule.get("NoncurrentVersionExpiration") or {}
    ).get("NoncurrentDays")
    if days is not None:
        result["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(days)}
    if "AbortIncompleteMultipartUpload" in rule:
        result["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return result


def _delete_bucket(env: Env, name: str, properties: Properties) -> None:
    env.call("s3", "delete_bucket", Bucket=name)


@reading
def _read_bucket(env: Env, name: str) -> Attributes | None:
    env.call("s3", "head_bucket", Bucket=name)
    return _bucket_attributes(env, name)


@reading
def _read_bucket_policy(env: Env, bucket: str) -> Attributes | None:
    env.call("s3", "get_bucket_policy", Bucket=bucket)
    return {}


def _put_bucket_policy(env: Env, properties: Properties) -> Created:
    document = json.dumps(properties["PolicyDocument"])
    env.call("s3", "put_bucket_policy", Bucket=properties["Bucket"], Policy=document)
    return Created(properties["Bucket"])


def _update_bucket_policy(env: Env, physical_id: str, old: Properties, new: Properties) -> Attributes:
    return _put_bucket_policy(env, new).attributes


def _delete_bucket_policy(env: Env, physical_id: str, properties: Properties) -> None:
    env.call("s3", "delete_bucket_policy", Bucket=properties["Bucket"])


# -- parameter


def _put_parameter(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    given = pick(new, "Type", "Value", "Description", "AllowedPattern", "Tier", "DataType", "Policies")
    # A new parameter must not take over one that is there.
    env.call("ssm", "put_parameter", Name=name, Overwrite=bool(old), **given)
    return {"Type": new["Type"], "Value": new["Value"]}


@reading
def _read_parameter(env: Env, name: str) -> Attributes | None:
    return pick(env.call("ssm", "get_parameter", Name=name)["Parameter"], "Type", "Value")


def _delete_parameter(env: Env, name: str, properties: Properties) -> None:
    env.call("ssm", "delete_parameter", Name=name)


# -- container repository: the CDK's bootstrap stack has one


def _repository_attributes(env: Env, name: str) -> Attributes:
    found = env.call("ecr", "describe_repositories", repositoryNames=[name])["repositories"][0]
    return {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]}


def _create_repository(env: Env, name: str, properties: Properties) -> None:
    env.call("ecr", "create_repository", repositoryName=name)


def _update_repository(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    text = (new.get("LifecyclePolicy") or {}).get("LifecyclePolicyText")
    if text:
        env.call("ecr", "put_lifecycle_policy", repositoryName=name, lifecyclePolicyText=text)
    if "RepositoryPolicyText" in new:
        policy = json.dumps(new["RepositoryPolicyText"])
        env.call("ecr", "set_repository_policy", repositoryName=name, policyText=policy)
    return _repository_attributes(env, name)


def _delete_repository(env: Env, name: str, properties: Properties) -> None:
    env.call("ecr", "delete_repository", repositoryName=name)


# -- key


def _create_key(env: Env, properties: Properties) -> Created:
    key = env.call(
        "kms", "create_key", Policy=json.dumps(properties["KeyPolicy"]), **pick(properties, "Description")
    )
    metadata = key["KeyMetadata"]
    return Created(metadata["KeyId"], {"Arn": metadata["Arn"], "KeyId": metadata["KeyId"]})


def _update_key(env: Env, key_id: str, old: Properties, new: Properties) -> Attributes:
    policy = json.dumps(new["KeyPolicy"])
    env.call("kms", "put_key_policy", KeyId=key_id, PolicyName="default", Policy=policy)
    found = env.call("kms", "describe_key", KeyId=key_id)["KeyMetadata"]
    return {"Arn": found["Arn"], "KeyId": key_id}


def _delete_key(env: Env, key_id: str, properties: Properties) -> None:
    env.call("kms", "schedule_key_deletion", KeyId=key_id, PendingWindowInDays=30)


def _create_alias(env: Env, properties: Properties) -> Created:
    env.call("kms", "create_alias", **pick(properties, "AliasName", "TargetKeyId"))
    return Created(properties["AliasName"])


def _delete_alias(env: Env, name: str, properties: Properties) -> None:
    env.call("kms", "delete_alias", AliasName=name)


TYPES = {
    "AWS::S3::Bucket": named(
        "BucketName",
        _create_bucket,
        _update_bucket,
        _delete_bucket,
        lambda env: env.name(63, lower=True),
    ).found_by("BucketName", _read_bucket),
    "AWS::S3::BucketPolicy": ResourceType(
        _put_bucket_policy,
        _update_bucket_policy,
        _delete_bucket_policy,
        frozenset({"Bucket"}),
    ).found_by("Bucket", _read_bucket_policy),
    "AWS::SSM::Parameter": named("Name", None, _put_parameter, _delete_parameter).found_by(
        "Name", _read_parameter
    ),
    "AWS::ECR::Repository": named(
        "RepositoryName",
        _create_repository,
        _update_repository,
        _delete_repository,
        lambda env: env.name(256, lower=True),
    ),
    "AWS::KMS::Key": ResourceType(_create_key, _update_key, _delete_key),
    "AWS::KMS::Alias": ResourceType(_create_alias, None, _delete_alias),
}
