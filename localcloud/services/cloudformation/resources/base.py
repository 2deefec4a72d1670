"""What all resource types share: the table of types, calls to this cloud's APIs, names and tags."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import Shape

from localcloud.core.context import CloudContext
from localcloud.core.environment import variables
from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import ResourceFailure

Properties = Mapping[str, Any]
Attributes = Mapping[str, Value]
T = TypeVar("T")


@dataclass(frozen=True)
class Created:
    """A new resource: its physical id (what Ref returns) and what Fn::GetAtt returns."""

    physical_id: str
    attributes: Attributes = field(default_factory=dict)


@lru_cache
def client(port: int, access_key: str, region: str, service: str) -> Any:  # noqa: ANN401 - any service's
    """Return a boto3 client of this cloud."""
    environment = variables(port, access_key)
    return boto3.client(  # type: ignore[call-overload]  # the service is not known to the type checker
        service,
        region_name=region,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=300),
    )


@dataclass(frozen=True)
class Env:
    """Where a resource is made: which cloud, region and stack, and its logical id."""

    context: CloudContext
    region: str
    stack_name: str
    stack_id: str
    stack_tags: Mapping[str, str]
    logical_id: str
    update_policy: Mapping[str, Any] = field(default_factory=dict)
    creation_policy: Mapping[str, Any] = field(default_factory=dict)
    rolling_back: bool = False
    exists: Callable[[str], None] = lambda physical_id: None
    """Called by a create with the physical id as soon as it has one: a failure then deletes it."""

    def call(self, service: str, operation: str, /, **parameters: Value) -> dict[str, Any]:
        """Call an API of this cloud.

        Values become what the operation's model wants ("80" → 80), None is left out.

        Raises ResourceFailure with the text that CloudFormation shows.
        """
        api = client(self.context.port, self.context.access_key, self.region, service)
        model = api.meta.service_model.operation_model(api.meta.method_to_api_mapping[operation])
        given = {key: value for key, value in parameters.items() if value is not None}
        try:
            answer: dict[str, Any] = getattr(api, operation)(**coerce(given, model.input_shape))
        except ClientError as error:
            code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            raise ApiFailure(
                f'Resource handler returned message: "{text} (Service: {service}, Error Code: {code})"', code
            ) from error
        except BotoCoreError as error:
            raise ResourceFailure(f'Resource handler returned message: "{error}"') from error
        return answer

    def name(self, limit: int = 255, *, lower: bool = False) -> str:
        """Return a new physical name.

        Stack, logical id and 12 random characters, as CloudFormation makes them.
        """
        suffix = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        name = f"{self.stack_name}-{self.logical_id}"[: limit - 13].rstrip("-") + "-" + suffix
        return name.lower() if lower else name

    @property
    def own_tags(self) -> dict[str, str]:
        """Return the tags that CloudFormation itself puts on resources."""
        return {
            "aws:cloudformation:stack-name": self.stack_name,
            "aws:cloudformation:stack-id": self.stack_id,
            "aws:cloudformation:logical-id": self.logical_id,
        }

    def tags(self, properties: Properties, *, own: bool = True) -> dict[str, str]:
        """Return the stack's tags, the resource's and (``own``) CloudFormation's.

        The resource's win over the stack's.
        """
        given = properties.get("Tags") or []
        listed = given if isinstance(given, Mapping) else {tag["Key"]: tag["Value"] for tag in given}
        return {
            **self.stack_tags,
            **{key: str(value) for key, value in listed.items()},
            **(self.own_tags if own else {}),
        }

    def tag_list(self, properties: Properties, *, own: bool = True) -> list[dict[str, str]] | None:
        """Return ``tags`` as most APIs want them; None when there are none."""
        return [{"Key": key, "Value": value} for key, value in self.tags(properties, own=own).items()] or None


class ApiFailure(ResourceFailure):
    """An API refused. ``code`` is its error code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def gone(self) -> bool:
        """Say whether the API says that the thing is not there."""
        return (
            any(word in self.code for word in ("NotFound", "NoSuch", "Unknown"))
            or "not found" in str(self).lower()
        )


Create = Callable[[Env, Properties], Created]
Update = Callable[[Env, str, Properties, Properties], Attributes]
Delete = Callable[[Env, str, Properties], None]
Make = Callable[[Env, str, Properties], None]


def nothing(env: Env, physical_id: str, properties: Properties) -> None:
    """Delete a resource that has nothing to delete."""


def go_on(env: Env, physical_id: str) -> None:
    """Let an update that is cancelled end by itself."""


@dataclass(frozen=True)
class Lookup:
    """How a resource that exists is found: a stack never adopts one, unless it is imported.

    ``identify`` returns the physical id that properties name, or None when CloudFormation makes up a name.
    ``read`` returns the attributes of the resource with a physical id, or None when there is none.
    """

    identify: Callable[[Env, Properties], str | None]
    read: Callable[[Env, str], Attributes | None]

    def refuse_existing(self, env: Env, type_name: str, properties: Properties) -> None:
        """Raise ResourceFailure when there is a resource of that name: CloudFormation's AlreadyExists."""
        identifier = self.identify(env, properties)
        if identifier is not None and self.read(env, identifier) is not None:
            raise ResourceFailure(
                f"Resource handler returned message: \"Resource of type '{type_name}' with identifier "
                f"'{identifier}' already exists.\" (HandlerErrorCode: AlreadyExists)"
            )


def by(key: str) -> Callable[[Env, Properties], str | None]:
    """Return the way to identify resources whose physical id is a property."""
    return lambda env, properties: properties.get(key)


def reading(look: Callable[[Env, str], T | None]) -> Callable[[Env, str], T | None]:
    """Return a read for which an API's "not found" is None."""

    def read(env: Env, physical_id: str) -> T | None:
        try:
            return look(env, physical_id)
        except ApiFailure as error:
            if error.gone or error.code == "404":
                return None
            raise

    return read


@dataclass(frozen=True)
class ResourceType:
    """What CloudFormation does for a type.

    ``replaces``: properties whose change needs a new resource; no ``update``: all. ``lookup``: for types
    whose API would take over what is there, and for those that can be imported. ``cancel`` ends an update
    that takes long.
    """

    create: Create
    update: Update | None = None
    delete: Delete = nothing
    replaces: frozenset[str] = frozenset()
    lookup: Lookup | None = None
    cancel: Callable[[Env, str], None] = go_on

    def found_by(self, key: str, read: Callable[[Env, str], Attributes | None]) -> ResourceType:
        """Return the type with a lookup by the property that is its physical id."""
        return replace(self, lookup=Lookup(by(key), read))

    def replacement(self, before: Properties, after: Properties) -> bool:
        """Say whether going from ``before`` to ``after`` needs a new resource."""
        changed = changed_keys(before, after)
        return bool(changed) and (self.update is None or bool(changed & self.replaces))


def named(
    key: str, create: Make | None, update: Update, delete: Delete, new_name: Callable[[Env], str] = Env.name
) -> ResourceType:
    """Return a type whose resources have names: the one in property ``key``, or a ``new_name``.

    ``create`` makes the resource, unless ``update`` does that too; ``update``, with no old properties, does
    the rest.
    """

    def make(env: Env, properties: Properties) -> Created:
        name = properties.get(key) or new_name(env)
        if create is not None:
            create(env, name, properties)
            env.exists(name)
        return Created(name, update(env, name, {}, properties))

    return ResourceType(make, update, delete, frozenset({key}))


def changed_keys(before: Properties, after: Properties) -> set[str]:
    """Return the names of the properties that differ."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def pick(properties: Properties, *names: str) -> dict[str, Value]:
    """Return the named properties that are there."""
    return {name: properties[name] for name in names if name in properties}


def coerce(value: Value, shape: Shape | None) -> Value:
    """Return ``value`` in the types that an API's model wants.

    Templates may write numbers and booleans as text.
    """
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = shape.members  # type: ignore[attr-defined]
        return {key: coerce(item, members.get(key)) for key, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [coerce(item, shape.member) for item in value]  # type: ignore[attr-defined]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {key: coerce(item, shape.value) for key, item in value.items()}  # type: ignore[attr-defined]
    if shape.type_name in ("integer", "long") and isinstance(value, str):
        return int(value)
    if shape.type_name in ("float", "double") and isinstance(value, str | int):
        return float(value)
    if shape.type_name == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if shape.type_name == "string" and isinstance(value, bool):
        return str(value).lower()
    if shape.type_name == "string" and isinstance(value, int | float):
        return str(value)
    return value
