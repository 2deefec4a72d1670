"""What AWS's refusals mean, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)

from ingot.aws.session.permissions import statement_for
from ingot.errors import IngotError

# Raised by botocore when the network, not AWS, failed: the same request may well succeed.
NETWORK_ERRORS = (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
)
# "Throttling" in its spellings: EBS direct says RequestThrottledException, EC2 RequestLimitExceeded.
THROTTLED = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "RequestThrottledException",
        "RequestThrottled",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "SlowDown",
    }
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"})

AwsError = (ClientError, BotoCoreError)


def code_of(error: BaseException) -> str:
    """Return AWS's error code, such as ``InvalidSnapshot.NotFound``; "" for an error without an answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def status_of(error: ClientError) -> int:
    """Return the HTTP status of AWS's answer; 0 when it is unknown."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: BaseException) -> bool:
    """Say whether AWS answered that the thing does not exist (any more)."""
    code = code_of(error)
    return code.endswith((".NotFound", ".Unavailable", "NotFoundException")) or code == "ParameterNotFound"


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may well succeed later: AWS throttled it or failed, or the network did."""
    if isinstance(error, ClientError):
        return code_of(error) in THROTTLED or status_of(error) >= 500
    return isinstance(error, NETWORK_ERRORS)


def explain(error: Exception) -> str:
    """Return one sentence for an error of botocore: which call failed, and what AWS said."""
    if isinstance(error, ClientError):
        said = str(error.response.get("Error", {}).get("Message", "")).strip() or "no message"
        return f"{error.operation_name} was refused: {code_of(error) or 'unknown error'}: {said}"
    return str(error)


def hint_for(error: Exception) -> str | None:
    """Return what to do about an error of botocore, where that is known."""
    if code_of(error) in DENIED and isinstance(error, ClientError):
        statement = statement_for(error.operation_name)
        needs = f"; add this to their policy:\n    {statement}\n  " if statement else "; "
        return (
            f"the credentials in use need permission for {error.operation_name}{needs}"
            "docs/aws.md lists all permissions"
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


@contextmanager
def translated(kind: type[IngotError] = IngotError) -> Iterator[None]:
    """Let botocore's errors leave the body as errors of ours, in words."""
    try:
        yield
    except AwsError as error:
        raise kind(explain(error), hint=hint_for(error)) from error
