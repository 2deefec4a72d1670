"""Which worker of pytest-xdist runs which file."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class SlowBesideQuick(LoadFileScheduling):
    """Files with slow tests go to every other worker, those without to the workers between, as long as there
    are both.

    A slow test keeps a processor busy, and several emulated machines on one processor get into each other's
    caches; a quick one waits for servers and subprocesses. So there are as many of each kind to the end.
    """

    @cached_property
    def _slow(self) -> set[str]:
        files = {scope: Path(self.config.rootpath, scope) for scope in self.workqueue}
        return {scope for scope, file in files.items() if "pytest.mark.slow" in file.read_text()}

    def _assign_work_unit(self, node: WorkerController) -> None:
        takes_slow = self.nodes.index(node) % 2 == 0
        for scope in self.workqueue:
            if (scope in self._slow) == takes_slow:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)
