"""What the steps of a publish have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingot.aws.publish.cleanup.attempt import Attempt, attempting
from ingot.aws.publish.image import Subject
from ingot.aws.publish.settings import PublishSettings
from ingot.progress import Progress

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ingot.aws.publish.cleanup.journal import Journal
    from ingot.aws.session.clients import Clients


@dataclass(frozen=True)
class Publication:
    """A publish that is under way: the image, the account and region, the journal that is locked for it."""

    subject: Subject
    clients: Clients
    settings: PublishSettings
    journal: Journal
    progress: Progress

    def attempt(self) -> AbstractContextManager[Attempt]:
        """Run the body as one attempt: see :func:`ingot.aws.publish.cleanup.attempt.attempting`."""
        return attempting(self.clients, self.journal, self.progress)
