"""Mutated texts: what a hand, a merge, a foreign program or an attacker makes of a file that was right."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from ruamel.yaml import YAML

Plain = Any
At = tuple[Any, ...]

# Pieces that parsers and whoever uses the values have stumbled over.
TOKENS = (
    "\t", "\n", "\r", "\0", "\x1b[2J", "\u2028", "\ufeff", "\u202e", "\U0001f600", "ü", "\\ud800",
    '"\\ud800"', "'", '"', ":", ": ", "- ", "? ", "#", "&a ", "*a", "<<: *a\n", "!!python/object:os.system ",
    "!!binary ", "!x ", "|", ">-\n", "%YAML 9.9\n", "%", "@", "`", "---\n", "...\n", "{", "}", "[", "]",
    "[" * 300, "{a: " * 300, ",", "${", "${a}", "${who}", "$${", "${a", "null", "~", "true", "yes",
    "0x" + "f" * 40, "0x" + "1" * 5000, "1e999", ".inf", ".nan", "-0", "0o17", "1_000", "9" * 40,
    "2026-11-30", "12:30:45", "../", "/" * 300, "x" * 5000, "::error::x", "##[add-mask]x", "a: &a [*a]",
    "name: x\n", "include: recipe.yaml\n", "include: .\n", "\\",
)  # fmt: skip

VALUES: tuple[Plain, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, 1e308, "", " ", "x", "\n", "x\ny", "\0", "\ud800",
    "\udcff", "\u202e", "\x1b[2J", "x" * 5000, "/" + "x/" * 2500, "ü" * 300, "..", "../../..", "/", "//", ".",
    "~", "/etc", "/dev/zero", "/proc/self/mem", "/etc/passwd", "files/", "${who}", "${nobody}", "${", "$${x}",
    "null", "true", "1", "-1", "0x10", "1e999", "0644", "7777", "2GiB", "0GiB", "99999999999TiB", "*", "[",
    "(" * 50, "a" * 40 + "!", "::error::x", "##[group]x", "ami-0", "http://[", "https://user:pw@host/",
    "1.2.3.4/33", [], {}, [[]], [None], [{}], {"": ""}, {"x": None}, ["x", "x"], [0], {"a": {"b": {"c": []}}},
)  # fmt: skip


def _nested(depth: int) -> Plain:
    value: Plain = "x"
    for _ in range(depth):
        value = [value]
    return value


DEEP: tuple[Plain, ...] = (
    _nested(90),
    _nested(150),
    {"a": _nested(99)},
    list(range(1500)),
    ["${who}"] * 2000,
)


def _paths(value: Plain, at: At = ()) -> list[At]:
    found = [at]
    items: Sequence[tuple[Any, Plain]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, item in items:
        found += _paths(item, (*at, key))
    return found


def _at(value: Plain, at: At) -> Plain:
    for step in at:
        value = value[step]
    return value


def _replaced(value: Plain, at: At, change: Callable[[Plain], Plain]) -> Plain:
    """Return a copy of ``value`` whose part at ``at`` is changed."""
    if not at:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _replaced(value[at[0]], at[1:], change)
    return copy


@st.composite
def mutated_values(draw: st.DrawFn, seed: Plain) -> Plain:
    """Return ``seed``, JSON data, with one to three of its parts changed."""
    value = seed
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(_paths(value)))
        kind = draw(st.sampled_from(("value", "value", "deep", "delete", "rename", "add", "copy", "twice")))
        if kind == "value":
            new = draw(st.sampled_from(VALUES) | st.text(max_size=20) | st.integers())
            value = _replaced(value, at, lambda _, new=new: new)
        elif kind == "deep":
            new = draw(st.sampled_from(DEEP))
            value = _replaced(value, at, lambda _, new=new: new)
        elif kind == "copy":
            new = _at(value, draw(st.sampled_from(_paths(value))))
            value = _replaced(value, at, lambda _, new=new: new)
        elif at:
            step, key = at[-1], draw(st.sampled_from(("", "x", "nmae", "name", "x" * 300, "\ud800", "a\nb")))
            value = _replaced(value, at[:-1], _changer(kind, step, key))
    return value


def _changer(kind: str, step: Any, key: str) -> Callable[[Plain], Plain]:
    def change(around: Plain) -> Plain:
        if isinstance(around, list):
            left, right = around[:step], around[step + 1 :]
            item = around[step]
            return {"delete": [*left, *right], "twice": [*left, item, item, *right]}.get(
                kind, [*left, {key: item}, *right]
            )
        if kind == "delete":
            return {k: v for k, v in around.items() if k != step}
        if kind == "rename":
            return {key if k == step else k: v for k, v in around.items()}
        return {**around, key: around[step]}

    return change


@st.composite
def mutated_text(draw: st.DrawFn, seed: str) -> str:
    """Return ``seed`` with one to three spans deleted, doubled, replaced or cut off."""
    text = seed
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, max(0, len(text) - 1)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(("token", "token", "insert", "delete", "double", "cut", "any")))
        token = draw(st.sampled_from(TOKENS)) if kind in ("token", "insert") else ""
        if kind == "any":
            token = draw(st.text(max_size=6))
        middle = {"delete": "", "double": text[start:end] * 2, "insert": token + text[start:end]}.get(
            kind, token
        )
        text = text[:start] if kind == "cut" else text[:start] + middle + text[end:]
    return text


@st.composite
def mutated_bytes(draw: st.DrawFn, seed: str) -> bytes:
    """Return the file's bytes with some of them replaced: mostly no longer UTF-8."""
    data = bytearray(seed.encode())
    for _ in range(draw(st.integers(1, 4))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


def mutated_yaml(seed: str) -> st.SearchStrategy[bytes]:
    """Files that were YAML once: as text, and node by node (JSON is YAML)."""
    return _mutated(seed, YAML(typ="safe", pure=True).load(seed))


def mutated_json(seed: str) -> st.SearchStrategy[bytes]:
    """Files that were JSON once."""
    return _mutated(seed, json.loads(seed))


def _mutated(seed: str, data: Plain) -> st.SearchStrategy[bytes]:
    text = mutated_text(seed).map(lambda text: text.encode("utf-8", "surrogatepass"))
    nodes = mutated_values(json.loads(json.dumps(data, default=str))).map(
        lambda value: json.dumps(value, indent=1).encode()
    )
    return nodes | text | nodes | mutated_bytes(seed)
