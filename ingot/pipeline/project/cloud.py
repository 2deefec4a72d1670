"""The local cloud that a project is deployed to: a distribution of its own, which may not be installed."""

from __future__ import annotations

import importlib.util
from collections.abc import MutableMapping

from ingot.cloud_record import no_proxy
from ingot.errors import MissingPackageError
from ingot.progress import Progress

PROGRAM = "ingot cloud"


def require_local_cloud() -> None:
    """Raise MissingPackageError unless the local cloud is installed."""
    if importlib.util.find_spec("localcloud") is None:
        raise MissingPackageError("the local cloud", install="pip install 'ingot[cloud]'")


def use_local_cloud(environ: MutableMapping[str, str], progress: Progress) -> None:
    """Start the local cloud unless it runs, and let ``environ`` lead to it, whatever it led to before.

    ``environ`` is that of the process: boto3 and the CDK CLI read it. It may name the cloud's port and the
    process with which it ends. Raises MissingPackageError, InputError for those, and what the local cloud
    says in the way of its start.
    """
    require_local_cloud()
    from localcloud import daemon
    from localcloud.core.environment import UNSET, wanted_parent, wanted_port

    record, started = daemon.up(
        wanted_port(environ), parent=wanted_parent(environ), progress=progress, program=PROGRAM
    )
    progress(f"the local cloud {'is up' if started else 'already runs'}: {record.endpoint}")
    for name in UNSET:
        environ.pop(name, None)
    environ.update(record.environment | no_proxy(environ))
