"""A builder's user data: a script that sets the machine's end, fetches the bundle and runs it."""

from __future__ import annotations

import shlex
from pathlib import Path

import ingot
from ingot.bake.instance.job import BuilderJob
from ingot.errors import PublishError

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


def user_data(job: BuilderJob, *, limit: float) -> str:
    """Return the user data of a builder; ``limit`` in seconds is when the machine ends itself.

    Raises PublishError when it is too long.
    """
    bootstrap = Path(ingot.__file__).parent / "bake" / "instance" / "bootstrap.py"
    text = SCRIPT.format(
        minutes=max(1, round(limit / 60)),
        directory=LIVE_DIRECTORY if job.live else DIRECTORY,
        bootstrap=bootstrap.read_text(encoding="utf-8").rstrip("\n"),
        job=shlex.quote(job.text()),
    )
    if len(text.encode()) > USER_DATA_LIMIT:
        raise PublishError(
            f"the builder's user data has {len(text.encode())} bytes; EC2 takes {USER_DATA_LIMIT}"
        )
    return text
