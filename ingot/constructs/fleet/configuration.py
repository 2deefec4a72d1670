"""What a fleet tells its clones when they boot: values in user data, and where the clones fetch the others.

User data has a line for each name that the recipe declares under ``configuration``; the program in the image
reads them (``ingot/bake/image/rootfs/configure.pl``). To cloud-init and to shells such a line is a comment,
so that user data of the app's own goes before them as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import Fn, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from ingot.constructs.fleet.network import CalledService
from ingot.constructs.machines import arn
from ingot.errors import InputError
from ingot.recipe.schema.configuration import Configuration as Declared

# "User data is limited to 16 KB, in raw form, before it is base64-encoded": EC2 user guide.
MOST_USER_DATA = 16384
# To cloud-init, user data of comments alone are of no known type, which it warns of.
EMPTY = "#cloud-config\n{}\n"


@dataclass(frozen=True)
class SecretKey:
    """One key of a secret that is a JSON object, such as the password of a database's."""

    secret: secretsmanager.ISecret
    key: str
    """The name of the key."""


Parameter = ssm.IStringParameter | str
Secret = secretsmanager.ISecret | SecretKey


@dataclass(frozen=True)
class Configuration:
    """What clones are told: by the name that the recipe declares, a value or where it is."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Values of variables. They are in the template, and EC2 shows them in user data: no secrets."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """Variables that are SSM parameters: constructs, or names of parameters in the stack's region."""
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    """Files in /run/ingot/secrets that are secrets of Secrets Manager, or a key of one."""

    def check(self, where: str, recipe: str, declared: Declared | None) -> None:
        """Raise InputError unless the values are those of the names that the recipe declares."""
        twice = sorted(self.environment.keys() & self.parameters.keys())
        if twice:
            raise InputError(
                f"{where}: {', '.join(twice)} is in environment and in parameters",
                hint="give each variable in one of them",
            )
        variables = {**self.environment, **self.parameters}
        problems = []
        for kind, given, names in (
            ("variable", variables, declared.environment if declared else {}),
            ("secret", self.secrets, declared.secrets if declared else {}),
        ):
            problems += [
                f"no value of the {kind} {name}, which the recipe {recipe} declares"
                for name in sorted(names.keys() - given.keys())
            ]
            problems += [
                f"the {kind} {name}, which the recipe {recipe} does not declare"
                for name in sorted(given.keys() - names.keys())
            ]
        if problems:
            raise InputError(
                f"{where}: {'; '.join(problems)}",
                hint="give variables in environment= or parameters= and secrets in secrets=, for the names "
                f"under configuration in the recipe {recipe}",
            )

    @property
    def services(self) -> dict[str, CalledService]:
        """The services that clones fetch from, each with an id for its endpoint."""
        found = {}
        if self.parameters:
            found["Ssm"] = CalledService(ec2.InterfaceVpcEndpointAwsService.SSM, "Parameters of clones")
        if self.secrets:
            endpoint = ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER
            found["SecretsManager"] = CalledService(endpoint, "Secrets of clones")
        return found

    def lines(self) -> str:
        """Return the lines of user data; values that only a deployment knows are in it as tokens."""
        lines = [f"variable {name} value {_base64(value)}" for name, value in self.environment.items()]
        lines += [f"variable {name} parameter {_name(given)}" for name, given in self.parameters.items()]
        for name, given in self.secrets.items():
            secret, key = _secret(given)
            lines.append(f"secret {name} secret {_arn(secret)}" + (f" {_base64(key)}" if key else ""))
        return "".join(f"# ingot: {line}\n" for line in sorted(lines, key=lambda line: line.split()[:2]))

    def grant(self, scope: Construct, role: iam.IRole) -> None:
        """Let the role read these parameters and secrets, and nothing more."""
        if self.parameters:
            iam.Grant.add_to_principal(
                grantee=role,
                actions=["ssm:GetParameters"],
                resource_arns=_unique([_parameter_arn(scope, given) for given in self.parameters.values()]),
            )
        secrets = {secret.node.path: secret for secret, _ in map(_secret, self.secrets.values())}
        if secrets:
            iam.Grant.add_to_principal(
                grantee=role,
                actions=["secretsmanager:GetSecretValue"],
                resource_arns=_unique([_arn(secret, wild=True) for secret in secrets.values()]),
            )
        for secret in secrets.values():
            if secret.encryption_key is not None:
                # Secrets Manager decrypts as its caller.
                service = f"secretsmanager.{Stack.of(scope).region}.amazonaws.com"
                secret.encryption_key.grant_decrypt(kms.ViaServicePrincipal(service, role.grant_principal))


def user_data_of(where: str, configuration: Configuration, given: ec2.UserData | None) -> str | None:
    """Return the whole user data of clones, None when there are none; raise InputError for too much."""
    own = "" if given is None else given.render()
    lines = configuration.lines()
    if not own and not lines:
        return None
    text = own or EMPTY
    if lines:
        text = text + ("" if text.endswith("\n") else "\n") + lines
    size = len(text.encode())
    if size > MOST_USER_DATA:
        raise InputError(
            f"{where}: {size} bytes of user data; EC2 takes {MOST_USER_DATA}",
            hint="put long values into SSM parameters or secrets",
        )
    return text


def _base64(value: str) -> str:
    """Return a value that may be a token: CloudFormation then encodes it, whatever is in it by then."""
    if Token.is_unresolved(value):
        return Fn.base64(value)
    return base64.b64encode(value.encode()).decode()


def _name(parameter: Parameter) -> str:
    return parameter if isinstance(parameter, str) else parameter.parameter_name


def _parameter_arn(scope: Construct, parameter: Parameter) -> str:
    if isinstance(parameter, str):
        return arn(scope, "ssm", f"parameter/{parameter.lstrip('/')}")
    return parameter.parameter_arn


def _secret(given: Secret) -> tuple[secretsmanager.ISecret, str | None]:
    return (given.secret, given.key) if isinstance(given, SecretKey) else (given, None)


def _arn(secret: secretsmanager.ISecret, *, wild: bool = False) -> str:
    """Return a secret's ARN; ``wild``: for policies, where the random end of one known by name stays open."""
    if secret.secret_full_arn is not None:
        return secret.secret_full_arn
    return f"{secret.secret_arn}-??????" if wild else secret.secret_arn


def _unique(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))
