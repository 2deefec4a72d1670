"""A local cloud that enforces permissions: roles get policies, and what their credentials may do is tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from ingot.aws.session.clients import Clients
from localcloud.core.context import ACCOUNT
from localcloud.core.permissions import Guard
from localcloud.core.permissions.policy import Access

POLICIES = Path(__file__).parent.parent.parent / "ingot" / "policies"
REGION = "us-east-1"


def document(name: str, **words: str) -> dict[str, Any]:
    """A policy of the docs, for the local cloud's account and the app's stacks; ``words``
    are what else is filled in.
    """
    text = (POLICIES / f"{name}.json").read_text()
    known = {"ACCOUNT": ACCOUNT, "STACKS": "Ingot*", "BUILDER_STACK": "IngotBuilder"}
    for word, value in {**known, **words}.items():
        text = text.replace(word, value)
    return json.loads(text)


def actions(policy: dict[str, Any]) -> list[tuple[int, str]]:
    """Each action with the number of its statement."""
    return [
        (number, action)
        for number, statement in enumerate(policy["Statement"])
        for action in _listed(statement["Action"])
    ]


def without(policy: dict[str, Any], number: int, action: str) -> dict[str, Any]:
    """The policy without one action of one statement."""
    statements = []
    for index, statement in enumerate(policy["Statement"]):
        rest = [one for one in _listed(statement["Action"]) if index != number or one != action]
        if rest:
            statements.append({**statement, "Action": rest})
    return {**policy, "Statement": statements}


def narrowed(policy: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Each condition: the number of its statement, its operator and its key."""
    return [
        (number, operator, key)
        for number, statement in enumerate(policy["Statement"])
        for operator, tests in statement.get("Condition", {}).items()
        for key in tests
    ]


def widened(policy: dict[str, Any], number: int, operator: str, key: str) -> dict[str, Any]:
    """The policy without one condition of one statement."""
    statements = [json.loads(json.dumps(statement)) for statement in policy["Statement"]]
    conditions = statements[number]["Condition"]
    del conditions[operator][key]
    statements[number]["Condition"] = {name: tests for name, tests in conditions.items() if tests}
    return {**policy, "Statement": statements}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass
class Account:
    """``root`` may do anything; ``guard`` judges everybody else."""

    root: Clients
    root_by_proxy: Clients
    guard: Guard
    iam: Any
    sts: Any
    url: str  # where those who are judged call: a proxy that says what consoles hold

    def clients_with(self, *policies: dict[str, Any], role: str = "tester") -> Clients:
        """Clients of a role that has these policies and nothing else."""
        trust = {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}}
        try:
            arn = self.iam.get_role(RoleName=role)["Role"]["Arn"]
        except self.iam.exceptions.NoSuchEntityException:
            arn = self.iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))["Role"][
                "Arn"
            ]
        for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]:
            self.iam.delete_role_policy(RoleName=role, PolicyName=name)
        for number, policy in enumerate(policies):
            self.iam.put_role_policy(
                RoleName=role, PolicyName=f"p{number}", PolicyDocument=json.dumps(policy)
            )
        return self.clients_of(arn)

    def credentials(self, role_arn: str) -> dict[str, Any]:
        """Temporary credentials of a role, as its machine gets them."""
        return self.sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]

    def clients_of(self, role_arn: str) -> Clients:
        """Clients with the temporary credentials of a role."""
        given = self.credentials(role_arn)
        session = boto3.Session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            region_name=REGION,
        )
        return Clients(session, endpoint_url=self.url)

    def denied(self) -> list[Access]:
        """What was refused since the last look."""
        found = [access for _, access, granted in self.guard.asked if not granted]
        self.guard.asked.clear()
        return found

    def asked(self, work: Callable[[], object]) -> set[str]:
        """Which actions were asked for while ``work`` ran."""
        self.guard.asked.clear()
        work()
        return {access.action for _, access, _ in self.guard.asked}
