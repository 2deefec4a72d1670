"""Manual pages in roff, made of the same commands, options and texts as each ``--help``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from ingot.cli.usage.help import EXAMPLES

EXIT_CODES = (
    (0, "done; there was nothing to do, or all is well"),
    (1, "it failed, or a check found a difference"),
    (2, "the input is wrong: the command line, a recipe, a lock, settings"),
    (3, "this machine lacks a program, a right or a package"),
    (130, "interrupted, and cleaned up"),
)
VARIABLES = (
    ("INGOT_HOME", "where the store and all other data are; ~/.local/share/ingot"),
    ("INGOT_MIRROR, INGOT_SNAPSHOT", "another mirror of packages, and an archive that keeps old ones"),
    ("NO_COLOR", "prints no colors"),
    ("AWS_PROFILE, AWS_REGION, …", "as for the AWS CLI"),
)


def pages(group: Any, summaries: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each page by its name: ``ingot`` and ``ingot-COMMAND``.

    ``group`` has the commands; ``summaries`` says in one sentence what each of them does.
    """
    written = {"ingot": "\n".join(_overview(summaries)) + "\n"}
    for name, summary in summaries.items():
        lines = [*_head(f"ingot-{name}", summary), *_command(f"ingot {name}", group.get_command(None, name))]
        written[f"ingot-{name}"] = "\n".join([*lines, *_tail(["ingot", *_related(name)])]) + "\n"
    return written


def _related(name: str) -> list[str]:
    groups = (("init", "up", "down", "cloud"), ("check", "lock", "bake", "boot", "shell"))
    return [f"ingot-{other}" for group in groups if name in group for other in group if other != name]


def _overview(commands: Mapping[str, str]) -> Iterator[str]:
    yield from _head("ingot", "golden images as code: bake, prove, publish, roll")
    yield from (".SH SYNOPSIS", ".B ingot", r"\fICOMMAND\fR [\fIOPTIONS\fR] …", ".SH COMMANDS")
    for name, summary in commands.items():
        yield from (".TP", rf"\fBingot\-{_roff(name)}\fR(1)", _roff(summary))
    yield from _tail([])


def _head(name: str, summary: str) -> Iterator[str]:
    yield f'.TH {name.upper()} 1 "" "ingot {version("ingot")}" "Ingot"'
    yield from (".SH NAME", rf"{_roff(name)} \- {_roff(summary[:1].lower() + summary[1:].rstrip('.'))}")


def _command(name: str, command: Any) -> Iterator[str]:
    """Yield the sections of a command; those of commands below it as subsections."""
    below = getattr(command, "commands", {})
    yield ".SH SYNOPSIS"
    for words, one in [(f"{name} {key}", one) for key, one in below.items()] or [(name, command)]:
        arguments = [p for p in one.params if p.param_type_name == "argument"]
        shown = " ".join(_roff(str(p.metavar or p.name).upper()) for p in arguments)
        yield from (".PP", rf"\fB{_roff(words)}\fR [\fIOPTIONS\fR] \fI{shown}\fR")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    if not below:
        yield ".SH OPTIONS"
        yield from _parameters(command)
    for key, one in below.items():
        yield f".SS {_roff(f'{name} {key}')}"
        yield from _paragraphs(one.help or "")
        yield from _parameters(one)


def _paragraphs(text: str) -> Iterator[str]:
    before = ""
    for paragraph in text.split("\n\n"):
        if before == EXAMPLES:
            yield from (".nf", ".RS", *map(_roff, paragraph.split("\n")), ".RE", ".fi")
        else:
            yield from (".PP", _roff(paragraph))
        before = paragraph


def _parameters(command: Any) -> Iterator[str]:
    """Yield the arguments and options of a command."""
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        names = ", ".join(rf"\fB{_roff(option)}\fR" for option in parameter.opts)
        if parameter.param_type_name == "argument":
            names = rf"\fI{_roff(str(parameter.metavar or parameter.name).upper())}\fR"
        elif not getattr(parameter, "is_flag", False):
            names += rf" \fI{_roff(parameter.metavar or parameter.name.upper())}\fR"
        yield from (".TP", names, _roff(f"{parameter.help or ''} {_default(parameter)}".strip()))


def _default(parameter: Any) -> str:
    """Return a parameter's default in words; "" where there is none to speak of."""
    said = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    return "" if said in (None, False, "") else f"Default: {said}."


def _tail(related: list[str]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES:
        yield from (".TP", str(code), _roff(meaning))
    yield ".SH ENVIRONMENT"
    for name, meaning in VARIABLES:
        yield from (".TP", rf"\fB{_roff(name)}\fR", _roff(meaning))
    if related:
        yield from (".SH SEE ALSO", ", ".join(rf"\fB{_roff(name)}\fR(1)" for name in related))


def _roff(text: str) -> str:
    r"""Return text for groff_man(7): ``\`` and ``-`` as they are, code in bold, no line a request."""
    plain = text.replace("\\", r"\e").replace("-", r"\-").replace("\n", " ")
    plain = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", plain)
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain
