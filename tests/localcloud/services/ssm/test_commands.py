"""Run Command reaches no machine of the local cloud, and says so."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import code_of


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceId"),
        ({"Targets": [{"Key": "tag:Name", "Values": ["web"]}]}, "InvalidTarget"),
    ],
)
def test_no_command_pretends_to_have_run(client: Any, named: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        client("ssm").send_command(
            DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]}, **named
        )
    assert code_of(caught) == code
    assert client("ssm").list_commands()["Commands"] == []
