"""Bake spec to published AMI by a builder instance: it bakes and sends the blocks, everything else is done from here.

The builder gets a pending snapshot and may do nothing but fill it: it makes no AMI, and what it filled in is checked by EBS against
the manifest when the snapshot completes (docs/decisions/0004-builder-instance.md).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot.aws.builder.base_ami import held_against
from ingot.aws.builder.bundle import make_bundle, upload_bundle, upload_packages
from ingot.aws.builder.checks import Place, find_base_place, find_place
from ingot.aws.builder.job import Job
from ingot.aws.builder.launch import launch
from ingot.aws.builder.watch import Watch
from ingot.aws.publish import ami
from ingot.aws.publish.attempt import Attempt, attempt
from ingot.aws.publish.blocks import BlockMap
from ingot.aws.publish.image import Published, Subject
from ingot.aws.publish.journal import Journal
from ingot.aws.publish.parent import candidates
from ingot.aws.publish.publish import enter_tested, publishing
from ingot.aws.publish.settings import BuilderSettings, PublishSettings
from ingot.aws.publish.snapshot import Started, complete, start_snapshot
from ingot.aws.session import tags
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.spec import BakeSpec


NOT_BIT_FOR_BIT = "its packages are those of the day, so the image cannot be made again bit for bit"


@dataclass(frozen=True)
class Work:
    """What a builder is to bake: a spec, the directory that its sources are relative to, where its packages come from.

    ``packages``: files by SHA-256 that are put into the bucket; ``mirrors``: base URLs by archive, for the rest.
    """

    spec: BakeSpec
    sources: Path
    packages: Mapping[str, Path]
    mirrors: Mapping[str, Sequence[str]]


def publish_by_builder(
    work: Work, clients: Clients, builder: BuilderSettings, settings: PublishSettings, progress: Progress
) -> Published:
    """Bake on a builder instance, publish as an AMI that the registry names, and return it.

    Raises PublishError with the end of the builder's log; then nothing is left: no instance, snapshot or AMI.
    """
    subject = Subject.announced(work.spec)
    with publishing(subject, clients, settings, progress) as (journal, found):
        if found is not None:
            return found
        return _publish(work, subject, clients, builder, settings, journal, progress)


def _publish(
    work: Work,
    subject: Subject,
    clients: Clients,
    builder: BuilderSettings,
    settings: PublishSettings,
    journal: Journal,
    progress: Progress,
) -> Published:
    untested = ami.find_by_digest(clients, subject.recipe, subject.digest, tags.UNTESTED)
    manifest = settings.manifest_of(subject.digest) if untested is not None else None
    with attempt(clients, journal, progress) as trying:
        if untested is None or manifest is None:
            made, manifest = _make(work, subject, clients, builder, settings, trying, progress)
        else:
            made = untested  # not this attempt's to remove: ingot/aws/publish/publish.py
        return enter_tested(_baked(subject, manifest), made, clients, settings, trying, progress)


def _make(
    work: Work,
    subject: Subject,
    clients: Clients,
    builder: BuilderSettings,
    settings: PublishSettings,
    trying: Attempt,
    progress: Progress,
) -> tuple[Published, Mapping[str, Any]]:
    """Have the image baked and its blocks written; return the AMI and the manifest."""
    begin = time.monotonic()
    place, subject = _place(work, subject, clients, builder, progress)
    parents = candidates(clients, subject, settings.manifest_of)
    started = start_snapshot(
        clients, subject, trying.publish_id, parents[0] if parents else None, pace=settings.pace
    )
    trying.made("snapshot", started.snapshot_id)
    progress(f"snapshot {started.snapshot_id} started")
    upload_packages(clients, builder.bucket, work.packages, progress)
    job = _job(work, clients, builder, started, trying.publish_id, progress)
    instance_id = _launch(clients, builder, place, job, subject, trying.publish_id)
    trying.made("instance", instance_id)
    progress(f"builder {instance_id} launched from {place.ami_id}")
    launched = time.monotonic()
    watch = Watch(clients, instance_id, builder, progress)
    done = watch.follow()
    manifest = _manifest(clients, builder.bucket, job.manifest, done, subject)
    trying.release_instances(progress)
    settings.keep_manifest(dict(manifest))
    made = _register(_baked(subject, manifest), clients, started, trying, progress)
    progress(_summary(watch, done, launched - begin, time.monotonic() - launched))
    return made, manifest


def _place(
    work: Work, subject: Subject, clients: Clients, builder: BuilderSettings, progress: Progress
) -> tuple[Place, Subject]:
    """Return what to launch and where, and the subject with what it inherits of a base AMI."""
    if work.spec.base is None:
        return find_place(clients, builder), subject
    base = held_against(clients, work.spec.base, subject.architecture)
    place = find_base_place(clients, builder, base, subject.blocks.gib)
    progress(f"on the base AMI {base.id} ({base.name}): {NOT_BIT_FOR_BIT}")
    return place, replace(subject, root_device=base.root_device, boot_mode=base.boot_mode)


def _launch(
    clients: Clients, builder: BuilderSettings, place: Place, job: Job, subject: Subject, publish_id: str
) -> str:
    return launch(
        clients,
        template_id=builder.launch_template_id,
        ami_id=place.ami_id,
        subnet_ids=place.subnet_ids,
        user_data=job.user_data(limit=builder.limit),
        told=subject.tags(publish_id) | {"Name": f"ingot builder of {subject.recipe} {subject.version}"},
        # Not the test clone's token: the same one with other parameters is refused.
        token=f"b{publish_id}",
        mappings=place.mappings,
    )


def _job(
    work: Work,
    clients: Clients,
    builder: BuilderSettings,
    started: Started,
    publish_id: str,
    progress: Progress,
) -> Job:
    bundle = make_bundle(work.spec, work.sources, started.parent.blocks.digests if started.parent else None)
    upload_bundle(clients, builder.bucket, bundle, progress)
    return Job(
        region=clients.region,
        bucket=builder.bucket,
        bundle=bundle.key,
        bundle_sha256=bundle.sha256,
        log_group=builder.log_group,
        snapshot=started.snapshot_id,
        encrypted=started.encrypted,
        manifest=f"results/{publish_id}/manifest.json.gz",
        mirrors=work.mirrors,
        live=work.spec.base is not None,
    )


def _manifest(
    clients: Clients, bucket: str, key: str, done: Mapping[str, Any], subject: Subject
) -> dict[str, Any]:
    """Return the manifest that the builder left; raise PublishError when it is not the one that it reported, or of another recipe."""
    text = gzip.decompress(clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    if hashlib.sha256(text).hexdigest() != done.get("manifest_sha256"):
        raise PublishError(f"the manifest in s3://{bucket}/{key} is not the one that the builder reported")
    manifest: dict[str, Any] = json.loads(text)
    if manifest.get("recipe_digest") != subject.digest:
        raise PublishError(f"the builder baked {manifest.get('recipe_digest')}; expected {subject.digest}")
    clients.s3.delete_object(Bucket=bucket, Key=key)
    return manifest


def _baked(subject: Subject, manifest: Mapping[str, Any]) -> Subject:
    return replace(subject, blocks=BlockMap.of(manifest), manifest=manifest)


def _register(
    subject: Subject, clients: Clients, started: Started, trying: Attempt, progress: Progress
) -> Published:
    """Complete the snapshot with the digests that the manifest lists, and register it."""
    sent = started.to_send(subject.blocks)
    complete(clients, started, [subject.blocks.digest(index) for index in sent], progress)
    root = {tags.ROOT_DIGEST: subject.blocks.root_digest}
    clients.ec2.create_tags(Resources=[started.snapshot_id], Tags=tags.tag_list(root))
    ami_id = ami.register_image(clients, subject, started.snapshot_id, trying.publish_id)
    trying.made("image", ami_id)
    progress(f"AMI {ami_id} registered")
    ami.wait_available(clients, ami_id)
    return Published(
        ami_id, started.snapshot_id, subject.recipe, subject.digest, subject.blocks.root_digest, len(sent)
    )


def _summary(watch: Watch, done: Mapping[str, Any], before: float, after: float) -> str:
    """Return where the time went, from the launch to the AMI: boot, fetch, bake, upload, and all else."""
    spans = {"boot": float(watch.lines[min(watch.lines)].get("uptime", 0.0)), **done.get("seconds", {})}
    rest = after - sum(spans.values())
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spans.items())
    return f"launch to AMI {after:.0f} s: {parts}, other {rest:.0f} s ({100 * rest / after:.0f} %); before the launch {before:.0f} s"
