"""Retries of what `ingot.aws.session.calls` does not repeat: EBS direct's blocks, of which a transfer has
thousands (they may be repeated often, but not for ever), and answers that are read apart from their call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from botocore.exceptions import ClientError

from ingot.aws.session.failures import AwsError, explain, failure_of, hint_for
from ingot.errors import PublishError
from ingot.retry import BLOCKS, CONTROL, POLLING, Budget, Failure, Recent, Retries


def block_retries(
    repetitions: int, *, pace: float = 1.0, snapshot: str = "", recent: Recent | None = None
) -> Retries:
    """Return the retries of one transfer, at most ``repetitions`` in all; its failures are PublishErrors.

    ``snapshot``: whose blocks they are, and ``recent`` knows its age.
    """
    diagnose = partial(_diagnose, (snapshot,), recent or Recent())
    return Retries(BLOCKS, diagnose, _failure, Budget(repetitions), pace=pace)


def control_retries() -> Retries:
    """Return the retries of a request whose answer is read after the call; failures are PublishErrors."""
    return Retries(CONTROL, lambda error, _began: failure_of(error), _failure)


def retries_until(deadline: float) -> Retries:
    """Return the retries of a request that a clean-up needs: outages and throttling are sat out until then
    (as `ingot.retry.now` gives it). Its failures are AWS's own.
    """
    return Retries(
        POLLING,
        lambda error, _began: failure_of(error),
        lambda _what, error, _attempt: error,
        deadline=deadline,
    )


def _diagnose(names: tuple[str, ...], recent: Recent, error: Exception, began: float) -> Failure | None:
    return failure_of(error, age=recent.age(names, began), blocks=True)


def _failure(what: str, error: Exception, attempt: int) -> PublishError:
    if not attempt:
        return PublishError(f"{what}: {explain(error)}; too many requests failed in this transfer")
    return PublishError(f"{what}: {explain(error)} (attempt {attempt})", hint=hint_for(error))


def reading_retries() -> Retries:
    """Return the retries of what asks for an object of S3 and reads it: the body comes after the call, and
    may break off. What the call itself raises was repeated there, and is raised as it is.
    """
    return Retries(
        CONTROL, lambda error, _began: None if isinstance(error, ClientError) else failure_of(error), _failure
    )


@contextmanager
def named(what: str) -> Iterator[None]:
    """Let AWS's errors leave the body as PublishErrors that begin with what was done."""
    try:
        yield
    except AwsError as error:
        raise PublishError(f"{what}: {explain(error)}", hint=hint_for(error)) from error
