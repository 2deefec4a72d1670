"""What the Parameter Store refuses. Source: Systems Manager API reference, PutParameter."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import code_of


def test_a_parameter_fits_its_pattern(client: Any) -> None:
    given = {"Name": "/number", "Type": "String", "AllowedPattern": r"^\d+$"}
    with pytest.raises(ClientError) as caught:
        client("ssm").put_parameter(Value="one", **given)
    assert code_of(caught) == "ParameterPatternMismatchException"
    client("ssm").put_parameter(Value="1", **given)
