"""An OpenID Connect provider of IAM: what continuous integration signs in by."""

from __future__ import annotations

from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
)

# moto wants one; AWS finds it by itself: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
THUMBPRINT = "0" * 40


def _create(env: Env, properties: Properties) -> Created:
    arn = env.call(
        "iam",
        "create_open_id_connect_provider",
        Url=properties["Url"],
        ClientIDList=properties.get("ClientIdList") or [],
        ThumbprintList=properties.get("ThumbprintList") or [THUMBPRINT],
        Tags=env.tag_list(properties, own=False),
    )["OpenIDConnectProviderArn"]
    return Created(arn, {"Arn": arn})


def _update(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
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


def _delete(env: Env, arn: str, properties: Properties) -> None:
    env.call("iam", "delete_open_id_connect_provider", OpenIDConnectProviderArn=arn)


TYPES = {"AWS::IAM::OIDCProvider": ResourceType(_create, _update, _delete, frozenset({"Url"}))}
