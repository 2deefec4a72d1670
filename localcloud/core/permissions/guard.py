"""Asks the judge before a request reaches the cloud.

moto knows users, roles, keys and policies, but judges by action names alone: a statement with a narrow
``Resource`` never applies there, and conditions count for nothing. Here every resource and condition of a
request counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2 import ec2_backends
from moto.iam import iam_backends
from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key
from moto.secretsmanager.models import secretsmanager_backends
from moto.sts.models import sts_backends

from localcloud.core.context import CloudContext
from localcloud.core.permissions.accesses import accesses
from localcloud.core.permissions.policy import Access, allowed
from localcloud.core.permissions.requests import Cloud, parse
from localcloud.core.refusals import JSON_SERVICES, Refusal, answer

# What instances are always judged for, asked or not: that a machine may read a value is what its role is for.
OF_INSTANCES = ("ssm", "secretsmanager")
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class Guard:
    """Whether permissions are enforced, and what was asked for since.

    ``asked`` holds each access that was judged.
    """

    context: CloudContext
    enforcing: bool = False
    asked: list[tuple[str, Access, bool]] = field(default_factory=list)  # principal, access, allowed

    def wrap(self, application: WsgiApp, signed_for: Callable[[dict[str, Any]], tuple[str, str]]) -> WsgiApp:
        """Return an application that judges before it passes a request on."""

        def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            service, region = signed_for(environ)
            judged = self.enforcing or (service in OF_INSTANCES and self._is_instance(environ))
            if not judged or not service or _key(environ) == self.context.access_key:
                return application(environ, start_response)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            refusal = self._judge(environ, service, region, body)
            if refusal is None:
                return application(environ, start_response)
            return answer(Refusal(*refusal, service), environ, start_response)

        return guarded

    def _is_instance(self, environ: Mapping[str, Any]) -> bool:
        """Whether a request is signed with credentials of an instance's role, which name the instance."""
        session = sts_backends[self.context.account]["aws"].get_assumed_role_from_access_key(_key(environ))
        return session is not None and str(session.session_name).startswith("i-")

    def _judge(
        self, environ: dict[str, Any], service: str, region: str, body: bytes
    ) -> tuple[str, str] | None:
        """Return error code and message of a refusal; None when all is allowed."""
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
        headers = {"X-Amz-Security-Token": token} if token else {}
        try:
            principal = create_access_key(self.context.account, "aws", _key(environ), headers)
        except CreateAccessKeyFailure:
            return "InvalidClientTokenId", "The security token included in the request is invalid."
        policies = [IAMPolicy(policy)._policy_json for policy in principal.collect_policies()]
        refused = []
        for access in accesses(parse(self._cloud(), environ, service, region, body)):
            granted = allowed(policies, access)
            self.asked.append((principal.arn, access, granted))
            if not granted:
                refused.append(access)
        if not refused:
            return None
        return _code(service), f"User: {principal.arn} is not authorized to perform: {refused[0]}"

    def _cloud(self) -> Cloud:
        return Cloud(self.context.account, self._tags, self._template, self._roles, self._secret)

    def _tags(self, region: str, identifier: str) -> dict[str, str]:
        backend = ec2_backends[self.context.account][region]
        return {tag["key"]: tag["value"] for tag in backend.describe_tags({"resource-id": [identifier]})}

    def _template(self, region: str, named: Mapping[str, str]) -> tuple[str, Mapping[str, Any]]:
        backend = ec2_backends[self.context.account][region]
        version = backend._get_template_from_args(dict(named))
        return str(version.template.id), dict(version.data)

    def _roles(self, profile: str) -> list[str]:
        for known in iam_backends[self.context.account]["aws"].get_instance_profiles():
            if known.arn == profile:
                return [role.arn for role in known.roles]
        return []

    def _secret(self, region: str, identifier: str) -> str | None:
        secrets = secretsmanager_backends[self.context.account][region].secrets
        return str(secrets[identifier].arn) if identifier in secrets else None


def _code(service: str) -> str:
    if service == "ec2":
        return "UnauthorizedOperation"
    return "AccessDeniedException" if service in JSON_SERVICES else "AccessDenied"


def _key(environ: Mapping[str, Any]) -> str:
    credential = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2]
    return credential.partition("/")[0]
