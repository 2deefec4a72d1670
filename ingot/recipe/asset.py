"""A golden image as an asset of a CDK app: the command that publishes it, and the name of what holds its AMI.

An app writes the command when it is synthesized, and the CDK CLI runs it. A plan recognizes it in a cloud
assembly; a deployment reads it, and publishes before the CDK CLI would, where it can show its progress.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingot.errors import InputError

# What follows the interpreter.
_PROGRAM = ("-m", "ingot.cli.main", "publish")
# Option → field, in the order in which they are written. `ingot publish` has options of these names.
_OPTIONS = {
    "--recipes": "recipes",
    "--env": "environment",
    "--region": "region",
    "--account": "account",
    "--builder-stack": "builder_stack",
    "--digest": "digest",
}
# It prints the path of a file, as the CDK CLI wants of an asset's executable.
_AS_ASSET = "--asset"


@dataclass(frozen=True)
class PublishCommand:
    """The command of an asset. It runs in the working directory of the app, from where its paths count.

    ``python``: the interpreter. ``recipes``: the directory that has the recipe ``name``; None: the usual one.
    ``environment``: the recipe's. ``region``, ``account``: where to publish; None: as the caller's settings
    say. ``builder_stack``: the stack whose outputs it needs; None: the one that the app's settings name.
    """

    python: str
    name: str
    digest: str
    recipes: str | None = None
    environment: str | None = None
    region: str | None = None
    account: str | None = None
    builder_stack: str | None = None

    def words(self) -> list[str]:
        """Return it as a program and its arguments."""
        given = {option: getattr(self, field) for option, field in _OPTIONS.items()}
        options = [word for option, value in given.items() if value is not None for word in (option, value)]
        return [self.python, *_PROGRAM, self.name, *options, _AS_ASSET]

    @classmethod
    def of(cls, words: Sequence[str]) -> PublishCommand:
        """Read what :meth:`words` wrote; raise InputError for another command."""
        if not is_publish_command(words):
            raise _unreadable("it publishes nothing")
        name, rest = words[1 + len(_PROGRAM)], iter(words[2 + len(_PROGRAM) :])
        values = dict(_values(rest))
        if "digest" not in values:
            raise _unreadable("the following arguments are required: --digest")
        return cls(words[0], name, **values)


def is_publish_command(words: Sequence[str]) -> bool:
    """Whether the executable of an asset publishes a golden image."""
    return tuple(words[1 : 1 + len(_PROGRAM)]) == _PROGRAM and len(words) > 1 + len(_PROGRAM)


def registry_parameter(recipe: str, digest: str) -> str:
    """Return the name of the SSM parameter that holds the AMI id of this recipe and digest."""
    return f"/ingot/{recipe}/{digest}"


def _values(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        if word == _AS_ASSET:
            continue
        if word not in _OPTIONS:
            raise _unreadable(f"unrecognized arguments: {word}")
        value = next(words, None)
        if value is None:
            raise _unreadable(f"argument {word}: expected one argument")
        yield _OPTIONS[word], value


def _unreadable(why: str) -> InputError:
    return InputError(f"an asset's publish command cannot be read: {why}", hint="run `cdk synth` again")
