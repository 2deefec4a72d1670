"""Retries of EBS direct's requests: a transfer of thousands of blocks may retry often, but not for ever."""

from __future__ import annotations

from ingot.aws.session.failures import AwsError, explain, hint_for, is_missing, is_transient
from ingot.errors import PublishError
from ingot.retry import BLOCKS, Retries, Verdict


def block_retries(budget: int, *, pace: float = 1.0) -> Retries:
    """Return the retries of one transfer, at most ``budget`` in all; its failures are PublishErrors."""
    return Retries(BLOCKS, _classify, _failure, budget, pace=pace)


def _classify(error: Exception) -> Verdict | None:
    if not isinstance(error, AwsError):
        return None
    if is_transient(error):
        return Verdict.TRANSIENT
    return Verdict.MISSING if is_missing(error) else Verdict.FINAL


def _failure(what: str, error: Exception, attempt: int) -> PublishError:
    if not attempt:
        return PublishError(f"{what}: {explain(error)}; too many requests failed in this transfer")
    return PublishError(f"{what}: {explain(error)} (attempt {attempt})", hint=hint_for(error))
