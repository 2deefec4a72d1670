"""A builder's job and its user data: a script that sets the machine's end, fetches the bundle and runs it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import ingot
from ingot.errors import PublishError
from ingot.spec import Addresses

USER_DATA_LIMIT = 16384  # bytes before base64: EC2 User Guide, "Run commands when you launch an EC2 instance"
DIRECTORY = "/var/lib/ingot-builder"
# In memory: the root of a builder that booted a base AMI becomes the image, and is read-only in the end.
LIVE_DIRECTORY = "/run/ingot-builder"

# No word of it may depend on the distribution: cloud-init and our own builder image run it alike. The machine
# terminates when it powers off (InstanceInitiatedShutdownBehavior).
SCRIPT = """\
#!/bin/bash
# First of all this builder's end, whatever happens below.
systemd-run --quiet --unit=ingot-end --on-active={minutes}min systemctl poweroff || shutdown -P +{minutes}
mkdir -p -m 700 {directory}
cat > {directory}/bootstrap.py <<'INGOT-BOOTSTRAP'
{bootstrap}
INGOT-BOOTSTRAP
python3 {directory}/bootstrap.py {job} {directory}
systemctl poweroff
"""


@dataclass(frozen=True)
class Job:
    """What a builder is told.

    ``manifest`` is the key under which it leaves the manifest, gzipped; ``live``: its own root becomes the
    image.
    """

    region: str
    bucket: str
    bundle: str
    bundle_sha256: str
    log_group: str
    snapshot: str
    encrypted: bool
    manifest: str
    archives: Mapping[str, Addresses]
    live: bool = False

    def user_data(self, *, limit: float) -> str:
        """Return the user data; ``limit`` in seconds is when the machine ends itself.

        Raises PublishError when it is too long.
        """
        bootstrap = (Path(ingot.__file__).parent / "bake" / "instance" / "bootstrap.py").read_text(
            encoding="utf-8"
        )
        text = SCRIPT.format(
            minutes=max(1, round(limit / 60)),
            directory=LIVE_DIRECTORY if self.live else DIRECTORY,
            bootstrap=bootstrap.rstrip("\n"),
            job=shlex.quote(json.dumps(asdict(self), sort_keys=True)),
        )
        if len(text.encode()) > USER_DATA_LIMIT:
            raise PublishError(
                f"the builder's user data has {len(text.encode())} bytes; EC2 takes {USER_DATA_LIMIT}"
            )
        return text
