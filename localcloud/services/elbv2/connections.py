"""The data plane of a Network Load Balancer: takes connections and passes their bytes to targets.

Sources: "Listeners for your Network Load Balancers" and "Target groups for your Network Load Balancers", ELB
user guide: a connection stays with its target; where nobody answers it is reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from localcloud.services.elbv2.proxy import CONNECT_SECONDS, Address
from localcloud.services.elbv2.targets import Target, TargetGroup

CHUNK = 65536
# What a broken connection raises, on either side.
BROKEN = (OSError, TimeoutError, asyncio.IncompleteReadError)


@dataclass(eq=False)
class Connections:
    """One listener: which target group its connections go to, asked for each, and those that are open."""

    group: Callable[[], TargetGroup | None]
    address: Address
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on to a target, until either side ends it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio calls it in one
        self._open.add(task)
        try:
            group = self.group()
            target = None if group is None else group.choose()
            if group is None or target is None or not await self._pass_on(group, target, reader, writer):
                _reset(writer)
        except asyncio.CancelledError:
            _reset(writer)  # the listener closes
        finally:
            self._open.discard(task)

    async def _pass_on(
        self,
        group: TargetGroup,
        target: Target,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Return whether the target took the connection."""
        address = await self.address(target.id, target.port, group.arn)
        if address is None:
            return False  # nobody there, or a security group drops the packets
        target.open += 1
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                answers, asks = await asyncio.open_connection(*address)
        except BROKEN:
            target.open -= 1
            return False
        try:
            await asyncio.gather(_copy(reader, asks), _copy(answers, writer))
        finally:
            target.open -= 1
            for side in (asks, writer):
                side.close()
        return True

    async def cleanup(self) -> None:
        """End the connections that are open."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by TCP's reset, as a client sees it that nobody serves: socket(7), SO_LINGER."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the source ends, and say so to the sink; a broken side breaks the other one."""
    try:
        while chunk := await source.read(CHUNK):
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except BROKEN:
        _reset(sink)


async def accepts(address: tuple[str, int], seconds: float) -> bool:
    """Tell whether a connection is accepted in that time: a health check of TCP."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(*address)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
