"""Reading a manifest from the store: the file may be damaged, of another version, or no manifest at all.

Whoever reads an image's manifest can rely on its form afterwards. It is held to it by hand and not by
pydantic, which refuses the lone surrogates of file names that are not UTF-8 (docs/decisions/0017-layout.md),
and a column at a time: an image has tens of thousands of files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from ingot.errors import InputError, Problem
from ingot.files import read_limited
from ingot.recipe.syntax.document import place_in_json
from ingot.spec import MANIFEST_FORMAT as FORMAT

At = tuple[str | int, ...]
# Bytes. The manifest of an image with 100,000 files takes about 30 MB.
MAX_MANIFEST = 256 << 20
_LARGEST = 2**63 - 1
# What a date of the standard library can be, and any tool that keeps 32 bits.
_LAST_SECOND = 2**32 - 1
# How many items of a list are looked at together: few enough to stay in a processor's cache while one column
# after the other is taken from them. Measured with 100,000 files: all together take 1.4 times as long.
_CHUNK = 1_000
_HINT = "bake the image again: ingot bake --force NAME"


class _Scalar(NamedTuple):
    """What one value may be, in words and as a test; and the same test for a whole column, a quicker one."""

    what: str
    fits: Callable[[Any], bool]
    all_fit: Callable[[list[Any]], bool]


class _List(NamedTuple):
    """A list with items of one kind."""

    of: Any


class _AnyKeys(NamedTuple):
    """A mapping with any keys and values of one kind."""

    of: Any


class _Keys(NamedTuple):
    """A mapping with these keys, and perhaps those of ``more``; others have no meaning here.

    ``needs`` returns the first key that one of several records lacks for what its other keys say, or None.
    """

    keys: Mapping[str, Any]
    more: Mapping[str, Any] = {}
    needs: Callable[[list[dict[str, Any]]], str | None] = lambda _records: None


def _of_files(files: list[dict[str, Any]]) -> str | None:
    if [file for file in files if file["type"] == "file" and "sha256" not in file]:
        return "sha256"
    return "link" if [file for file in files if file["type"] == "symlink" and "link" not in file] else None


def _of_tests(tests: list[dict[str, Any]]) -> str | None:
    return None if all(test.keys() & {"http", "service", "command"} for test in tests) else "command"


def _between(least: int, most: int) -> dict[str, Callable[[Any], bool]]:
    """Return the tests for whole numbers; true and false are none."""
    return {
        "fits": lambda value: type(value) is int and least <= value <= most,
        "all_fit": lambda values: _all_of(int, values) and least <= min(values) and max(values) <= most,
    }


def _all_of(kind: type, values: list[Any]) -> bool:
    """Tell whether there are values, and all of exactly this type."""
    return set(map(type, values)) == {kind}


_LONGEST_NAME = 255
_OCTAL = re.compile("[0-7]{4}")
TEXT = _Scalar("text", lambda value: type(value) is str, lambda values: _all_of(str, values))
# Of an image: that of its recipe, and a part of a line in every list.
NAME = _Scalar(
    f"a name of at most {_LONGEST_NAME} characters",
    lambda value: type(value) is str and len(value) <= _LONGEST_NAME,
    lambda values: _all_of(str, values) and max(map(len, values)) <= _LONGEST_NAME,
)
WHOLE = _Scalar("a whole number", **_between(0, _LARGEST))
DATE = _Scalar("Unix seconds", **_between(0, _LAST_SECOND))
BLOCK = _Scalar(
    "a digest or null",
    lambda value: value is None or type(value) is str,
    lambda values: set(map(type, values)) <= {str, type(None)},
)
PATH = _Scalar(
    "an absolute path",
    lambda value: type(value) is str and value[:1] == "/",
    # "0" is the character behind the slash.
    lambda values: _all_of(str, values) and min(values) >= "/" and max(values) < "0",
)
MODE = _Scalar(
    "four octal digits",
    lambda value: type(value) is str and bool(_OCTAL.fullmatch(value)),
    lambda values: _all_of(str, values) and all(map(_OCTAL.fullmatch, set(values))),
)
_FINDING = {"path": TEXT, "reason": TEXT}
_FILE = {"path": PATH, "type": TEXT, "mode": MODE, "uid": WHOLE, "gid": WHOLE, "size": WHOLE}
_AMI = _Keys({"id": TEXT, "name": TEXT, "owner": TEXT})
_HTTP = _Keys({"path": TEXT, "status": WHOLE}, {"contains": TEXT, "port": WHOLE})
MANIFEST = _Keys(
    {
        "name": NAME,
        "recipe_digest": TEXT,
        "version": TEXT,
        "architecture": TEXT,
        "epoch": DATE,
        "os": _Keys(dict.fromkeys(("id", "version_id", "codename", "pretty_name", "kernel"), TEXT)),
        "packages": _List(
            _Keys(
                {"name": TEXT, "version": TEXT, "architecture": TEXT, "installed_kib": WHOLE, "source": TEXT},
                {"sha256": TEXT, "maintainer": TEXT},
            )
        ),
        "users": _List(_Keys({"name": TEXT, "uid": WHOLE, "gid": WHOLE, "home": TEXT, "shell": TEXT})),
        "groups": _List(_Keys({"name": TEXT, "gid": WHOLE, "members": _List(TEXT)})),
        "services": _Keys({"enabled": _List(TEXT), "masked": _List(TEXT)}),
        "files": _List(
            _Keys(_FILE, {"sha256": TEXT, "link": TEXT, "layer": WHOLE, "xattrs": _AnyKeys(TEXT)}, _of_files)
        ),
        "tests": _List(_Keys({"name": TEXT}, {"http": _HTTP, "service": TEXT, "command": TEXT}, _of_tests)),
        "boot": _Keys({}, {"mode": TEXT, "kernel_command_line": TEXT}),
        "size": _Keys({"disk": WHOLE, "used": WHOLE}),
        "disk": _Keys({"size": WHOLE, "block_size": WHOLE, "root_digest": TEXT, "blocks": _List(BLOCK)}),
    },
    {
        "package_files": _List(TEXT),
        "inventory": _AnyKeys(TEXT),
        "hygiene": _Keys(
            {
                "allowed": _List(_Keys({"finding": TEXT, **_FINDING})),
                "findings": _List(_Keys({"name": TEXT, **_FINDING})),
            },
        ),
        "base": _AnyKeys(_AMI),
        "volumes": _List(_Keys({"name": TEXT, "device": TEXT, "mount": PATH, "size": WHOLE})),
        "stages": _List(_Keys({"name": TEXT, "digest": TEXT})),
    },
)


_SUMMARY = _Keys(
    {"name": NAME, "size": _Keys({"used": WHOLE}), "package_files": _List(TEXT)},
)


def read_manifest(file: Path, digest: str) -> dict[str, Any]:
    """Return the manifest in ``file`` of the image ``digest``, which has the form that is above.

    Raises InputError with the place of what is wrong, and for a manifest that a newer Ingot wrote.
    """
    manifest, text = _parsed(file, digest)
    fault = _fault(manifest, MANIFEST, ())
    if fault is not None:
        at, found, expected = fault
        raise _damaged(file, place_in_json(text, at), f"{_dotted(at)}: {found}" if at else found, expected)
    return manifest


def read_summary(file: Path, digest: str) -> tuple[str, int, tuple[str, ...]]:
    """Return the name, the bytes in use and the digests of the packages' files, without a look at the rest.

    Manifests of before 0.1 have no size. Raises InputError likewise.
    """
    manifest, text = _parsed(file, digest)
    short = {"size": {"used": 0}, "package_files": [], **manifest}
    fault = _fault(short, _SUMMARY, ())
    if fault is not None:
        at, found, expected = fault
        raise _damaged(file, place_in_json(text, at), f"{_dotted(at)}: {found}", expected)
    return short["name"], short["size"]["used"], tuple(short["package_files"])


def _parsed(file: Path, digest: str) -> tuple[dict[str, Any], str]:
    """Return the JSON object of a format that this version reads, and its text."""
    try:
        text = read_limited(file, MAX_MANIFEST).decode("utf-8")
        manifest = json.loads(text)
    except OSError as error:
        raise _damaged(file, (1, 1), error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _damaged(file, (1, 1), f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _damaged(file, (error.lineno, error.colno), f"JSON that does not parse: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file, (1, 1), f"JSON that does not parse: {error}") from error
    if not isinstance(manifest, dict):
        raise _damaged(file, (1, 1), _shown(manifest))
    version = manifest.get("format", FORMAT)
    if type(version) is int and version > FORMAT:
        name = f"{_shortened(manifest.get('name'))} {_shortened(manifest.get('version', digest[:12]))}"
        found = f"the manifest of {name} has format {version}; this Ingot reads formats up to {FORMAT}"
        hint = "a newer Ingot baked it: use that one, or bake the image again with this one"
        line, column = place_in_json(text, ("format",))
        problem = Problem(str(file), line, column, found, f"format {FORMAT}", hint)
        raise InputError(found, problems=[problem], hint=hint)
    if version != FORMAT or type(version) is not int:
        raise _damaged(file, place_in_json(text, ("format",)), f"format: {_shown(version)}", str(FORMAT))
    return manifest, text


def _damaged(
    file: Path, place: tuple[int, int], found: str, expected: str = "a manifest as `ingot bake` writes it"
) -> InputError:
    found = f"the manifest is damaged: {found}"
    problem = Problem(str(file), *place, found, expected, _HINT)
    return InputError(str(replace(problem, hint=None)), problems=[problem], hint=_HINT)


def _fault(value: Any, shape: Any, at: At) -> tuple[At, str, str] | None:  # noqa: ANN401 - any JSON
    """Return the place of the first value that has not its form, what it is, and what it should be."""
    inner: Iterable[tuple[Any, Any, str | int]]
    match shape:
        case _Scalar():
            return None if shape.fits(value) else (at, _shown(value), shape.what)
        case _Keys():
            if type(value) is not dict:
                return at, _shown(value), "a mapping"
            lacks = next((key for key in shape.keys if key not in value), None)
            if lacks is not None:
                return at, f"no key {lacks!r}", f"the keys {', '.join(shape.keys)}"
            parts = [(key, part) for part_of in (shape.keys, shape.more) for key, part in part_of.items()]
            inner = ((value[key], part, key) for key, part in parts if key in value)
        case _AnyKeys():
            if type(value) is not dict:
                return at, _shown(value), "a mapping"
            inner = ((item, shape.of, key) for key, item in value.items())
        case _:
            if type(value) is not list:
                return at, _shown(value), "a list"
            if _fits_by_column(value, shape.of):
                return None
            inner = ((item, shape.of, number) for number, item in enumerate(value))
    faults = (_fault(item, part, (*at, step)) for item, part, step in inner)
    found = next((fault for fault in faults if fault is not None), None)
    if found is None and isinstance(shape, _Keys) and (key := shape.needs([value])) is not None:
        return at, f"no key {key!r}", f"{key!r} beside the others"
    return found


def _fits_by_column(items: list[Any], shape: Any) -> bool:  # noqa: ANN401 - any JSON
    """Tell quickly that all items have their form; False: somebody has to look where."""
    return all(_chunk_fits(items[at : at + _CHUNK], shape) for at in range(0, len(items), _CHUNK))


def _chunk_fits(items: list[Any], shape: Any) -> bool:  # noqa: ANN401 - any JSON
    if isinstance(shape, _Scalar):
        return shape.all_fit(items)
    if not isinstance(shape, _Keys) or not _all_of(dict, items):
        return False
    try:
        columns = [(part, list(map(itemgetter(key), items))) for key, part in shape.keys.items()]
    except KeyError:
        return False
    columns += [(part, [item[key] for item in items if key in item]) for key, part in shape.more.items()]
    return (
        all(
            part.all_fit(column)
            if isinstance(part, _Scalar)
            else all(_fault(value, part, ()) is None for value in column)
            for part, column in columns
            if column
        )
        and shape.needs(items) is None
    )


def _shown(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", bool: "true or false", type(None): "null"}
    return kinds.get(type(value)) or _shortened(value)


def _shortened(value: object) -> str:
    # The number of a text beyond 4,300 digits cannot be shown; it is no number of a manifest either.
    text = value if isinstance(value, str) else ascii(value)
    text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _dotted(at: At) -> str:
    return ".".join(_shortened(step) for step in at)
