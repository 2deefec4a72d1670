"""The server of the local cloud: moto's control plane with our modules for its gaps, on loopback only."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot.errors import CloudError
from ingot.progress import Progress
from localcloud.core.context import ACCOUNT, REGION, CloudContext, Stoppable
from localcloud.core.environment import access_key
from localcloud.core.patching import Patches

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

    from localcloud.core.permissions import Guard
    from localcloud.services.ec2.hypervisors.stand_ins import Says

ADDRESS = "127.0.0.1"
# moto reads these when it is imported: no AMIs that nobody can boot, no launch from an AMI that does not
# exist, AWS's managed policies (the CDK's bootstrap stack attaches some), no web page of any origin.
MOTO_ENVIRONMENT = {
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}


class CloudServer:
    """A local cloud in this process.

    ``start`` returns when it answers, ``stop`` when everything of it has ended.
    ``machines``: whether instances are machines that run; without them they are records, and so are load
    balancers. ``says``: instances are stand-ins whose consoles hold what it gives for an instance's and its
    AMI's id; Auto Scaling launches them as it does machines. ``access_key``: the key of its owner; without
    one the directory's (:func:`localcloud.core.environment.access_key`). A process has at most one running
    cloud: moto's records belong to the process.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        log: Progress,
        machines: bool = True,
        says: Says | None = None,
        access_key: str | None = None,
    ) -> None:
        self.directory = directory
        self.requested_port = port
        self.log = log
        self.machines = machines
        self.says = says
        self.access_key = access_key
        self._patches = Patches()
        self._running: list[Stoppable] = []
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self.context: CloudContext | None = None
        self.guard: Guard | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_port)

    def start(self) -> CloudContext:
        """Bind the port, install all parts and serve in a thread.

        Raises CloudError when the port is taken.
        """
        self._patches.set_environment(MOTO_ENVIRONMENT)
        try:
            self._server = _bind(self.requested_port)
            self._patches.set_environment({"MOTO_PORT": str(self.port)})
            self.directory.mkdir(parents=True, exist_ok=True)
            key = self.access_key or access_key(self.directory)
            context = CloudContext(self.directory, self.port, ACCOUNT, REGION, key, self.log)
            self._server.app = self._application(context)
        except BaseException:
            self.stop()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, name="cloud", daemon=True)
        self._thread.start()
        self.context = context
        return context

    def _application(self, context: CloudContext) -> Callable[..., Iterable[bytes]]:
        """Install what replaces moto's own and return the WSGI application of the whole cloud."""
        # moto is imported here and not above: it reads its environment then, and takes seconds.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        from localcloud.core import unimplemented
        from localcloud.core.gate import READY, guarded
        from localcloud.core.permissions import Guard
        from localcloud.services import ebs
        from localcloud.services.ebs.api import EbsApi, signed_for
        from localcloud.services.installation import Installation, steps

        installation = Installation(self._patches, context, ebs.start(context), self.says)
        for step in steps(machines=self.machines, stand_ins=self.says is not None):
            started = step.run(installation)
            if started is not None:
                self._running.append(started)
        ebs_api = EbsApi(context, installation.ebs)
        moto_app = unimplemented.worded(DomainDispatcherApplication(create_backend_app), signed_for, self.log)

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ.get("PATH_INFO") == READY:
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [f"ingot {os.getpid()}\n".encode()]
            if signed_for(environ)[0] == "ebs":
                return ebs_api(environ, start_response)
            answer: Iterable[bytes] = moto_app(environ, start_response)
            return answer

        self.guard = Guard(context)
        return guarded(self.guard.wrap(application, signed_for), context)

    def reset(self) -> None:
        """Forget all that moto holds, as if the cloud had just been started.

        Snapshots' blocks stay until ``stop``.
        """
        from moto.moto_api._internal.models import moto_api_backend

        moto_api_backend.reset()
        if self.context is not None:
            self.context.sessions.known.clear()

    def stop(self) -> None:
        """End everything in the reverse order of the starts, then the server.

        Leave moto as it was before ``start``.
        """
        while self._running:
            part = self._running.pop()
            try:
                part.stop()
            except Exception as error:  # noqa: BLE001 - the others must be stopped all the same
                self.log(f"could not stop {part!r}: {error!r}")
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        if self._server is not None:
            self._server.server_close()
        self._patches.undo()
        remove_data(self.directory, self.log)


def remove_data(directory: Path, log: Progress) -> None:
    """Remove the blocks of snapshots and the disks made of them: they live as long as the cloud."""
    for path in (directory / "ebs", directory / "bases"):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            log(f"could not remove {path}: {error.strerror}")


def _bind(port: int) -> BaseWSGIServer:
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):  # type: ignore[misc]  # moto is untyped
        def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
            """Write nothing for each request: thousands of blocks would bury what matters."""

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        return make_server(ADDRESS, port, _not_ready, threaded=True, request_handler=Handler)
    except (OSError, SystemExit) as error:  # werkzeug prints and exits when the port is taken
        raise port_taken(port) from error


def port_taken(port: int) -> CloudError:
    """Return the error for a port that another program listens on."""
    return CloudError(
        f"port {port} of {ADDRESS} is taken by another program",
        hint="choose another with --port or INGOT_CLOUD_PORT",
    )


def _not_ready(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
    return [b"the local cloud is starting\n"]
