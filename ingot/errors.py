"""The errors that Ingot raises. Only ``ingot.cli`` turns them into text and an exit code.

::

    IngotError                 exit 1   something failed; the message says what and what to do
    ├── InputError             exit 2   bad input: one or more problems, each with its place
    ├── MissingError           exit 3   this machine lacks something, with the command that helps
    │   ├── MissingToolError            a tool
    │   ├── MissingToolsError           several of them, with one command
    │   ├── MissingPackageError         a part of Ingot that is not installed
    │   └── MissingRightError           a right that this machine does not give
    ├── BakeError              exit 1   the bake failed
    │   ├── StepError          exit 1   a step of the recipe failed: its output, its line, its exit status
    │   └── SizeError          exit 1   the root volume is too small for its content
    ├── PublishError           exit 1   the publish failed; what was created has been removed
    ├── VerificationError      exit 1   a check found a difference
    └── CloudError             exit 1   the local cloud could not do what was asked

Standard library only, Python 3.9: this module travels to builder instances with ``ingot.bake``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, List, Mapping, Optional, TypeVar

# What to do when a file system is full.
MAKE_ROOM = (
    "make room on that file system; `ingot store gc` removes images and layers that were not used for long"
)


# Characters that are shown of what is wrong with a value, and of what belongs there: it has to be read.
_MOST = 1000
# A value as it was written: nothing but that.
_LITERAL = re.compile(r"(?:text |the number )?(?P<value>'[^']*'|\"[^\"]*\"|-?\d[\w.+-]*|true|false)")


Same = TypeVar("Same", bound="IngotError")


class IngotError(Exception):
    """Base of all errors of Ingot: ``message`` says what failed, ``hint`` what to do about it.

    Whoever catches one and knows more raises another from it: an error that was raised stays as it is.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def with_message(self: Same, message: str) -> Same:
        """Return the same error with another message."""
        return self._but(message, self.hint)

    def with_hint(self: Same, hint: Optional[str]) -> Same:
        """Return the same error with another hint."""
        return self._but(self.message, hint)

    def with_more_hint(self: Same, text: str) -> Same:
        """Return the same error, whose hint goes on with ``text`` on the next line, or is ``text``."""
        return self.with_hint(text if self.hint is None else f"{self.hint}\n  {text}")

    def _but(self: Same, message: str, hint: Optional[str]) -> Same:
        # Not by the class's own __init__: each takes what it makes its message of.
        error = type(self).__new__(type(self), message)
        error.__dict__.update(self.__dict__)
        error.message, error.hint = message, hint
        return error

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  hint: {self.hint}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input, and where: lines and columns count from 1.

    ``found`` says what is wrong; ``expected`` what belongs there instead, "" where ``found`` says it all.
    Each is one line: what it quotes of the input is cut when it is long, and line breaks are escapes.
    """

    file: str
    line: int
    column: int
    found: str
    expected: str = ""
    hint: Optional[str] = None

    def __post_init__(self) -> None:
        for name in ("found", "expected"):
            text = getattr(self, name).replace("\n", "\\n")
            object.__setattr__(self, name, text if len(text) <= _MOST else f"{text[: _MOST - 1]}…")

    @property
    def place(self) -> str:
        """Where it is, as editors and terminals make a link of it."""
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def said(self) -> str:
        """What is wrong, without what belongs there."""
        value = _LITERAL.fullmatch(self.found)
        return self.found if value is None else f"invalid value {value['value']}"

    def __str__(self) -> str:
        text = f"{self.place}: {self.said}" + (f", expected {self.expected}" if self.expected else "")
        return text if self.hint is None else f"{text}\n  hint: {self.hint}"


class InputError(IngotError):
    """Bad input. ``problems`` holds every problem that was found, in the order of their places."""

    exit_code = 2

    def __init__(self, message: str, *, problems: Iterable[Problem] = (), hint: Optional[str] = None) -> None:
        super().__init__(message, hint=hint)
        self.problems: List[Problem] = sorted(problems, key=lambda p: (p.file, p.line, p.column))

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        return "\n".join(lines) if lines else super().__str__()


class MissingError(IngotError):
    """This machine lacks something; ``hint`` has the command that helps."""

    exit_code = 3


class MissingToolError(MissingError):
    """A program is missing on this machine. ``install``: the command that installs it; None: Debian's."""

    def __init__(self, tool: str, *, package: str, needed_for: str, install: Optional[str] = None) -> None:
        super().__init__(
            f"{tool} is missing on this machine; it is needed to {needed_for}",
            hint=f"install it with: {install or f'sudo apt-get install {package}'}",
        )
        self.tool = tool
        self.package = package


class MissingToolsError(MissingError):
    """Several programs or files are missing on this machine: name → the Debian package that has it."""

    def __init__(self, missing: Mapping[str, str], *, needed_for: str) -> None:
        packages = " ".join(sorted(set(missing.values())))
        super().__init__(
            f"this machine lacks what is needed to {needed_for}: {', '.join(sorted(missing))}",
            hint=f"install it with: sudo apt-get install {packages}",
        )


class MissingPackageError(MissingError):
    """A Python distribution is not installed; ``install`` is the command that installs it."""

    def __init__(self, what: str, *, install: str) -> None:
        super().__init__(f"{what} is not installed", hint=f"install it with: {install}")


class MissingRightError(MissingError):
    """This machine does not let Ingot do what a bake needs; ``hint`` has the command that allows it."""


class BakeError(IngotError):
    """The bake failed; nothing half-written is left in the store."""


class StepError(BakeError):
    """A step of the recipe failed."""


class SizeError(BakeError):
    """The root volume is too small for its content; the store says where in the recipe its size stands."""


class PublishError(IngotError):
    """The publish failed; what it had created has been removed."""


class VerificationError(IngotError):
    """A check or verification found a difference."""


class CloudError(IngotError):
    """The local cloud could not do what was asked of it."""
