"""Baked image to published AMI: the steps, in order. Whatever fails, nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ingot.aws.publish import ami
from ingot.aws.publish.blocks import DiskReader
from ingot.aws.publish.cleanup.attempt import Attempt
from ingot.aws.publish.cleanup.journal import PublishTarget, open_journal
from ingot.aws.publish.cleanup.leftovers import sweep, sweep_bundles
from ingot.aws.publish.image import DiskImage, Subject
from ingot.aws.publish.parent import find_parent
from ingot.aws.publish.proving import prove
from ingot.aws.publish.publication import Publication
from ingot.aws.publish.settings import PublishSettings
from ingot.aws.publish.snapshot import send_blocks, start_snapshot
from ingot.aws.registry import entries
from ingot.aws.registry.published import ManifestOf, Published, find, find_by_digest, no_manifest
from ingot.aws.session import tags
from ingot.aws.session.failures import translated
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


def publish(image: DiskImage, clients: Clients, settings: PublishSettings, progress: Progress) -> Published:
    """Publish an image as an AMI that the registry names, and return it; the same digest is never published
    twice.

    Raises PublishError: a block, a call or a test failed, or another process publishes the same digest.
    """
    subject = replace(Subject.of(image), archive=settings.archive)
    with publishing(subject, clients, settings, progress) as (publication, existing):
        if existing is not None:
            return existing
        manifest_of = settings.manifest_of
        untested = find_by_digest(clients, subject.recipe, subject.digest, tags.UNTESTED, manifest_of)
        with publication.attempt() as attempt:
            # An untested AMI is not this attempt's: another machine may be testing it now, so a failure
            # leaves it alone.
            if untested is not None and untested.snapshot_id:
                settings.check_snapshot(untested.snapshot_id, subject.blocks)
            published = untested or _register(image, publication, attempt)
            return enter_tested(publication, attempt, published)


@contextmanager
def publishing(
    subject: Subject, clients: Clients, settings: PublishSettings, progress: Progress
) -> Iterator[tuple[Publication, Published | None]]:
    """Lock the journal of a publish and remove what dead ones left; give the publish, and the AMI if it
    exists already.

    Errors of AWS leave as PublishError.
    """
    with translated(PublishError):
        account = clients.sts.get_caller_identity()["Account"]
        target = PublishTarget(account, clients.region, subject.recipe, subject.digest)
        directory = settings.records / "publishing"
        with open_journal(directory, target) as journal:
            sweep(clients, journal, directory, target, progress)
            existing = find_published(clients, subject.recipe, subject.digest, settings.manifest_of)
            if existing is not None:
                journal.remove()
            yield Publication(subject, clients, settings, journal, progress), existing


def find_published(
    clients: Clients, recipe: str, digest: str, manifest_of: ManifestOf = no_manifest
) -> Published | None:
    """Return the AMI of a recipe digest when it was published before; None when it must be published.

    An AMI that passed its tests but which the registry does not name (the parameter was deleted, or the
    publish was killed just before its last step) is entered again.
    """
    published = find(clients, recipe, digest, manifest_of)
    if published is None:
        tested = find_by_digest(clients, recipe, digest, tags.PUBLISHED, manifest_of)
        if tested is not None:
            entered = entries.put(clients, recipe, digest, digest[:12], tested.ami_id)
            published = tested if entered == tested.ami_id else None
    return published


def _register(image: DiskImage, publication: Publication, attempt: Attempt) -> Published:
    """Send the image's blocks and register the snapshot; or a bundle, for a root on an instance store."""
    subject = publication.subject
    if subject.on_instance_store:
        return _register_bundle(image, publication, attempt)
    parent = find_parent(publication.clients, subject, publication.settings.manifest_of)
    started = start_snapshot(publication, attempt.publish_id, parent)
    attempt.record("snapshot", started.snapshot_id)
    origin = f"child of {started.parent.snapshot_id}" if started.parent else "no parent"
    publication.progress(f"snapshot {started.snapshot_id} started ({origin})")
    sent = send_blocks(publication, started, image.disk)
    publication.settings.check_snapshot(started.snapshot_id, subject.blocks)
    ami_id = ami.register_image(publication, ami.root_volume(subject, started.snapshot_id), attempt)
    return Published(
        ami_id, started.snapshot_id, subject.recipe, subject.digest, subject.blocks.root_digest, sent
    )


def _register_bundle(image: DiskImage, publication: Publication, attempt: Attempt) -> Published:
    """Bundle the image's disk, read it back from S3, and register its manifest."""
    # Here, for it takes a package that nothing else does.
    from ingot.aws.instance_store.bundle import DiskSource
    from ingot.aws.instance_store.images import root_of_bundle, send_bundle

    subject, bundles = publication.subject, publication.settings.bundles
    if bundles is None:
        raise PublishError(
            f"the image of {subject.recipe} has its root on an instance store: nothing says where its bundle "
            "goes, and by which keys",
            hint="docs/instance-store.md says which variables do",
        )
    clients, progress = publication.clients, publication.progress
    sweep_bundles(clients, bundles.place.below(subject.recipe), progress)
    place = bundles.place.below(subject.recipe, subject.version, attempt.publish_id)
    attempt.record("bundle", str(place))
    account = clients.sts.get_caller_identity()["Account"]
    with DiskReader(image.disk, subject.blocks) as reader:
        source = DiskSource(
            subject.blocks.size,
            account,
            subject.architecture,
            int(subject.manifest["epoch"]),
            lambda index: reader.read(index)[0],
        )
        send_bundle(clients, source, subject.blocks.root_digest, replace(bundles, place=place), progress)
    ami_id = ami.register_image(publication, root_of_bundle(place), attempt)
    return Published(ami_id, "", subject.recipe, subject.digest, subject.blocks.root_digest)


def enter_tested(publication: Publication, attempt: Attempt, published: Published) -> Published:
    """Test the AMI and enter it into the registry; without a test clone it stays untested and unnamed.

    Either way the attempt has succeeded.
    """
    clone = publication.settings.clone
    if clone is None:
        ami.mark(publication.clients, published, tags.UNTESTED)
        attempt.keep()
        return published
    prove(publication, attempt, published.ami_id, clone)
    return _enter(publication, attempt, published)


def _enter(publication: Publication, attempt: Attempt, published: Published) -> Published:
    """Let the registry name the AMI: the last step, after which the publish has happened.

    The tags come first: killed between the two, the next publish finds a tested AMI and only enters it.
    """
    clients, subject, progress = publication.clients, publication.subject, publication.progress
    ami_id = published.ami_id
    ami.mark(clients, published, tags.PUBLISHED)
    if not published.reused:
        # Before it is put: an interrupt right after that must not leave the registry naming an AMI that is
        # removed.
        attempt.record("parameter", entries.entry(subject.recipe, subject.digest, ami_id))
    entered = entries.put(clients, subject.recipe, subject.digest, subject.version, ami_id)
    if entered == ami_id:
        attempt.keep()
        progress(f"the registry names {ami_id}")
        return published
    if published.reused:
        progress(f"another machine published {entered} meanwhile; {ami_id} stays, untested")
        ami.mark(clients, published, tags.UNTESTED)
    else:
        progress(f"another machine published {entered} meanwhile; removing {ami_id}")
        attempt.undo()
    winner = find(clients, subject.recipe, subject.digest, publication.settings.manifest_of)
    if winner is None:
        raise PublishError(f"the registry named {entered}, which is gone now", hint="publish again")
    attempt.keep()
    return winner
