"""YAML with places: the text of a recipe as plain data, and the line and column of every key and value.

ruamel.yaml composes the nodes (YAML 1.2); the data are made here, so that a repeated key is found and no
value is ever guessed at: a date stays text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from json import JSONDecoder
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ingot.errors import Problem
from ingot.files import read_limited

At = tuple[str | int, ...]
# What YAML becomes: text, numbers, true and false, None, lists and dictionaries with text as keys.
Plain = object
# Recipes are short. The bounds keep a file that is none, and aliases of aliases, from filling time and
# memory.
MAX_DOCUMENT = 1 << 20  # bytes
MAX_VALUES = 20_000  # of which ruamel.yaml composes that many in a second
MAX_DEPTH = 100
# What every reader of JSON takes exactly, and any key of a recipe has room for.
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Place:
    """A line and a column, counted from 1, and the file that they are in."""

    line: int
    column: int
    file: Path

    def seen_from(self, file: Path) -> str:
        """Return the place in words, as a message about ``file`` names it."""
        return f"line {self.line}" if file == self.file else f"{shown(self.file)}:{self.line}"


@dataclass
class Document:
    """One YAML file: its data, where each value (and each key) stands, and what is wrong with its form."""

    path: Path
    data: Plain = None
    values: dict[At, Place] = field(default_factory=dict)
    keys: dict[At, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    origin: Document | None = None
    """The document as it was read, where this one lacks the parts that are wrong (see ``pruned``)."""

    def place(self, at: At, *, key: bool = False) -> Place:
        """Return where the value (or the key) is, else where the nearest mapping or list around it is."""
        if key and at in self.keys:
            return self.keys[at]
        while at and at not in self.values:
            at = at[:-1]
        return self.values.get(at, Place(1, 1, self.path))

    def problem(
        self, at: At, found: str, expected: str = "", hint: str | None = None, *, key: bool = False
    ) -> Problem:
        """Return a Problem at the value ``at``, or at its key."""
        place = self.place(at, key=key)
        return Problem(shown(place.file), place.line, place.column, found, expected, hint)


def shown(path: Path) -> str:
    """Return the path as messages show it: relative to the working directory where it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def shortened(text: str) -> str:
    """Return a text as a message quotes it, its beginning alone when it is long."""
    return text if len(text) <= 60 else text[:57] + "…"


def unusable(path: Path) -> str | None:
    """Return why no file can have this path, such as its length; None when one can,
    whether there is one or not.
    """
    try:
        path.exists()
    except OSError as error:
        return error.strerror
    return None


def read_document(path: Path, what: str = "a recipe") -> Document:
    """Read a YAML file. What is wrong with its form is in ``problems``; then ``data`` may be None.

    ``what`` says what an empty file should have been.
    """
    document = Document(path)
    try:
        text = read_limited(path, MAX_DOCUMENT).decode("utf-8")
        root = _composed(text)
    except UnicodeDecodeError as error:
        document.problems.append(document.problem((), f"byte {error.start} is not UTF-8", "UTF-8 text"))
    except OSError as error:
        document.problems.append(document.problem((), f"{error.strerror}", "a file that can be read"))
    except MaxDepthExceededError as error:
        line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
        found = f"lists or mappings more than {MAX_DEPTH} levels deep"
        document.problems.append(Problem(shown(path), line, column, found, what))
    except _TooManyValuesError as error:
        found = f"more than {MAX_VALUES} values"
        document.problems.append(Problem(shown(path), error.line, error.column, found, what))
    except MarkedYAMLError as error:
        document.problems.append(_unparsable(path, text, error))
    except (YAMLError, ValueError) as error:
        document.problems.append(document.problem((), f"{error}".splitlines()[0], "YAML"))
    else:
        if root is not None:
            _NodeReader(document).read(root)
        if document.data is None and not document.problems:
            document.problems.append(document.problem((), "an empty file", what))
    return document


class _Composer(Composer):  # type: ignore[misc]
    """Composes nodes as long as they are not too many for a recipe: a megabyte can hold 300,000, which take
    it 12 s.
    """

    def __init__(self, loader: Any = None) -> None:  # noqa: ANN401 - as ruamel.yaml types it
        super().__init__(loader)
        self._count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401
        self._count += 1
        if self._count > MAX_VALUES:
            mark = self.parser.peek_event().start_mark
            raise _TooManyValuesError(mark.line + 1, mark.column + 1)
        return super().compose_node(parent, index)


@lru_cache(maxsize=8)
def _composed(text: str) -> Node | None:
    """Return the nodes of a YAML text, which nobody changes.

    A recipe is read once for each of its environments; parsing it is most of that.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.Composer = _Composer
    root: Node | None = yaml.compose(text)
    return root


def _unparsable(path: Path, text: str, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = (error.problem or error.context or "").removeprefix("but ")
    found = f"YAML that does not parse: {said}"
    hint = _advice(said, error)
    if "${" in "".join(text.splitlines()[line - 1 : line]):
        hint = 'inside {…} and […] a value with ${…} needs quotes: "${greeting}"'
    return Problem(shown(path), line, column, found, "YAML", hint)


def _advice(said: str, error: MarkedYAMLError) -> str | None:
    """Return what helps.

    The parser's own context ("while parsing a flow node") names a rule of YAML's grammar, which does not.
    """
    context, mark = error.context or "", error.context_mark
    begun = f"that begins in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    if "'\\t'" in said:
        return "indent with spaces: YAML takes no tab there"
    if "cannot start any token" in said:
        return "text that begins with this character needs quotes"
    if "mapping values are not allowed" in said:
        return "is the line indented as the others of its mapping? text with ': ' in it needs quotes"
    if "end of stream" in said and "quoted scalar" in context:
        return f"the quoted text {begun} has no closing quote"
    if "flow" in context:
        return f"the […] or {{…}} {begun} has a mistake before this, or no end"
    if "block" in context and "<block end>" in said:
        return f"is the line indented as the others of the list or mapping {begun}?"
    return None


class _NodeReader:
    """Makes plain data of nodes and notes their places."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0
        self.open: set[int] = set()

    def read(self, root: Node) -> None:
        try:
            self.document.data = self.value(root, ())
        except _TooMuchError as error:
            self.document.problems.append(self.document.problem((), str(error), "a recipe"))

    def value(self, node: Node, at: At) -> Plain:
        self.count += 1
        if self.count > MAX_VALUES:
            raise _TooMuchError(f"more than {MAX_VALUES} values")
        if id(node) in self.open:
            raise _TooMuchError("an alias that holds itself")
        self.document.values[at] = self.place(node)
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.value(item, (*at, number)) for number, item in enumerate(node.value)]
            return self.mapping(node, at)
        finally:
            self.open.discard(id(node))

    def scalar(self, node: ScalarNode) -> Plain:
        if not _is_unicode(node.value):
            self.complain(self.place(node), "text with half of a surrogate pair", "Unicode text")
            return ""
        value = _scalar(node)
        if isinstance(value, int) and abs(value) > _LARGEST:
            self.complain(self.place(node), "a number of more than 64 bits", "a smaller one")
            return 0
        return value

    def mapping(self, node: MappingNode, at: At) -> dict[str, Plain]:
        data: dict[str, Plain] = {}
        for key, value_node in self.pairs(node, at):
            data[key] = self.value(value_node, (*at, key))
        return data

    def pairs(self, node: MappingNode, at: At) -> Iterator[tuple[str, Node]]:
        seen: dict[str, Place] = {}
        for key_node, value_node in node.value:
            place = self.place(key_node)
            if not isinstance(key_node, ScalarNode):
                self.complain(place, "a key that is a list or a mapping", "a word as key")
                continue
            key = key_node.value
            if not _is_unicode(key):
                self.complain(place, "a key with half of a surrogate pair", "Unicode text")
                continue
            if key in seen:
                self.complain(
                    place, f"key {key!r} a second time", f"it once: it stands in line {seen[key].line}"
                )
                continue
            seen[key] = place
            self.document.keys[(*at, key)] = place
            yield key, value_node

    def place(self, node: Node) -> Place:
        return Place(node.start_mark.line + 1, node.start_mark.column + 1, self.document.path)

    def complain(self, place: Place, found: str, expected: str) -> None:
        problem = Problem(shown(self.document.path), place.line, place.column, found, expected)
        self.document.problems.append(problem)


def place_in_json(text: str, at: At) -> tuple[int, int]:
    """Return line and column of the value ``at`` in a text that is valid JSON, else those
    of what is around it.
    """
    position, value = _skipped(text, 0), JSONDecoder()
    for step in at:
        inner: int | None = None
        cursor, number = _skipped(text, position + 1), 0
        while text[position] in "[{" and text[cursor] not in "]}":
            key: str | int = number
            if text[position] == "{":
                key, cursor = value.raw_decode(text, cursor)
                cursor = _skipped(text, _skipped(text, cursor) + 1)
            if key == step:
                inner = cursor
                break
            cursor = _skipped(text, value.raw_decode(text, cursor)[1])
            cursor, number = (_skipped(text, cursor + 1) if text[cursor] == "," else cursor), number + 1
        if inner is None:
            break
        position = inner
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


_BLANKS = re.compile(r"[ \t\r\n]*")


def _skipped(text: str, position: int) -> int:
    """Return the position after white space."""
    match = _BLANKS.match(text, position)
    return position if match is None else match.end()


def pruned(document: Document, wrong: set[At], instead: Mapping[At, str]) -> Document:
    """Return the document without the values at ``wrong``, and with those of ``instead``.

    What stays keeps its places.
    """
    copy = Document(document.path, origin=document.origin or document)

    def kept(value: Plain, old: At, new: At) -> Plain:
        copy.values[new] = document.place(old)
        if old in document.keys:
            copy.keys[new] = document.keys[old]
        if old in instead:
            return instead[old]
        if isinstance(value, dict):
            more = [at[-1] for at in instead if at[:-1] == old and at[-1] not in value]
            value = {**value, **dict.fromkeys(map(str, more))}
            stay = [key for key in value if (*old, key) not in wrong]
            return {key: kept(value[key], (*old, key), (*new, key)) for key in stay}
        if isinstance(value, list):
            left = [number for number in range(len(value)) if (*old, number) not in wrong]
            return [kept(value[was], (*old, was), (*new, number)) for number, was in enumerate(left)]
        return value

    copy.data = kept(document.data, (), ())
    return copy


def part_of(document: Document, at: At, beside: Collection[str]) -> Document:
    """Return the mapping at ``at`` as a document, with the keys ``beside`` of the whole one.

    Every value keeps its place.
    """
    part = Document(document.path)
    if document.origin is not None:
        part.origin = part_of(document.origin, at, beside)
    for old, new in ((document.values, part.values), (document.keys, part.keys)):
        for place, where in old.items():
            if place[: len(at)] == at:
                new[place[len(at) :]] = where
            elif place and place[0] in beside:
                new[place] = where
    whole = document.data if isinstance(document.data, dict) else {}
    inner: Any = whole
    for step in at:
        inner = inner.get(step) if isinstance(inner, dict) else None
    own = inner if isinstance(inner, dict) else {}
    part.data = {**{key: whole[key] for key in beside if key in whole}, **own}
    return part


class _TooManyValuesError(Exception):
    """There is one value too many, at this place."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.line, self.column = line, column


class _TooMuchError(Exception):
    """The document is no recipe: it grows without end."""


def _is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8: an escape such as "\\ud800" alone cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _scalar(node: ScalarNode) -> Plain:
    """Return the value of a scalar by YAML 1.2's core schema (section 10.3.2); anything else is text."""
    kind, text = node.tag.rsplit(":", 1)[-1], node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        if kind == "int":
            return (
                int(text.replace("_", ""), 0) if text.lstrip("+-")[:2].lower() in ("0x", "0o") else int(text)
            )
        if kind == "float":
            number = float(text)
            return number if math.isfinite(number) else text
    except ValueError:
        return text
    return text
