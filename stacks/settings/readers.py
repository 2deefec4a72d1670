"""What settings may be: each reader takes a value of the file or of the command line and returns it, or says
what was expected.

`-c KEY=VALUE` gives text, YAML and cdk.json give numbers, booleans and lists: both spellings mean the same.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticCustomError

from ingot.recipe.syntax.explain import wrong

Reader = Callable[[object], Any]


def _unexpected(value: object, expected: str, hint: str | None = None) -> PydanticCustomError:
    text = repr(value)
    return wrong(text if len(text) <= 60 else text[:57] + "…", expected, hint)


def text(pattern: str, expected: str) -> Reader:
    """Return a reader of text that matches ``pattern`` as a whole."""

    def read(value: object) -> str:
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        number = isinstance(value, int) and not isinstance(value, bool)
        raise _unexpected(value, expected, f'put it in quotes: "{value}"' if number else None)

    return read


def number(low: int, high: int) -> Reader:
    """Return a reader of whole numbers; jsii gives JSON's numbers as floats."""

    def read(value: object) -> int:
        expected = f"a whole number from {low} to {high}"
        if isinstance(value, bool) or re.fullmatch(r"-?[0-9]{1,9}(\.0)?", str(value)) is None:
            raise _unexpected(value, expected)
        found = int(float(str(value)))
        if not low <= found <= high:
            raise _unexpected(value, expected)
        return found

    return read


def decimal(low: float, high: float, unit: str) -> Reader:
    """Return a reader of numbers that may have three digits after the point."""

    def read(value: object) -> float:
        expected = f"a number of {unit} from {low:g} to {high:g}"
        if isinstance(value, bool) or re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", str(value)) is None:
            raise _unexpected(value, expected)
        found = float(str(value))
        if not low <= found <= high:
            raise _unexpected(value, expected)
        return found

    return read


def flag(value: object) -> bool:
    """Read true or false."""
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise _unexpected(value, "true or false")


def listed(each: Reader) -> Reader:
    """Return a reader of lists: a list, or text with commas; nothing is the empty list."""

    def read(value: object) -> tuple[Any, ...]:
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(each(part.strip()) for part in value.split(",") if part.strip())
        if isinstance(value, list | tuple):
            return tuple(each(part) for part in value)
        raise _unexpected(value, "a list, or on the command line words with commas between them")

    return read


def network(value: object) -> str:
    """Read a VPC's addresses.

    Amazon VPC User Guide, "VPC CIDR blocks": /16 to /28; ours need room for subnets.
    """
    expected = "an IPv4 network from /16 to /24 such as 172.20.0.0/16"
    try:
        found = ipaddress.IPv4Network(value if isinstance(value, str) else "")
    except ValueError as error:
        raise _unexpected(value, expected) from error
    if not 16 <= found.prefixlen <= 24:
        raise _unexpected(value, expected)
    return str(found)


def percentages(value: object) -> tuple[int, ...]:
    """Read percentages in ascending order."""
    found: tuple[int, ...] = listed(number(1, 99))(value)
    if list(found) != sorted(set(found)):
        raise _unexpected(value, "percentages in ascending order")
    return found


instance_type = text(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an EC2 instance type such as t3.small")
