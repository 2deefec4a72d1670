"""The errors of the EBS direct APIs: AWS's codes, status codes and Reason fields.

Source: botocore's service model ``ebs/2019-11-02``.
"""

from __future__ import annotations

from pathlib import Path

STATUS = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 402,
    "ValidationException": 400,
}


class EbsError(Exception):
    """An error that goes to the caller.

    ``code`` is the exception's name, ``reason`` one of the model's enum.
    """

    def __init__(self, code: str, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.status = STATUS[code]

    def body(self) -> dict[str, str]:
        """Return the JSON body as AWS sends it."""
        body = {"Message": self.message[:256]}  # ErrorMessage has at most 256 characters
        if self.reason is not None:
            body["Reason"] = self.reason
        return body


def invalid(message: str, reason: str = "INVALID_PARAMETER_VALUE") -> EbsError:
    """Return a ValidationException."""
    return EbsError("ValidationException", message, reason)


def not_found(snapshot_id: str) -> EbsError:
    """Return the error for a snapshot that does not exist."""
    return EbsError(
        "ResourceNotFoundException", f"The snapshot '{snapshot_id}' does not exist.", "SNAPSHOT_NOT_FOUND"
    )


def full(directory: Path) -> EbsError:
    """Return the error for a disk of this machine that takes no more.

    AWS's own for an account that may have no more.
    """
    return EbsError(
        "ServiceQuotaExceededException",
        f"There is no room left on the file system of {directory}",
        "DEPENDENCY_SERVICE_QUOTA_EXCEEDED",
    )
