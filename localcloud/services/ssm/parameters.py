"""What the Parameter Store refuses and moto takes. Source: Systems Manager API reference, PutParameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

from moto.core.exceptions import JsonRESTError
from moto.ssm.models import SimpleSystemManagerBackend

from localcloud.core.moto_types import Backend
from localcloud.core.patching import Patches

LARGEST = {"Standard": 4096, "Advanced": 8192}  # bytes


def install(patches: Patches) -> None:
    """Check PutParameter: the value fits its AllowedPattern and its tier."""

    def checked(original: Callable[..., object]) -> Callable[..., object]:
        signature = inspect.signature(original)

        def put_parameter(backend: Backend, *rest: object, **named: object) -> object:
            given = signature.bind(backend, *rest, **named).arguments
            pattern = given.get("allowed_pattern")
            if pattern and not re.search(pattern, str(given.get("value") or "")):
                raise JsonRESTError(
                    "ParameterPatternMismatchException",
                    f"Parameter value, cannot be validated against allowedPattern: {pattern}",
                )
            _check_size(str(given.get("value") or ""), str(given.get("tier") or "Standard"))
            return original(backend, *rest, **named)

        return put_parameter

    patches.replace(SimpleSystemManagerBackend, "put_parameter", checked)


def _check_size(value: str, tier: str) -> None:
    """Raise ValidationException for a value beyond its tier: "Managing parameter tiers", user guide."""
    size = len(value.encode())
    if size > LARGEST["Advanced"]:
        raise JsonRESTError(
            "ValidationException",
            f"Advanced tier parameters support a maximum parameter value of {LARGEST['Advanced']} "
            "characters.",
        )
    if tier == "Standard" and size > LARGEST["Standard"]:
        raise JsonRESTError(
            "ValidationException",
            f"Standard tier parameters support a maximum parameter value of {LARGEST['Standard']} "
            "characters. To "
            "create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.",
        )
