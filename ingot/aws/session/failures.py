"""What AWS's refusals mean, in words that say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    SSLError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

import ingot
from ingot.errors import IngotError
from ingot.retry import Failure, Verdict, codes_of, judge


class MalformedAnswerError(BotoCoreError):
    """AWS answered with success, and the answer is not what the operation answers."""

    fmt = "{operation} was answered with {problem}"


# Raised when the network, or an answer on it, was broken: the same request may well succeed.
BROKEN = (
    HTTPClientError,  # connections that were closed, timeouts, bodies that were cut off
    ConnectTimeoutError,
    EndpointConnectionError,
    SSLError,
    IncompleteReadError,
    ResponseParserError,
    MalformedAnswerError,
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"})
_DENIED_ACTION = re.compile(r"not authorized to perform: [a-z0-9-]+:(\w+)")
# The credentials were good and are no longer (STS API reference, Common errors; EC2 API error codes; SSO).
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "ExpiredTokenError"})
EXPIRED_ERRORS = (UnauthorizedSSOTokenError, TokenRetrievalError, CredentialRetrievalError)

# What docs/security.md says of them is proved: a denied call is answered with the statement that it lacks.
POLICIES = Path(ingot.__file__).parent / "policies"
# Operations whose action has another name.
ACTION_OF = {
    "DeleteObjects": "DeleteObject",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
}

# Errors of AWS, and of talking to it.
AwsError = (ClientError, BotoCoreError, ResponseParserError)


def code_of(error: BaseException) -> str:
    """Return AWS's error code, such as ``InvalidSnapshot.NotFound``; "" for an error without an answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def status_of(error: ClientError) -> int:
    """Return the HTTP status of AWS's answer; 0 when it is unknown."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def repetitions(error: BaseException) -> int:
    """Return how often the refused request had been sent before."""
    metadata = error.response.get("ResponseMetadata", {}) if isinstance(error, ClientError) else {}
    return int(metadata.get("RetryAttempts", 0))


def is_missing(error: BaseException) -> bool:
    """Say whether AWS answered that the thing does not exist (any more)."""
    code = code_of(error)
    return any(
        code.endswith(known[1:]) if known[:1] == "*" else code == known
        for known in codes_of(Verdict.SETTLING)
    )


def failure_of(error: Exception, *, age: float | None = None, blocks: bool = False) -> Failure | None:
    """Return an error of AWS as the table of `ingot.retry` judges it; None for an error of something else."""
    if isinstance(error, ClientError):
        text = str(error.response.get("Error", {}).get("Message", ""))
        return Failure(code_of(error), status_of(error), text, age=age, blocks=blocks)
    if isinstance(error, AwsError):
        return Failure(text=str(error), broken=isinstance(error, BROKEN))
    return None


def is_transient(error: Exception) -> bool:
    """Say whether the same request may well succeed later: AWS throttled it or failed, or the network did."""
    failure = failure_of(error)
    return failure is not None and judge(failure) in (Verdict.TRANSIENT, Verdict.THROTTLED)


def has_expired(error: BaseException) -> bool:
    """Say whether the credentials in use were good, and no longer are."""
    return code_of(error) in EXPIRED or isinstance(error, EXPIRED_ERRORS)


def explain(error: Exception) -> str:
    """Return one sentence for an error: which call failed, and what AWS said."""
    if has_expired(error):
        return f"the credentials in use have expired: {_said(error)}"
    if isinstance(error, ClientError):
        return f"{error.operation_name} was refused: {_said(error)}"
    return str(error) if isinstance(error, (*AwsError, TimeoutError)) else f"{type(error).__name__}: {error}"


def _said(error: Exception) -> str:
    if isinstance(error, ClientError):
        said = str(error.response.get("Error", {}).get("Message", "")).strip() or "no message"
        return f"{code_of(error) or 'unknown error'}: {said}"
    return str(error)


def hint_for(error: Exception) -> str | None:
    """Return what to do about an error of botocore, where that is known."""
    if code_of(error) in DENIED and isinstance(error, ClientError):
        # One call may ask for several permissions: StartSnapshot with tags also for ec2:CreateTags. AWS says
        # which was missing.
        denied = _DENIED_ACTION.search(_said(error))
        name = denied[1] if denied else error.operation_name
        statement = statement_for(name)
        needs = f"; add this to their policy:\n    {statement}\n  " if statement else "; "
        return f"the credentials in use need permission for {name}{needs}docs/aws.md lists all permissions"
    if has_expired(error):
        return (
            "renew the credentials (aws sso login, or a new session of the role), then run the same command "
            "again: it removes what this one left"
        )
    if isinstance(error, NoCredentialsError):
        return 'set up AWS credentials, or use the local cloud: eval "$(ingot cloud env)"'
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        if "//localhost:" in str(error) or "//127.0.0.1:" in str(error):
            return (
                "the local cloud does not run: start it by `ingot cloud up`; "
                "for AWS itself take a new shell, without what `ingot cloud env` set"
            )
        return "is the network up?"
    return None


def statement_for(operation: str, directory: Path = POLICIES) -> str | None:
    """Return the statements, as JSON, that allow an operation such as ``RunInstances`` with what we do with
    it.

    None when no policy has it.
    """
    name = ACTION_OF.get(operation, operation)
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(directory.glob("*.json")):
        for statement in json.loads(file.read_text(encoding="utf-8"))["Statement"]:
            for action in statement["Action"]:
                if action.partition(":")[2] == name:
                    found.setdefault(statement["Sid"], {**statement, "Action": action})
    return ",\n    ".join(json.dumps(statement) for statement in found.values()) or None


@contextmanager
def translated(kind: type[IngotError] = IngotError) -> Iterator[None]:
    """Let botocore's errors leave the body as errors of ours, in words."""
    try:
        yield
    except AwsError as error:
        raise kind(explain(error), hint=hint_for(error)) from error
