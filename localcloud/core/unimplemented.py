"""What the local cloud cannot do is an error of AWS's form: never a page of HTML, never a server's fault.

moto raises for an action that it does not have, and answers with a page for an address that it does not know
or
when it fails itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import Any

from flask import request
from moto.core.responses import BaseResponse

from ingot.progress import Progress
from localcloud.core.moto_types import ApiHandler
from localcloud.core.patching import Patches
from localcloud.core.refusals import Refusal, answer

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
MARK = "localcloud.unimplemented"  # in a request's environment: the action that is not there


def install(patches: Patches) -> None:
    """Mark requests for actions that nobody implements."""

    def marking(original: Callable[[ApiHandler], Any]) -> Callable[[ApiHandler], Any]:
        def call_action(handler: ApiHandler) -> Any:  # noqa: ANN401 - moto's triple
            try:
                return original(handler)
            except NotImplementedError:
                request.environ[MARK] = handler._get_action()
                return 501, {}, ""

        return call_action

    patches.replace(BaseResponse, "call_action", marking)


def worded(
    application: WsgiApp, signed_for: Callable[[dict[str, Any]], tuple[str, str]], log: Progress
) -> WsgiApp:
    """Return an application that answers in AWS's form where moto cannot answer."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun: list[Any] = []

        def begin(status: str, headers: list[tuple[str, str]], *rest: object) -> Callable[[bytes], object]:
            begun[:] = [status, headers, rest]
            return lambda _data: None

        try:
            body = application(environ, begin)
        except Exception as error:  # noqa: BLE001 - a client must get an answer that it can read
            log("".join(traceback.format_exception(error)))
            return answer(_failed(signed_for(environ)[0]), environ, start_response)
        status, headers, rest = begun
        code = int(status.split()[0])
        if code >= 400:
            body = list(body)
            refusal = _refusal(environ, signed_for(environ)[0], code, b"".join(body))
            if refusal is not None:
                return answer(refusal, environ, start_response)
        start_response(status, headers, *rest)
        return body

    return wrapped


def _refusal(environ: dict[str, Any], service: str, status: int, body: bytes) -> Refusal | None:
    action = environ.get(MARK)
    if action:
        return Refusal("InvalidAction", f"The local cloud does not implement {action}.", service)
    if not service or not body[:20].lower().startswith(b"<!doctype html"):
        return None
    if status == 404:
        return Refusal("InvalidAction", f"The local cloud has no such operation of {service}.", service)
    return _failed(service)


def _failed(service: str) -> Refusal:
    return Refusal("InternalFailure", "The local cloud failed; its daemon.log says why.", service)
