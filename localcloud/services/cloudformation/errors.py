"""Errors of CloudFormation's API and of its operations."""

from __future__ import annotations


class CfnError(Exception):
    """An error that the API answers with. ``code`` is AWS's."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ResourceFailure(Exception):  # noqa: N818 - it is what CloudFormation calls it
    """A resource could not be created, updated or deleted: the reason goes into the stack's events."""
