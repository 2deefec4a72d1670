"""The running part of the balancer: a thread with an event loop, its ports, its health checks."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from ingot.progress import Progress
from localcloud.core.environment import url_port
from localcloud.services.elbv2.connections import Connections, accepts
from localcloud.services.elbv2.proxy import check, client_session
from localcloud.services.elbv2.targets import Target, TargetGroup, matches

ANSWER_SECONDS = 30.0  # within which the loop does what another thread asks of it
SETTLE_SECONDS = 0.2  # between two looks at the draining targets
KEEP_ALIVE_SECONDS = 3600.0  # client_keep_alive.seconds of a load balancer
CLOSE_SECONDS = 2.0  # for which a port that closes waits for its open requests; they end with it

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
# (target id, port) -> where it is reached; None when it is not. May block.
Resolve = Callable[[str, int, str], tuple[str, int] | None]


class BalancerLoop:
    """Runs listeners and health checks in a thread of its own.

    Its methods may be called from any other thread.

    ``resolve(target id, port, target group's ARN)``: where a target is reached; ``changed`` is called when
    health changes.
    """

    def __init__(self, resolve: Resolve, *, changed: Callable[[], None], log: Progress) -> None:
        self._resolve = resolve
        self._changed = changed
        self._log = log
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._sites: dict[int, tuple[web.ServerRunner, socket.socket]] = {}
        self._relays: dict[tuple[str, int], tuple[asyncio.Server, Connections]] = {}
        self._checks: dict[Target, asyncio.Task[None]] = {}
        self.groups: dict[str, TargetGroup] = {}
        self.session: aiohttp.ClientSession
        self._thread = threading.Thread(target=self._run, name="balancer", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._prepare())
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        self._loop.close()

    async def _prepare(self) -> None:
        self.session = client_session()
        # Of their own: a check closes its connection, which must not be one that requests would use again.
        self._check_session = client_session()
        self._settling = self._loop.create_task(self._settle())

    def call(self, work: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what the work returns
        """Run a coroutine function in the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result(ANSWER_SECONDS)

    def stop(self) -> None:
        """Close all ports and end the thread."""
        self.call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _close(self) -> None:
        tasks = [self._settling, *self._checks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for runner, _ in self._sites.values():
            await runner.cleanup()
        self._sites.clear()
        for at in list(self._relays):
            await self._end_relay(at)
        await self.session.close()
        await self._check_session.close()

    # -- ports

    def listen(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> int:
        """Serve on :func:`url_port`, or on a free port when that is taken; return the port.

        ``tls``: HTTPS.
        """

        async def start() -> int:
            sock = _bound(url_port()) or _bound(0)
            assert sock is not None  # noqa: S101 - port 0 is always free
            await self._serve(sock, handler, tls)
            return int(sock.getsockname()[1])

        return int(self.call(start))

    async def _serve(self, sock: socket.socket, handler: Handler, tls: ssl.SSLContext | None) -> None:
        server = web.Server(handler, access_log=None, keepalive_timeout=KEEP_ALIVE_SECONDS)
        runner = web.ServerRunner(server, shutdown_timeout=CLOSE_SECONDS)
        await runner.setup()
        # After a stop of the listener its open requests end with it: the cloud goes down.
        await web.SockSite(runner, sock, ssl_context=tls).start()
        self._sites[int(sock.getsockname()[1])] = runner, sock

    def replace(self, port: int, handler: Handler, *, tls: ssl.SSLContext | None) -> None:
        """Serve otherwise on a port that is served. It is never free meanwhile: who connects waits."""

        async def swap() -> None:
            runner, sock = self._sites.pop(port)
            kept = sock.dup()
            await runner.cleanup()
            await self._serve(kept, handler, tls)

        self.call(swap)

    def close(self, port: int) -> None:
        """Stop serving on a port."""

        async def end() -> None:
            if port in self._sites:
                runner, _ = self._sites.pop(port)
                await runner.cleanup()

        self.call(end)

    def relay(self, at: tuple[str, int], connections: Connections, *, tls: ssl.SSLContext | None) -> None:
        """Take connections at an address and port of this machine; raise OSError when they are taken.

        ``tls``: take TLS, and pass on what was in it.
        """

        async def start() -> None:
            server = await asyncio.start_server(connections.handle, *at, ssl=tls)
            self._relays[at] = server, connections

        self.call(start)

    def end_relay(self, at: tuple[str, int]) -> None:
        """Take no more connections, and end those that are open."""
        self.call(lambda: self._end_relay(at))

    async def _end_relay(self, at: tuple[str, int]) -> None:
        server, connections = self._relays.pop(at)
        server.close()
        await connections.cleanup()
        await server.wait_closed()

    async def address(self, target_id: str, port: int, group: str) -> tuple[str, int] | None:
        """Return where a target is reached; None when it is not."""
        return await asyncio.to_thread(self._resolve, target_id, port, group)

    # -- targets

    def register(self, group: TargetGroup, target_id: str, port: int) -> None:
        """Add a target and begin to check it."""

        async def add() -> None:
            self.groups[group.arn] = group
            target = group.register(target_id, port)
            if target not in self._checks:
                self._checks[target] = self._loop.create_task(self._watch(group, target))

        self.call(add)

    def deregister(self, group: TargetGroup, target_id: str) -> None:
        """Drain a target."""

        async def remove() -> None:
            target = group.targets.get(target_id)
            group.deregister(target_id, time.monotonic())
            task = self._checks.pop(target, None) if target else None
            if task is not None:
                task.cancel()

        self.call(remove)

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            for group in list(self.groups.values()):
                if group.settle(time.monotonic()):
                    self._changed()

    async def _watch(self, group: TargetGroup, target: Target) -> None:
        """Check a target until it is deregistered."""
        while group.targets.get(target.id) is target:
            began = time.monotonic()
            before = target.state
            if group.settings.enabled:
                try:
                    await self._check(group, target)
                except Exception as error:  # noqa: BLE001 - one that cannot be made must not be the last one
                    self._log(f"balancer: no check of {target.id}:{target.port}: {error!r}")
            elif target.state != "healthy":
                target.state, target.reason = "healthy", None
            if target.state != before:
                self._log(
                    f"balancer: {target.id}:{target.port} is {target.state} "
                    f"({target.reason or 'passed its check'})"
                )
                self._changed()
            await asyncio.sleep(max(0.05, began + group.settings.interval - time.monotonic()))

    async def _check(self, group: TargetGroup, target: Target) -> None:
        settings = group.settings
        port = target.port if settings.port == "traffic-port" else int(settings.port)
        where = await self.address(target.id, port, group.arn)
        if where is None:
            target.failed(settings, "Target.Timeout")  # packets to it are dropped
            return
        if settings.protocol == "TCP":
            if await accepts(where, settings.timeout):
                target.passed(settings)
            else:
                target.failed(settings, "Target.FailedHealthChecks")
            return
        status, reason = await check(
            self._check_session, f"http://{where[0]}:{where[1]}{settings.path}", settings.timeout
        )
        if status is None:
            target.failed(settings, reason)
        elif matches(status, settings.matcher):
            target.passed(settings)
        else:
            target.failed(settings, "Target.ResponseCodeMismatch", str(status))


async def _awaited(work: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what the work returns
    return await work()


def _bound(port: int) -> socket.socket | None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # So that the port is free again at once after the cloud has gone down (TIME_WAIT).
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
        sock.listen(512)
    except OSError:
        sock.close()
        return None
    sock.setblocking(False)
    return sock
