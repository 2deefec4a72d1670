"""Bake spec to published AMI by a builder instance: it bakes and sends the blocks, everything else is done
from here.

The builder gets a pending snapshot and may do nothing but fill it: it makes no AMI, and EBS checks what it
wrote against the manifest when the snapshot completes (docs/decisions/0004-builder-instance.md).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot.aws.builder.base_ami import held_against
from ingot.aws.builder.bundle import make_bundle, upload_bundle, upload_packages
from ingot.aws.builder.placement import Placement, place_by_image, place_on_base
from ingot.aws.builder.settings import BuilderSettings
from ingot.aws.builder.user_data import user_data
from ingot.aws.builder.watch import BuilderWatch
from ingot.aws.instances.launch import LaunchRequest, launch
from ingot.aws.publish import ami
from ingot.aws.publish.blocks import BlockMap
from ingot.aws.publish.cleanup.attempt import Attempt
from ingot.aws.publish.image import Subject
from ingot.aws.publish.parent import candidates
from ingot.aws.publish.publication import Publication
from ingot.aws.publish.publish import enter_tested, publishing
from ingot.aws.publish.settings import PublishSettings
from ingot.aws.publish.snapshot import StartedSnapshot, complete, start_snapshot
from ingot.aws.registry.published import Published, find_by_digest
from ingot.aws.session import tags
from ingot.aws.session.failures import MalformedAnswerError
from ingot.aws.session.retry import control_retries
from ingot.bake.instance.job import BuilderJob
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.spec import Addresses, BakeSpec


NOT_BIT_FOR_BIT = "its packages are those of the day, so the image cannot be made again bit for bit"


@dataclass(frozen=True)
class Work:
    """What a builder is to bake: a spec, the directory that its sources are relative to, where its packages
    come from.

    ``packages``: files by SHA-256 that are put into the bucket; ``archives``: where each archive is, for the
    rest.
    """

    spec: BakeSpec
    sources: Path
    packages: Mapping[str, Path]
    archives: Mapping[str, Addresses]


def publish_by_builder(
    work: Work, clients: Clients, builder: BuilderSettings, settings: PublishSettings, progress: Progress
) -> Published:
    """Bake on a builder instance, publish as an AMI that the registry names, and return it.

    Raises PublishError with the end of the builder's log; then nothing is left: no instance, snapshot or AMI.
    """
    subject = Subject.announced(work.spec)
    with publishing(subject, clients, settings, progress) as (publication, existing):
        if existing is not None:
            return existing
        manifest_of = settings.manifest_of
        untested = find_by_digest(clients, subject.recipe, subject.digest, tags.UNTESTED, manifest_of)
        manifest = manifest_of(subject.digest) if untested is not None else None
        with publication.attempt() as attempt:
            if untested is not None and manifest is not None:
                # Not this attempt's to remove, as in `ingot.aws.publish.publish`.
                return enter_tested(_of_baked(publication, manifest), attempt, untested)
            return enter_tested(*_Build(work, builder, publication, attempt).run())


def _of_baked(publication: Publication, manifest: Mapping[str, Any]) -> Publication:
    """Return the publication with what the manifest says of its image."""
    subject = replace(publication.subject, blocks=BlockMap.of(manifest), manifest=manifest)
    return replace(publication, subject=subject)


@dataclass(frozen=True)
class _Build:
    """One attempt to have an image baked by a builder instance, and its blocks written by it."""

    work: Work
    builder: BuilderSettings
    publication: Publication
    attempt: Attempt

    def run(self) -> tuple[Publication, Attempt, Published]:
        """Return the publication of the baked image, and its AMI."""
        begin = time.monotonic()
        clients, settings, progress = self._clients, self.publication.settings, self.publication.progress
        placement, announced = self._place()
        parents = candidates(clients, announced.subject, settings.manifest_of)
        started = start_snapshot(announced, self.attempt.publish_id, parents[0] if parents else None)
        self.attempt.record("snapshot", started.snapshot_id)
        progress(f"snapshot {started.snapshot_id} started")
        upload_packages(clients, self.builder.bucket, self.work.packages, progress)
        job = self._job(started)
        instance_id = self._launch(placement, job)
        self.attempt.record("instance", instance_id)
        progress(f"builder {instance_id} launched from {placement.ami_id}")
        launched = time.monotonic()
        watch = BuilderWatch(clients, instance_id, self.builder, progress)
        done = watch.follow()
        manifest = self._manifest(job.manifest, done)
        self.attempt.release_instances()
        settings.keep_manifest(dict(manifest))
        baked = _of_baked(announced, manifest)
        published = self._register(baked, started)
        progress(_summary(watch, done, launched - begin, time.monotonic() - launched))
        return baked, self.attempt, published

    @property
    def _clients(self) -> Clients:
        return self.publication.clients

    def _place(self) -> tuple[Placement, Publication]:
        """Return what to launch and where, and the publication with what its image inherits of a base AMI."""
        subject = self.publication.subject
        if self.work.spec.base is None:
            return place_by_image(self._clients, self.builder), self.publication
        base = held_against(self._clients, self.work.spec.base, subject.architecture)
        placement = place_on_base(self._clients, self.builder, base, subject.blocks.gib)
        self.publication.progress(f"on the base AMI {base.id} ({base.name}): {NOT_BIT_FOR_BIT}")
        subject = replace(subject, root_device=base.root_device, boot_mode=base.boot_mode)
        return placement, replace(self.publication, subject=subject)

    def _job(self, started: StartedSnapshot) -> BuilderJob:
        parent = started.parent.blocks.digests if started.parent else None
        bundle = make_bundle(self.work.spec, self.work.sources, parent)
        upload_bundle(self._clients, self.builder.bucket, bundle, self.publication.progress)
        return BuilderJob(
            region=self._clients.region,
            bucket=self.builder.bucket,
            bundle=bundle.key,
            bundle_sha256=bundle.sha256,
            log_group=self.builder.log_group,
            snapshot=started.snapshot_id,
            encrypted=started.encrypted,
            manifest=f"results/{self.attempt.publish_id}/manifest.json.gz",
            archives=self.work.archives,
            live=self.work.spec.base is not None,
        )

    def _launch(self, placement: Placement, job: BuilderJob) -> str:
        subject, publish_id = self.publication.subject, self.attempt.publish_id
        name = {"Name": f"ingot builder of {subject.recipe} {subject.version}"}
        request = LaunchRequest(
            template_id=self.builder.launch_template_id,
            ami_id=placement.ami_id,
            subnet_ids=placement.subnet_ids,
            user_data=user_data(job, limit=self.builder.limit),
            tag_values=subject.tags(publish_id) | name,
            # Not the test clone's token: the same one with other parameters is refused.
            token=f"b{publish_id}",
            mappings=placement.mappings,
        )
        return launch(self._clients, request)

    def _manifest(self, key: str, done: Mapping[str, Any]) -> dict[str, Any]:
        """Return the manifest that the builder left.

        Raises PublishError when it is not the one that it reported, or of another recipe.
        """
        bucket, digest = self.builder.bucket, self.publication.subject.digest
        manifest: dict[str, Any] = json.loads(self._manifest_text(key, str(done.get("manifest_sha256"))))
        if manifest.get("recipe_digest") != digest:
            raise PublishError(f"the builder baked {manifest.get('recipe_digest')} instead of {digest}")
        self._clients.s3.delete_object(Bucket=bucket, Key=key)
        return manifest

    def _manifest_text(self, key: str, sha256: str) -> bytes:
        bucket = self.builder.bucket

        def get() -> bytes:
            data = self._clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            try:
                text = gzip.decompress(data)
            except (OSError, EOFError, zlib.error):
                text = b""
            if hashlib.sha256(text).hexdigest() != sha256:
                raise MalformedAnswerError(
                    operation="GetObject", problem="a manifest that is not the one that the builder reported"
                )
            return text

        return control_retries().call(get, f"read s3://{bucket}/{key}")

    def _register(self, baked: Publication, started: StartedSnapshot) -> Published:
        """Complete the snapshot with the digests that the manifest lists, and register it."""
        subject = baked.subject
        sent = started.to_send(subject.blocks.digests)
        complete(baked, started, [subject.blocks.digest(index) for index in sent])
        root = {tags.ROOT_DIGEST: subject.blocks.root_digest}
        self._clients.ec2.create_tags(Resources=[started.snapshot_id], Tags=tags.tag_list(root))
        volume = ami.root_volume(subject, started.snapshot_id)
        ami_id = ami.register_image(baked, volume, self.attempt)
        return Published(
            ami_id,
            started.snapshot_id,
            subject.recipe,
            subject.digest,
            subject.blocks.root_digest,
            len(sent),
        )


def _summary(watch: BuilderWatch, done: Mapping[str, Any], before: float, after: float) -> str:
    """Return where the time went, from the launch to the AMI: boot, fetch, bake, upload, and all else."""
    spans = {"boot": float(watch.lines[min(watch.lines)].get("uptime", 0.0)), **done.get("seconds", {})}
    rest = after - sum(spans.values())
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spans.items())
    return (
        f"launch to AMI {after:.0f} s: {parts}, other {rest:.0f} s ({100 * rest / after:.0f} %); "
        f"before the launch {before:.0f} s"
    )
