"""EC2 takes few characters in descriptions. Source: EC2 API reference, CreateSecurityGroup and IpRange."""

from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import code_of

REFUSED = ["Session Manager's agent", "Zugang für alle", 'a "name"', "a\ttab", "x" * 256]


@pytest.fixture
def group(client: Any) -> str:
    group: str = client("ec2").create_security_group(
        GroupName=uuid4().hex, Description="a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
    )["GroupId"]
    return group


@pytest.mark.parametrize("description", REFUSED)
def test_a_group_with_another_character_is_refused(client: Any, description: str) -> None:
    with pytest.raises(ClientError, match="Invalid security group description") as caught:
        client("ec2").create_security_group(GroupName="g", Description=description)
    assert code_of(caught) == "InvalidParameterValue"


@pytest.mark.parametrize("description", REFUSED)
@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("kind", ["range", "group"])
def test_a_rule_with_another_character_is_refused(
    client: Any, group: str, direction: str, description: str, kind: str
) -> None:
    authorize = getattr(client("ec2"), f"authorize_security_group_{direction}")

    def rule(text: str) -> dict[str, Any]:
        peers = {
            "range": {"IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": text}]},
            "group": {"UserIdGroupPairs": [{"GroupId": group, "Description": text}]},
        }
        return {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, **peers[kind]}

    with pytest.raises(ClientError, match="Invalid rule description") as caught:
        authorize(GroupId=group, IpPermissions=[rule(description)])
    assert code_of(caught) == "InvalidParameterValue"
    authorize(GroupId=group, IpPermissions=[rule("Agent of Session Manager")])
