"""The command line: ``localcloud up``, ``down``, ``status``, ``env``, ``serve``.

``ingot cloud`` calls the same functions. ``program`` is how the caller's command line is named, for hints.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from ingot import cloud_record
from ingot.errors import CloudError, IngotError
from localcloud import daemon
from localcloud.core.environment import PARENT, PORT, UNSET, port_number, process_id

INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _print_json(value: dict[str, object]) -> None:
    """Print one JSON document, keys sorted: one line, or indented on a terminal."""
    print(json.dumps(value, sort_keys=True, indent=2 if sys.stdout.isatty() else None))


def _where(record: cloud_record.CloudRecord) -> dict[str, object]:
    """Return where a cloud runs, for JSON."""
    log = str(daemon.log_file())
    return {"endpoint": record.endpoint, "pid": record.pid, "port": record.port, "log": log}


def up(port: int | None, *, parent: int | None = None, program: str, as_json: bool = False) -> None:
    """Start the cloud unless it runs, wait until it answers, and print its endpoint."""
    record, started = daemon.up(port, parent=parent, progress=_say, program=program)
    _say("the local cloud is up" if started else "the local cloud already runs")
    if as_json:
        _print_json({**_where(record), "started": started})
    else:
        print(record.endpoint)


def down(as_json: bool = False) -> None:
    """Stop the cloud and all its machines."""
    stopped = daemon.down(progress=_say)
    _say("the local cloud is down" if stopped else "the local cloud does not run")
    if as_json:
        _print_json({"stopped": stopped})


def status(as_json: bool, *, program: str) -> bool:
    """Print whether and where the cloud runs; return whether it answers."""
    record = cloud_record.running()
    ready = record is not None and record.ready()
    if as_json:
        _print_json({"running": ready, **({} if record is None else _where(record))})
    elif record is None:
        _say(f"the local cloud does not run; start it with: {program} up")
    else:
        print(f"{record.endpoint}  process {record.pid}  " + ("ready" if ready else "does not answer"))
    return ready


def env(*, program: str, as_json: bool = False) -> None:
    """Print the shell commands after which AWS's tools use the cloud.

    Raises CloudError if it does not run.
    """
    record = cloud_record.running()
    if record is None:
        raise CloudError("the local cloud does not run", hint=f"start it with: {program} up")
    variables = record.environment | cloud_record.no_proxy(os.environ)
    if as_json:
        _print_json({"set": variables, "unset": list(UNSET)})
        return
    for name in UNSET:
        print(f"unset {name}")
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def _read(number: Callable[[str], int]) -> Callable[[str], int]:
    """Return a reader as argparse wants it: it repeats what an error of its own kind says."""

    def read(text: str) -> int:
        try:
            return number(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localcloud", description="AWS on this machine: start, stop and use the local cloud."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    start = argparse.ArgumentParser(add_help=False)
    start.add_argument(
        "--port",
        type=_read(port_number),
        # A default that is text goes through `type` too.
        default=os.environ.get(PORT) or None,
        help=f"port on 127.0.0.1 [default: {daemon.DEFAULT_PORT}; environment: {PORT}]",
    )
    start.add_argument(
        "--with-parent",
        metavar="PID",
        type=_read(process_id),
        default=os.environ.get(PARENT) or None,
        help=f"end the cloud when this process ends [environment: {PARENT}]",
    )
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--json", action="store_true", help="print JSON")
    commands.add_parser(
        "up", parents=[start, output], help="start it and wait until it answers; do nothing if it runs"
    )
    commands.add_parser("down", parents=[output], help="stop it and all its machines")
    commands.add_parser("status", parents=[output], help="print whether it runs; exit code 1 if not")
    commands.add_parser(
        "env",
        parents=[output],
        help='print the environment for aws, boto3 and cdk: eval "$(localcloud env)"',
    )
    commands.add_parser("serve", parents=[start], help="run it in the foreground until Ctrl-C or SIGTERM")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 bad input, 3 a tool is missing."""
    options = _parser().parse_args(arguments)
    program = "localcloud"
    try:
        match options.command:
            case "up":
                up(options.port, parent=options.with_parent, program=program, as_json=options.json)
            case "down":
                down(options.json)
            case "status":
                sys.exit(0 if status(options.json, program=program) else 1)
            case "env":
                env(program=program, as_json=options.json)
            case "serve":
                ended = daemon.serve(options.port or daemon.DEFAULT_PORT, parent=options.with_parent)
                sys.stderr.flush()
                os._exit(ended)  # moto's and werkzeug's daemon threads must not hold up the end
    except IngotError as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
