"""An image diff from its JSON: a report can be written elsewhere than the comparison was made, by a program that is trusted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ingot.diff.blocks import Blocks
from ingot.diff.changes import Change
from ingot.diff.compare import FORMAT, ImageDiff
from ingot.diff.files.changes import BOOKKEEPING, PACKAGE, RECIPE, FileChange, TextDiff
from ingot.diff.packages.changes import Changelog, ChangelogEntry, PackageChange
from ingot.errors import InputError
from ingot.report.escape import shortened
from ingot.report.summary import SIGNS

CHANGES = ("system", "users", "groups", "services", "ports", "tests", "hygiene", "size")
Plain = Mapping[str, Any]


def image_diff_from_json(plain: Plain) -> ImageDiff:
    """Return the diff that ``ImageDiff.to_json`` made ``plain`` of, but for the manifests: it knows no more of them than their identity.

    Raises InputError for what is none, or is of a newer version.
    """
    if plain.get("format") != FORMAT:
        raise InputError(
            f"an image diff of format {plain.get('format')!r}; this program reads format {FORMAT}",
            hint="make it and show it with the same version of Ingot",
        )
    try:
        return ImageDiff(
            before=_manifest(plain["before"]),
            after=_manifest(plain["after"]),
            **{name: [_change(change) for change in plain[name]] for name in CHANGES},
            packages=[_package(package) for package in plain["packages"]],
            files=[_file(file) for file in plain["files"]],
            blocks=Blocks(
                int(plain["blocks"]["block_size"]), tuple((str(k), int(n)) for k, n in plain["blocks"]["map"])
            ),
            dangerous=[str(danger) for danger in plain["dangerous"]],
            notes=[str(note) for note in plain["notes"]],
        )
    except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"no image diff as `ingot diff --json` writes it: {error!r}") from error


def _manifest(plain: Plain | None) -> dict[str, Any] | None:
    """Return a manifest that knows who it is, and no more."""
    return None if plain is None else {**plain, "disk": {"root_digest": plain["root_digest"]}, "packages": []}


def _word(plain: Plain, key: str, known: Collection[str]) -> str:
    """Return a word of Ingot's own, which is shown as it is. Raises InputError for another one: it may be markup that calls somebody."""
    word = plain[key]
    if not isinstance(word, str) or word not in known:
        raise InputError(f"{key} {shortened(repr(word), 60)} of an image diff; expected: {', '.join(known)}")
    return word


def _change(plain: Plain) -> Change:
    return Change(str(plain["name"]), _word(plain, "change", SIGNS), plain["before"], plain["after"])


def _package(plain: Plain) -> PackageChange:
    def side(name: str, version: str | None, kib: int | None) -> dict[str, Any] | None:
        if version is None:
            return None
        found = {"name": name, "version": version, "installed_kib": kib or 0}
        return {
            **found,
            **{key: plain[key] for key in ("architecture", "source") if plain.get(key) is not None},
        }

    name = str(plain["name"])
    before = side(str(plain["former_name"] or name), plain["before"], plain["before_kib"])
    after = side(name, plain["after"], plain["after_kib"])
    return PackageChange(name, _word(plain, "change", SIGNS), before, after, _changelog(plain["changelog"]))


def _changelog(plain: Plain | None) -> Changelog | None:
    if plain is None:
        return None
    entries = tuple(ChangelogEntry(**entry) for entry in plain["entries"])
    return Changelog(entries, str(plain["origin"]), int(plain["left_out"]))


def _file(plain: Plain) -> FileChange:
    def side(found: Plain | None) -> dict[str, Any] | None:
        return (
            None
            if found is None
            else {"path": plain["path"], **{k: v for k, v in found.items() if k != "owner"}}
        )

    before, after, text = plain["before"], plain["after"], plain["text"]
    return FileChange(
        path=str(plain["path"]),
        change=_word(plain, "change", SIGNS),
        before=side(before),
        after=side(after),
        origin=_word(plain, "origin", (RECIPE, PACKAGE, BOOKKEEPING)),
        package=plain["package"],
        aspects=tuple(plain["aspects"]),
        owners=(before and before["owner"], after and after["owner"]),
        text=None if text is None else TextDiff(**{**text, "lines": tuple(text["lines"])}),
    )
