"""What EC2 says of one instance."""

from __future__ import annotations

from botocore.exceptions import ClientError

from ingot.aws.session.clients import Clients
from ingot.aws.session.failures import is_missing


def instance_state(clients: Clients, instance_id: str) -> tuple[str, str]:
    """Return the name of an instance's state, and the reason for it where EC2 gives one ("" else)."""
    try:
        answer = clients.ec2.describe_instances(InstanceIds=[instance_id])
    except ClientError as error:
        if is_missing(error):  # EC2 is eventually consistent: a new instance may be unknown for seconds
            return "pending", ""
        raise
    instance = answer["Reservations"][0]["Instances"][0]
    return instance["State"]["Name"], instance.get("StateReason", {}).get("Message", "")
