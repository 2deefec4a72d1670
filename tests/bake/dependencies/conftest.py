import hashlib

import pytest

from ingot.bake.packages.cache import download_file
from ingot.spec import ArtifactSpec


@pytest.fixture
def artifact(tmp_path):
    """Put a file among those that the lock names; return the spec of the artifact that it is."""

    def put_in_packages(data, **fields):
        digest = hashlib.sha256(data).hexdigest()
        file = download_file(tmp_path / "packages", digest)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        known = {"url": "https://example.com/tool.tar.gz", "target": "/opt/tool", **fields}
        return ArtifactSpec(sha256=digest, size=len(data), **known)

    return put_in_packages
