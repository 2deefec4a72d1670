"""What the Parameter Store refuses and moto takes. Source: Systems Manager API reference, PutParameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

from moto.core.exceptions import JsonRESTError
from moto.ssm.models import SimpleSystemManagerBackend

from localcloud.core.moto_types import Moto
from localcloud.core.patching import Patches


def install(patches: Patches) -> None:
    """Check PutParameter: the value fits its AllowedPattern."""

    def checked(original: Callable[..., Moto]) -> Callable[..., Moto]:
        signature = inspect.signature(original)

        def put_parameter(backend: Moto, *rest: Moto, **named: Moto) -> Moto:
            given = signature.bind(backend, *rest, **named).arguments
            pattern = given.get("allowed_pattern")
            if pattern and not re.search(pattern, str(given.get("value") or "")):
                raise JsonRESTError(
                    "ParameterPatternMismatchException",
                    f"Parameter value, cannot be validated against allowedPattern: {pattern}",
                )
            return original(backend, *rest, **named)

        return put_parameter

    patches.replace(SimpleSystemManagerBackend, "put_parameter", checked)
