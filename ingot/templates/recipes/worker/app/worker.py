"""The worker: fetches jobs and does them, one after the other, until it is told to stop."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

PAUSE = 10  # seconds between two looks for a job
stopping = threading.Event()


def next_job():
    """Return the next job, None when there is none.

    Ask your queue here: an SQS queue by boto3, with the clone's role, or a table of a database.
    """
    return {"asked": int(time.time())}


def do(job):
    """Do a job."""
    Path(os.environ["STATE_DIRECTORY"], "last-job").write_text(f"{job['asked']}\n")


def notify(state):
    """Tell systemd how the worker is: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.connect(address.replace("@", "\0", 1))
            to_systemd.send(state.encode())


def main():
    """Work until SIGTERM, and finish the job that has begun."""
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    notify("READY=1")
    while not stopping.is_set():
        job = next_job()
        if job is not None:
            do(job)
        notify("WATCHDOG=1")
        stopping.wait(PAUSE)


if __name__ == "__main__":
    main()
