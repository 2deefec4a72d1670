"""Every call of AWS goes through here: repeated by the table of `ingot.retry`, its answer checked, and what
it made noted, because AWS may not know that yet.

botocore retries nothing itself: it knows neither what this process made a moment ago, nor that an answer is
empty. A client's calls, those of its paginators and waiters included, all end in its ``_make_api_call``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ingot import process
from ingot.aws.session.failures import AwsError, MalformedAnswerError, failure_of, is_missing
from ingot.aws.session.pace import Pace
from ingot.retry import CONTROL, Failure, Recent, Retries, Verdict, judge

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.model import OperationModel

Call = Callable[[str, dict[str, Any]], dict[str, Any]]

# These are repeated by whoever transfers the blocks, with one budget for all of them.
TRANSFERS = frozenset({"PutSnapshotBlock", "GetSnapshotBlock", "ListSnapshotBlocks"})
BLOCKS = TRANSFERS | {"StartSnapshot", "CompleteSnapshot"}
REMOVALS = frozenset({"DeleteSnapshot", "DeregisterImage", "TerminateInstances", "DeleteParameter"})
# What Ingot reads of answers, and cannot do without. EC2 and the others send a list that is empty, too.
NEEDED = {
    "CompleteSnapshot": "Status",
    "CreateRestoreImageTask": "ImageId",
    "CreateStoreImageTask": "ObjectKey",
    "DescribeImages": "Images",
    "DescribeInstances": "Reservations",
    "DescribeInstanceTypes": "InstanceTypes",
    "DescribeLaunchTemplateVersions": "LaunchTemplateVersions",
    "DescribeRouteTables": "RouteTables",
    "DescribeSnapshots": "Snapshots",
    "DescribeStacks": "Stacks",
    "DescribeStoreImageTasks": "StoreImageTaskResults",
    "DescribeSubnets": "Subnets",
    "GetCallerIdentity": "Account",
    "GetConsoleOutput": "InstanceId",
    "GetEbsEncryptionByDefault": "EbsEncryptionByDefault",
    "GetLogEvents": "events",
    "GetObject": "Body",
    "GetParameter": "Parameter",
    "PutParameter": "Version",
    "PutObject": "ETag",
    "PutSnapshotBlock": "Checksum",
    "RegisterImage": "ImageId",
    "RunInstances": "Instances",
    "StartSnapshot": "SnapshotId",
    "TerminateInstances": "TerminatingInstances",
}


def _made(operation: str, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    """Return the identifiers of what a call made."""
    if operation == "StartSnapshot":
        return [answer["SnapshotId"]]
    if operation in ("RegisterImage", "CreateRestoreImageTask"):
        return [answer["ImageId"]]
    if operation == "RunInstances":
        return [instance["InstanceId"] for instance in answer["Instances"]]
    return [parameters["Name"]] if operation == "PutParameter" else []


CREATIONS = ("StartSnapshot", "RegisterImage", "CreateRestoreImageTask", "RunInstances", "PutParameter")


def _strings(value: object) -> Iterator[str]:
    """Give all texts in a call's parameters."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)


def _fresh(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a call's parameters; what they hold besides dictionaries and lists is shared."""

    def copied(value: object) -> object:
        if isinstance(value, dict):
            return {key: copied(part) for key, part in value.items()}
        return [copied(part) for part in value] if isinstance(value, list) else value

    return {key: copied(part) for key, part in parameters.items()}


class Calls:
    """The calls of one account and region. ``recent``: what was made by them."""

    def __init__(self) -> None:
        self.recent = Recent()
        self._answered = threading.local()
        self._paces: dict[str, Pace] = {}

    @contextmanager
    def paced(self, operation: str, pace: Pace) -> Iterator[None]:
        """Let each try of an operation wait for its turn, and tell the pace of refusals, in the body."""
        self._paces[operation] = pace
        try:
            yield
        finally:
            del self._paces[operation]

    def govern(self, client: BaseClient) -> None:
        """Let all calls of a client go through here."""
        client.meta.events.register("before-parse", self._check_body)
        # The one method that all of a client's operations call; boto3 itself extends clients at this place.
        call: Call = client._make_api_call  # type: ignore[attr-defined]
        vars(client)["_make_api_call"] = partial(self._call, call)

    def _call(self, call: Call, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if process.listener is not None:
            process.listener(f"AWS {operation}")
        once = partial(self._once, call, operation, parameters)
        if operation in TRANSFERS:
            return once()
        return _Repeated(self.recent, operation, parameters).run(once)

    def _once(self, call: Call, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        pace = self._paces.get(operation)
        if pace is not None:
            pace.wait()
        self._answered.yet = False
        try:
            # botocore writes into the parameters: UserData would be encoded once more by each try.
            answer = call(operation, _fresh(parameters))
        except AwsError as error:
            failure = failure_of(error)
            if pace is not None and failure is not None and judge(failure) is Verdict.THROTTLED:
                pace.refused()
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if not self._answered.yet:
                raise
            raise MalformedAnswerError(
                operation=operation, problem=f"what cannot be read: {error!r}"
            ) from error
        needed = NEEDED.get(operation)
        if needed is not None and answer.get(needed) is None:
            raise MalformedAnswerError(operation=operation, problem=f"an answer without {needed}")
        return answer

    def _check_body(
        self, operation_model: OperationModel, response_dict: dict[str, Any], **_more: object
    ) -> None:
        """Refuse a body that was cut off, and JSON that is none: botocore takes it for an empty answer."""
        self._answered.yet = True
        protocol = operation_model.service_model.resolved_protocol
        body = response_dict["body"]
        announced = response_dict["headers"].get("Content-Length", "")
        if (
            isinstance(body, bytes)
            and operation_model.http.get("method") != "HEAD"
            and announced.isdigit()
            and len(body) < int(announced)
        ):
            problem = f"{len(body)} of {announced} bytes"
            raise MalformedAnswerError(operation=operation_model.name, problem=problem)
        shape = operation_model.output_shape
        if (
            response_dict["status_code"] >= 300
            or protocol not in ("json", "rest-json")
            or shape is None
            or "payload" in shape.serialization
            or not any("location" not in member.serialization for member in shape.members.values())
        ):
            return
        try:
            whole = isinstance(json.loads(body), dict)
        except ValueError:
            whole = False
        if not whole:
            problem = "what is not JSON" if body else "an empty body"
            raise MalformedAnswerError(operation=operation_model.name, problem=problem)


class _Repeated:
    """One call, until it is answered."""

    def __init__(self, recent: Recent, operation: str, parameters: Mapping[str, Any]) -> None:
        self._recent = recent
        self._operation = operation
        self._parameters = parameters
        self._unclear = False

    def run(self, once: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            answer = Retries(CONTROL, self._diagnose, self._give_up).call(once, self._operation)
        except AwsError as error:
            if self._operation in REMOVALS and is_missing(error):
                self._forget()
            raise
        for identifier in _made(self._operation, self._parameters, answer):
            self._recent.note(identifier)
        if self._operation in REMOVALS:
            self._forget()
        return answer

    def _forget(self) -> None:
        if self._operation != "TerminateInstances":  # EC2 describes an instance long after its end
            for identifier in _strings(self._parameters):
                self._recent.forget(identifier)

    def _diagnose(self, error: Exception, began: float) -> Failure | None:
        # What an earlier try removed, though its answer was lost, is not found because it is gone.
        gone = self._unclear and self._operation in REMOVALS
        age = None if gone else self._recent.age(_strings(self._parameters), began)
        failure = failure_of(error, age=age, blocks=self._operation in BLOCKS)
        self._unclear = self._unclear or (failure is not None and judge(failure) is Verdict.TRANSIENT)
        return failure

    def _give_up(self, _what: str, error: Exception, attempt: int) -> Exception:
        response = getattr(error, "response", None)
        if isinstance(response, dict):  # as botocore counts: not the tries, the repetitions
            response.setdefault("ResponseMetadata", {})["RetryAttempts"] = attempt - 1
        if self._operation in CREATIONS and self._unclear:
            self._recent.unanswered.append(self._operation)
        return error
