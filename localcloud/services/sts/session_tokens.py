"""GetSessionToken: moto answers everybody with the credentials of AWS's documentation, which nobody takes.

Source: STS API reference, GetSessionToken.
"""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.sts.exceptions import STSValidationError
from moto.sts.responses import TokenResponse

from localcloud.core.context import CloudContext
from localcloud.core.moto_types import ApiHandler
from localcloud.core.patching import Patches

DEFAULT, LEAST, MOST = 43_200, 900, 129_600  # seconds


def install(patches: Patches, context: CloudContext) -> None:
    """Issue credentials that act as their caller; GetFederationToken has no such thing here."""

    def get_session_token(handler: ApiHandler) -> ActionResult:
        seconds = handler._get_int_param("DurationSeconds", DEFAULT)
        if not LEAST <= seconds <= MOST:
            raise STSValidationError(
                f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy "
                "constraint: "
                f"Member must have value between {LEAST} and {MOST}"
            )
        session = context.sessions.issue(handler.get_access_key(), seconds)
        credentials = {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": session.expires,
        }
        return ActionResult({"Credentials": credentials})

    def get_federation_token(handler: ApiHandler) -> ActionResult:
        raise NotImplementedError("its session policies are not enforced")

    patches.add(TokenResponse, get_session_token=get_session_token, get_federation_token=get_federation_token)
