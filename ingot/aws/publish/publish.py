"""Baked image to published AMI: the steps, in order. Whatever fails, nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ingot.aws.publish import ami, registry
from ingot.aws.publish.attempt import Attempt, attempt
from ingot.aws.publish.image import DiskImage, Published, Subject
from ingot.aws.publish.journal import Journal, Target, open_journal
from ingot.aws.publish.parent import find_parent
from ingot.aws.publish.proving import await_verdict, launch_clone
from ingot.aws.publish.settings import CloneSettings, PublishSettings
from ingot.aws.publish.snapshot import send_blocks, start_snapshot
from ingot.aws.publish.sweep import sweep
from ingot.aws.session import tags
from ingot.aws.session.failures import translated
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


def publish(image: DiskImage, clients: Clients, settings: PublishSettings, progress: Progress) -> Published:
    """Publish an image as an AMI that the registry names, and return it; the same digest is never published twice.

    Raises PublishError: a block, a call or a test failed, or another process publishes the same digest.
    """
    subject = Subject.of(image)
    with publishing(subject, clients, settings, progress) as (journal, found):
        if found is not None:
            return found
        return _publish_anew(image, subject, clients, settings, journal, progress)


@contextmanager
def publishing(
    subject: Subject, clients: Clients, settings: PublishSettings, progress: Progress
) -> Iterator[tuple[Journal, Published | None]]:
    """Hold the journal of a publish, after what dead ones left is gone; give it, and the AMI when there is one already.

    Errors of AWS leave as PublishError.
    """
    with translated(PublishError):
        account = clients.sts.get_caller_identity()["Account"]
        target = Target(account, clients.region, subject.recipe, subject.digest)
        directory = settings.records / "publishing"
        with open_journal(directory, target) as journal:
            sweep(clients, journal, directory, target, progress)
            found = find_published(clients, subject.recipe, subject.digest)
            if found is not None:
                journal.remove()
            yield journal, found


def find_published(clients: Clients, recipe: str, digest: str) -> Published | None:
    """Return the AMI of a recipe digest when it was published before; None when it must be published.

    An AMI that passed its tests but which the registry does not name (the parameter was deleted, or the publish was killed just
    before its last step) is entered again.
    """
    found = registry.find(clients, recipe, digest)
    if found is None:
        tested = ami.find_by_digest(clients, recipe, digest, tags.PUBLISHED)
        if (
            tested is not None
            and registry.put(clients, recipe, digest, digest[:12], tested.ami_id) == tested.ami_id
        ):
            found = tested
    return found


def _publish_anew(
    image: DiskImage,
    subject: Subject,
    clients: Clients,
    settings: PublishSettings,
    journal: Journal,
    progress: Progress,
) -> Published:
    untested = ami.find_by_digest(clients, subject.recipe, subject.digest, tags.UNTESTED)
    with attempt(clients, journal, progress) as trying:
        if untested is None:
            parent = find_parent(clients, subject, settings.manifest_of)
            started = start_snapshot(clients, subject, trying.publish_id, parent, pace=settings.pace)
            trying.made("snapshot", started.snapshot_id)
            origin = f"child of {started.parent.snapshot_id}" if started.parent else "no parent"
            progress(f"snapshot {started.snapshot_id} started ({origin})")
            sent = send_blocks(clients, started, image.disk, subject.blocks, progress)
            ami_id = ami.register_image(clients, subject, started.snapshot_id, trying.publish_id)
            trying.made("image", ami_id)
            progress(f"AMI {ami_id} registered")
            ami.wait_available(clients, ami_id)
            made = Published(
                ami_id, started.snapshot_id, subject.recipe, subject.digest, subject.blocks.root_digest, sent
            )
        else:
            # Not this attempt's: another machine may be testing it now, so a failure here leaves it alone.
            made = untested
        return enter_tested(subject, made, clients, settings, trying, progress)


def enter_tested(
    subject: Subject,
    made: Published,
    clients: Clients,
    settings: PublishSettings,
    trying: Attempt,
    progress: Progress,
) -> Published:
    """Test the AMI and let the registry name it; without a test clone it stays untested and unnamed. The attempt is then kept."""
    if settings.clone is None:
        ami.mark(clients, [made.ami_id, made.snapshot_id], tags.UNTESTED)
        trying.keep()
        return made
    prove(clients, subject, made, settings.clone, trying, progress)
    return _enter(clients, subject, made, trying, progress)


def prove(
    clients: Clients,
    subject: Subject,
    made: Published,
    settings: CloneSettings,
    trying: Attempt,
    progress: Progress,
) -> None:
    """Launch a test clone of the AMI and wait until it passed the recipe's tests; it is terminated in any case."""
    instance_id = launch_clone(clients, subject, made.ami_id, settings, trying.publish_id)
    trying.made("instance", instance_id)
    progress(f"test clone {instance_id} launched")
    # On a failure the attempt terminates the clone, before the AMI that it was launched from goes.
    await_verdict(clients, subject, instance_id, settings, progress)
    progress(
        f"test clone {instance_id} passed {len(subject.manifest.get('tests', []))} tests; terminating it"
    )
    trying.release_instances(progress)


def _enter(
    clients: Clients, subject: Subject, made: Published, trying: Attempt, progress: Progress
) -> Published:
    """Let the registry name the AMI: the last step, after which the publish has happened.

    The tags come first: killed between the two, the next publish finds a tested AMI and only enters it.
    """
    ami.mark(clients, [made.ami_id, made.snapshot_id], tags.PUBLISHED)
    if not made.reused:
        # Before it is put: an interrupt right after that must not leave the registry naming an AMI that is removed.
        trying.made("parameter", registry.entry(subject.recipe, subject.digest, made.ami_id))
    held = registry.put(clients, subject.recipe, subject.digest, subject.version, made.ami_id)
    if held == made.ami_id:
        trying.keep()
        progress(f"the registry names {made.ami_id}")
        return made
    if made.reused:
        progress(f"another machine published {held} meanwhile; {made.ami_id} stays, untested")
        ami.mark(clients, [made.ami_id, made.snapshot_id], tags.UNTESTED)
    else:
        progress(f"another machine published {held} meanwhile; removing {made.ami_id}")
        trying.undo(progress)
    winner = registry.find(clients, subject.recipe, subject.digest)
    if winner is None:
        raise PublishError(f"the registry named {held}, which is gone now", hint="publish again")
    trying.keep()
    return winner
