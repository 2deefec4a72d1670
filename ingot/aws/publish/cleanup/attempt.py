"""One attempt at a publish: what it makes is written down, and removed again unless it is kept."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ingot.aws.publish.cleanup.journal import Journal, Resource
from ingot.aws.publish.cleanup.leftovers import (
    PATIENCE,
    find_tagged,
    remove_all,
    remove_resource,
)
from ingot.aws.session import tags
from ingot.aws.session.failures import AwsError, explain, hint_for, is_transient
from ingot.aws.session.retry import retries_until
from ingot.errors import IngotError, PublishError
from ingot.interrupts import shielded, terminate_as_interrupt
from ingot.progress import Progress
from ingot.retry import now

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


class Attempt:
    """The resources of one attempt. `record` is called on the line after each is created."""

    def __init__(self, clients: Clients, journal: Journal, progress: Progress) -> None:
        self._clients = clients
        self._journal = journal
        self._progress = progress
        self._kept = False
        # What other attempts by these clients left unanswered is theirs.
        clients.recent.unanswered.clear()
        # 32 characters: it is part of ClientTokens, which EC2 limits to 64.
        self.publish_id = uuid.uuid4().hex
        journal.begin(self.publish_id)

    def record(self, kind: str, identifier: str) -> Resource:
        """Write down that a resource exists.

        It is removed when the attempt ends, unless `keep` was called.
        """
        return self._journal.record(kind, identifier)

    def drop_instances(self) -> None:
        """Terminate this attempt's instances now and wait until they are gone: the test clone has done its
        work.

        By their tag too, not only by their id: a lost answer may have cost a second clone.
        """
        until = now() + PATIENCE
        tagged = [resource for resource in self._tagged(until) if resource.kind == "instance"]
        noted = [resource for resource in self._journal.resources if resource.kind == "instance"]
        for resource in dict.fromkeys([*noted, *tagged]):
            remove_resource(self._clients, resource, until=until)
            self._journal.forget(resource)

    def release_instances(self) -> None:
        """Terminate this attempt's instances as `drop_instances` does; one that is slow to end does not cost
        the image.

        It stays in the journal, which the next publish of this digest or recipe works through.
        """
        try:
            self.drop_instances()
        except (*AwsError, TimeoutError) as error:
            if not (isinstance(error, TimeoutError) or is_transient(error)):
                raise
            self._progress(
                f"its instances are still terminating, the next publish looks after them: {explain(error)}"
            )

    def _tagged(self, until: float) -> list[Resource]:
        wanted = {tags.PUBLISH_ID: self.publish_id}
        found = retries_until(until).call(lambda: find_tagged(self._clients, wanted), "the publish's tags")
        return [resource for resource, _ in found]

    def keep(self) -> None:
        """Say that the attempt succeeded: what is left of it stays."""
        self._kept = True

    @property
    def kept(self) -> bool:
        """Whether the attempt succeeded."""
        return self._kept

    def close(self) -> None:
        """Remove the journal of an attempt that succeeded, unless an instance of it is still to go."""
        if not any(resource.kind == "instance" for resource in self._journal.resources):
            self._journal.remove()

    def undo(self) -> list[str]:
        """Remove everything that was made; return a line for each thing that could not be removed."""
        self._progress("removing what this publish made")
        problems: list[str] = []
        try:
            # First and by themselves: a builder that still runs could make more while the rest is being
            # removed.
            self.drop_instances()
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest must go, and this be named
            problems.append(f"its instances: {explain(error)}")
        tagged: list[Resource] = []
        try:
            # What AWS made although its answer never arrived is in no journal, but it has the tag.
            tagged = self._tagged(now() + PATIENCE)
        except Exception as error:  # noqa: BLE001 - as above
            problems.append(f"resources tagged {tags.PUBLISH_ID}={self.publish_id}: {explain(error)}")
        stayed = remove_all(
            self._clients,
            [*self._journal.resources, *tagged],
            self._journal.forget,
        )
        problems.extend(f"{resource.kind} {resource.id}: {why}" for resource, why in stayed)
        problems.extend(
            f"perhaps what {operation} made, tagged {tags.PUBLISH_ID}={self.publish_id}: no answer came"
            for operation in self._clients.recent.unanswered
            if not tagged
        )
        return problems


@contextmanager
def attempting(clients: Clients, journal: Journal, progress: Progress) -> Iterator[Attempt]:
    """Run the body as one attempt. Whatever ends it early - an error, Ctrl-C, SIGTERM - removes what it made.

    The journal is removed when nothing is left that should not be, else it stays for the next publish to
    finish the work. Errors of AWS leave as PublishError.
    """
    with terminate_as_interrupt():
        attempt = Attempt(clients, journal, progress)
        try:
            yield attempt
        except BaseException as error:
            with shielded():
                left = attempt.undo()
                if not left:
                    journal.remove()
            explained = _explained(error, left)
            if explained is error:
                for line in left:
                    progress(f"still there: {line}")
                raise
            raise explained from error
        if not attempt.kept:
            raise AssertionError("an attempt ended without a failure, and nobody said that it succeeded")
        attempt.close()


def _explained(error: BaseException, left: list[str]) -> BaseException:
    """Return the error to show: AWS's refusals in words, and what could not be removed."""
    rest = "".join(f"\n  still there: {line}" for line in left)
    hint = "run the same command again: it removes what is still there" if left else None
    if isinstance(error, AwsError):
        return PublishError(explain(error) + rest, hint=hint_for(error) or hint)
    if left and isinstance(error, LookupError | TypeError | ValueError):
        return PublishError(f"an answer was not as expected: {explain(error)}{rest}", hint=hint)
    if left and isinstance(error, IngotError):
        return PublishError(error.message + rest, hint=error.hint or hint)
    return error
