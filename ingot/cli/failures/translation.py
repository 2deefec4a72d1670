"""What a command ended with, as an error of Ingot: its exception has the text and the exit code."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import typer

from ingot import paths
from ingot.cli.usage.mistakes import usage_error
from ingot.errors import MAKE_ROOM, IngotError

# What a machine says when it, and not Ingot, is at fault: a full or read-only file system, a missing right, a
# broken disk.
MACHINES_FAULT = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
    }
)


def translate(error: Exception, command: str) -> IngotError | None:
    """Return what is to be said of an exception; None for one that is a fault of Ingot's own.

    ``command``: the name of the command that was called, "" when it is none.
    """
    match error:
        case IngotError():
            return error
        case typer.TyperException():
            return usage_error(error, command)
        case typer.Abort():
            return IngotError("aborted")
        case OSError() if _is_of_home(error):
            return paths.unusable(paths.home(), "it cannot be made there")
        case OSError() if error.errno in MACHINES_FAULT:
            return _fault(error)
        case OSError():
            return None
    # botocore is there only when a command has loaded it: what did not talk to AWS cannot fail with its
    # errors.
    if "botocore" not in sys.modules:
        return None
    from ingot.aws.session.failures import AwsError, explain, hint_for

    return IngotError(explain(error), hint=hint_for(error)) if isinstance(error, AwsError) else None


def _is_of_home(error: OSError) -> bool:
    """Whether the directory of Ingot's data could not be made: some file systems, such as /proc, say ENOENT
    to that.
    """
    if error.errno != errno.ENOENT or not isinstance(error.filename, str):
        return False
    home = paths.home()
    return not home.exists() and Path(error.filename).is_relative_to(home)


def _fault(error: OSError) -> IngotError:
    """Return in words what this machine could not do."""
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = f"{MAKE_ROOM}; the store and all else of Ingot is in {paths.home()}" if full else None
    return IngotError(f"{where}{error.strerror}", hint=hint)
