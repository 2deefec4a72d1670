"""Validates a resource's properties against the schema of its type before the resource is created.

The schemas are AWS's own, as cfn-lint ships them with what its authors know beyond them. Text that says a
number or a boolean is taken for one, and the other way round: templates may write it so. Source of the words:
"Properties validation failed for resource … with message", which CloudFormation writes into the event of the
resource.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import regex
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import ResourceFailure

# Without a schema: the CDK's own note of its version, which CloudFormation takes as it comes.
FREE = frozenset({"AWS::CDK::Metadata"})
_NUMBER = regex.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_JAVA: Mapping[Any, str] = {
    dict: "JSONObject",
    list: "JSONArray",
    str: "String",
    bool: "Boolean",
    int: "Integer",
    float: "Double",
    type(None): "Null",
    "object": "JSONObject",
    "array": "JSONArray",
}


def check(name: str, type_name: str, region: str, properties: Mapping[str, Any]) -> None:
    """Raise ResourceFailure with all that is wrong with the properties of resource ``name``."""
    if type_name in FREE:
        return
    errors = sorted(
        _validator(type_name, region).iter_errors(properties), key=lambda error: list(map(str, error.path))
    )
    if errors:
        said = "\n".join(
            f"#{''.join(f'/{part}' for part in error.path)}: {error.message}" for error in errors
        )
        raise ResourceFailure(f"Properties validation failed for resource {name} with message:\n{said}")


def schema_of(type_name: str, region: str) -> dict[str, Any]:
    """Return the schema of a type's properties in a region."""
    schema: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, type_name).schema
    if type_name == "AWS::EC2::LaunchTemplate":
        # cfn-lint allows one key of these. EC2 takes a device with none, and NoDevice beside Ebs, as the CDK
        # writes it.
        schema = copy.deepcopy(schema)
        schema["definitions"]["BlockDeviceMapping"].pop("requiredXor", None)
    return schema


@dataclass(frozen=True)
class Attributes:
    """What Fn::GetAtt returns of a type. A name with ``.*`` stands for all that begin so."""

    names: frozenset[str]

    def has(self, name: str) -> bool:
        """Say whether the type has the attribute."""
        parents = name.split(".")
        beginnings = (".".join(parents[:count]) + ".*" for count in range(1, len(parents)))
        return name in self.names or any(beginning in self.names for beginning in beginnings)


@lru_cache
def attributes_of(type_name: str, region: str) -> Attributes:
    """Return the attributes of a type in a region."""
    return Attributes(frozenset(PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, type_name).get_atts))


def identifiers_of(type_name: str, region: str) -> list[str]:
    """Return the properties that identify a resource of the type when it is imported."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, type_name).schema
    return [path.rpartition("/")[2] for path in schema.get("primaryIdentifier") or []]


@lru_cache
def _validator(type_name: str, region: str) -> Validator:
    return _Validator(schema_of(type_name, region))


class Validator(Protocol):
    """What checks one value by one schema (jsonschema's ``Validator``)."""

    def descend(
        self, instance: Value, schema: Value, path: object = None, schema_path: object = None
    ) -> Iterator[ValidationError]:
        """Yield the errors of a part of the value."""

    def evolve(self, *, schema: Value) -> Validator:
        """Return a validator by another schema."""

    def is_valid(self, instance: Value) -> bool:
        """Say whether a value fits the schema."""

    def iter_errors(self, instance: Value) -> Iterator[ValidationError]:
        """Yield the errors of a value."""


# -- the keywords: (validator, what the schema says, instance, schema) → errors


def _type(_: object, wanted: Value, instance: Value, __: object) -> Iterator[ValidationError]:
    names = [wanted] if isinstance(wanted, str) else wanted
    if not any(_IS[name](instance) for name in names):
        expected = " or ".join(_JAVA.get(name, name.capitalize()) for name in names)
        yield ValidationError(
            f"expected type: {expected}, found: {_JAVA.get(type(instance), type(instance).__name__)}"
        )


def _number(value: Value) -> float | None:
    """Return the number that ``value`` is or says as JSON would, or None.

    Python would take `6_0` and `nan`, too.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return float(value) if _NUMBER.fullmatch(str(value)) else None


def _whole(value: Value) -> bool:
    number = _number(value)
    return number is not None and number.is_integer()


_IS: Mapping[str, Callable[[Value], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str | int | float),  # a boolean is an int
    "boolean": lambda value: (
        isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))
    ),
    "number": lambda value: _number(value) is not None,
    "integer": _whole,
}


def _additional(
    validator: Validator, allowed: Value, instance: Value, schema: Value
) -> Iterator[ValidationError]:
    if not isinstance(instance, Mapping):
        return
    known = schema.get("properties", {})
    patterns = list(schema.get("patternProperties", {}))
    for key in instance:
        if key in known or any(regex.search(pattern, key) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError(f"extraneous key [{key}] is not permitted")
        elif isinstance(allowed, Mapping):
            yield from validator.descend(instance[key], allowed, path=key)


def _by_pattern(
    validator: Validator, patterns: Value, instance: Value, _: object
) -> Iterator[ValidationError]:
    for pattern, schema in patterns.items():
        for key, value in instance.items() if isinstance(instance, Mapping) else ():
            if regex.search(pattern, key):
                yield from validator.descend(value, schema, path=key, schema_path=pattern)


def _choice(keyword: str, fits: Callable[[int], bool]) -> Callable[..., Iterator[ValidationError]]:
    """Return the check of a keyword that says how many of its schemas an instance has to fit."""

    def checked(
        validator: Validator, schemas: Value, instance: Value, __: object
    ) -> Iterator[ValidationError]:
        if not fits(sum(validator.evolve(schema=schema).is_valid(instance) for schema in schemas)):
            yield ValidationError(f"failed validation constraint for keyword [{keyword}]")

    return checked


def _required(_: object, keys: Value, instance: Value, __: object) -> Iterator[ValidationError]:
    if isinstance(instance, Mapping):
        for key in keys:
            if key not in instance:
                yield ValidationError(f"required key [{key}] not found")


def _enum(_: object, allowed: Value, instance: Value, __: object) -> Iterator[ValidationError]:
    if _text(instance) not in {_text(value) for value in allowed}:
        yield ValidationError(f"{_text(instance)} is not a valid enum value")


def _any_case(_: object, allowed: Value, instance: Value, __: object) -> Iterator[ValidationError]:
    if _text(instance).lower() not in {_text(value).lower() for value in allowed}:
        yield ValidationError(f"{_text(instance)} is not a valid enum value")


def _text(value: Value) -> str:
    """Return a scalar as text, as CloudFormation takes a number or a boolean that stands for text.

    A whole number without a point.
    """
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _scalar(value: Value) -> bool:
    return isinstance(value, str | int | float)


def _failing(keyword: str, holds: Callable[[Value, Value], bool]) -> Callable[..., Iterator[ValidationError]]:
    """Return the check of a keyword that ``holds(limit, instance)``.

    One that does not concern the instance's type holds.
    """

    def checked(_: object, limit: Value, instance: Value, __: object) -> Iterator[ValidationError]:
        if not holds(limit, instance):
            yield ValidationError(f"failed validation constraint for keyword [{keyword}]")

    return checked


def _at_least(limit: float, instance: Value) -> bool:
    number = _number(instance)
    return number is None or number >= limit


def _at_most(limit: float, instance: Value) -> bool:
    number = _number(instance)
    return number is None or number <= limit


def _differ(items: list[Value]) -> bool:
    return all(item not in items[:number] for number, item in enumerate(items))


def _given(keys: Iterable[str], instance: Value) -> list[str]:
    return [key for key in keys if key in instance]


def _dependent(others: Mapping[str, list[str]], instance: Value, *, present: bool) -> bool:
    """Say whether with each key that is given, its others are all ``present``, or none of them is."""
    given = [key for key in others if isinstance(instance, Mapping) and key in instance]
    return all((other in instance) is present for key in given for other in others[key])


_LIMITS: Mapping[str, Callable[[Any, Any], bool]] = {
    "pattern": lambda limit, value: not _scalar(value) or regex.search(limit, _text(value)) is not None,
    "minLength": lambda limit, value: not _scalar(value) or len(_text(value)) >= limit,
    "maxLength": lambda limit, value: not _scalar(value) or len(_text(value)) <= limit,
    "const": lambda only, value: _text(value) == _text(only),
    "uniqueItems": lambda wanted, value: not (wanted and isinstance(value, list)) or _differ(value),
    "minItems": lambda limit, value: not isinstance(value, list) or len(value) >= limit,
    "maxItems": lambda limit, value: not isinstance(value, list) or len(value) <= limit,
    "minimum": _at_least,
    "maximum": _at_most,
    "requiredXor": lambda keys, value: not isinstance(value, Mapping) or len(_given(keys, value)) == 1,
    "requiredOr": lambda keys, value: not isinstance(value, Mapping) or bool(_given(keys, value)),
    "dependentRequired": lambda others, value: _dependent(others, value, present=True),
    "dependentExcluded": lambda others, value: _dependent(others, value, present=False),
}
_Validator: Callable[[Value], Validator] = extend(
    Draft7Validator,
    {
        "type": _type,
        "additionalProperties": _additional,
        "patternProperties": _by_pattern,
        "anyOf": _choice("anyOf", lambda count: count >= 1),
        "oneOf": _choice("oneOf", lambda count: count == 1),
        "required": _required,
        "enum": _enum,
        "enumCaseInsensitive": _any_case,
        **{keyword: _failing(keyword, holds) for keyword, holds in _LIMITS.items()},
    },
)
