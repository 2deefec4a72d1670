"""What a builder instance is told, for tests."""

from ingot.bake.instance.job import BuilderJob
from ingot.spec import Addresses

JOB = BuilderJob(
    region="us-east-1",
    bucket="packages",
    bundle="bundles/a",
    bundle_sha256="ab" * 32,
    log_group="/ingot/builder",
    snapshot="snap-1",
    encrypted=True,
    manifest="manifests/a",
    archives={"debian": Addresses(("http://mirror/debian",), ("http://snapshot/debian",))},
)
