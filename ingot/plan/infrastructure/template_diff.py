"""What the CDK's differ finds between two templates, as differ.js writes it and as plans keep it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# What happens to a resource, the worst first: the words of the CDK's differ, and ours.
IMPACTS = {
    "WILL_DESTROY": "deletes",
    "WILL_REPLACE": "replaces",
    "WILL_ORPHAN": "abandons",
    "MAY_REPLACE": "may replace",
    "WILL_IMPORT": "imports",
    "WILL_UPDATE": "changes",
    "WILL_CREATE": "creates",
}
DANGEROUS = ("WILL_DESTROY", "WILL_REPLACE", "WILL_ORPHAN", "MAY_REPLACE")
Row = tuple[str, ...]


@dataclass(frozen=True)
class PropertyChange:
    """A property of a resource before and after, any JSON values; ``impact`` on the resource, if known."""

    name: str
    before: Any
    after: Any
    impact: str | None

    @property
    def dangerous(self) -> bool:
        """Whether it deletes or replaces the resource, or may."""
        return self.impact in DANGEROUS

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"name": self.name, "before": self.before, "after": self.after, "impact": self.impact}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> PropertyChange:
        """Return what :meth:`to_json` made ``plain`` of."""
        impact = plain["impact"]
        return cls(
            str(plain["name"]), plain["before"], plain["after"], None if impact is None else str(impact)
        )


@dataclass(frozen=True)
class AttributeChange:
    """An attribute of a resource beside its properties, such as DeletionPolicy."""

    name: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"name": self.name, "before": self.before, "after": self.after}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> AttributeChange:
        """Return what :meth:`to_json` made ``plain`` of."""
        return cls(str(plain["name"]), plain["before"], plain["after"])


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource. ``path`` is that of its construct, ``impact`` one of IMPACTS."""

    logical_id: str
    path: str
    type: str
    impact: str
    properties: tuple[PropertyChange, ...] = ()
    other: tuple[AttributeChange, ...] = ()

    @property
    def word(self) -> str:
        """What happens to it, in a word."""
        return IMPACTS.get(self.impact, "")

    @property
    def dangerous(self) -> bool:
        """Whether it is deleted or replaced, or may be."""
        return self.impact in DANGEROUS

    @property
    def badness(self) -> tuple[int, str]:
        """The key that sorts the worst first."""
        impacts = list(IMPACTS)
        return (impacts.index(self.impact) if self.impact in impacts else len(impacts), self.path)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "logical_id": self.logical_id,
            "path": self.path,
            "type": self.type,
            "impact": self.impact,
            "word": self.word,
            "properties": [change.to_json() for change in self.properties],
            "other": [change.to_json() for change in self.other],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> ResourceChange:
        """Return what :meth:`to_json` or differ.js made ``plain`` of."""
        return cls(
            str(plain["logical_id"]),
            str(plain["path"]),
            str(plain["type"]),
            str(plain["impact"]),
            tuple(map(PropertyChange.from_json, plain["properties"])),
            tuple(map(AttributeChange.from_json, plain["other"])),
        )


@dataclass(frozen=True)
class ElementChange:
    """What changes in another section of a template: an output, a parameter, a condition."""

    section: str
    name: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"section": self.section, "name": self.name, "before": self.before, "after": self.after}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> ElementChange:
        """Return what :meth:`to_json` or differ.js made ``plain`` of."""
        return cls(str(plain["section"]), str(plain["name"]), plain["before"], plain["after"])


@dataclass(frozen=True)
class SecurityChange:
    """Statements, managed policies and rules of security groups: rows of cells, the first one + or -.

    ``broadened``: whether the CDK's differ says that permissions are wider than before.
    """

    broadened: bool
    statements: tuple[Row, ...] = ()
    policies: tuple[Row, ...] = ()
    rules: tuple[Row, ...] = ()

    def wider(self) -> list[str]:
        """Return one line for each statement, policy and rule that lets more through than before."""
        lines = []
        for sign, resource, effect, action, principal, condition in self.statements:
            if (sign, effect) in (("+", "Allow"), ("-", "Deny")):
                verb = "adds" if sign == "+" else "removes"
                what = f"{_line(effect)} {_line(action)} on {_line(resource)} for {_line(principal)}"
                lines.append(f"{verb} {what}" + (" under a condition" if condition else ""))
        for sign, to, policy in self.policies:
            if sign == "+":
                lines.append(f"attaches {_line(policy)} to {_line(to)}")
        for sign, group, direction, protocol, peer in self.rules:
            if sign == "+":
                lines.append(f"opens {group} {direction.lower()}wards: {_line(protocol)}, {_line(peer)}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "broadened": self.broadened,
            "statements": [list(row) for row in self.statements],
            "policies": [list(row) for row in self.policies],
            "rules": [list(row) for row in self.rules],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> SecurityChange:
        """Return what :meth:`to_json` or differ.js made ``plain`` of."""
        return cls(
            bool(plain["broadened"]),
            _rows(plain["statements"], 6),
            _rows(plain["policies"], 3),
            _rows(plain["rules"], 5),
        )


@dataclass(frozen=True)
class TemplateDiff:
    """All that differs between two templates, the worst changes of resources first."""

    resources: tuple[ResourceChange, ...]
    other: tuple[ElementChange, ...]
    security: SecurityChange

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> TemplateDiff:
        """Return what differ.js writes of one pair of templates."""
        resources = map(ResourceChange.from_json, plain["resources"])
        return cls(
            tuple(sorted(resources, key=lambda change: change.badness)),
            tuple(map(ElementChange.from_json, plain["other"])),
            SecurityChange.from_json(plain["security"]),
        )


def _rows(plain: Iterable[Iterable[Any]], width: int) -> tuple[Row, ...]:
    rows = tuple(tuple("" if cell is None else str(cell) for cell in row) for row in plain)
    for row in rows:
        if len(row) != width:
            raise ValueError(f"a row of {len(row)} cells, expected {width}")
    return rows


def _line(text: str) -> str:
    return ", ".join(text.split("\n"))
