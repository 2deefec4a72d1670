"""Composite alarms: the rule that makes one alarm of others.

Sources: CloudWatch API reference, PutCompositeAlarm ("AlarmRule": the functions ALARM, OK and
INSUFFICIENT_DATA, the operators AND, OR and NOT, TRUE and FALSE), DeleteAlarms ("you can't delete two
composite alarms with one operation"), DescribeAlarms ("AlarmTypes"). The words of refusals are those that
CloudWatch answers with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from localcloud.services.cloudwatch.evaluation import ALARM, INSUFFICIENT, OK

LONGEST = 10_240  # characters of a rule
MOST = 100  # other alarms that a rule may name
TOKEN = re.compile(
    r'\s*(?:(?P<call>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]+)"|(?P<plain>[^\s()"]+))\s*\)'
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE)\b|(?P<mark>[()]))"
)


class RuleError(Exception):
    """A rule that cannot be read."""


@dataclass(frozen=True)
class CompositeRule:
    """A rule: ``holds`` says whether it is true, given the states of the alarms that it names."""

    names: frozenset[str]
    holds: Callable[[Mapping[str, str]], bool]

    def state(self, states: Mapping[str, str]) -> str:
        """Return the composite alarm's state."""
        return ALARM if self.holds(states) else OK


Part = Callable[[Mapping[str, str]], bool]


def parse(text: str) -> CompositeRule:
    """Read a rule; raises RuleError."""
    if len(text) > LONGEST:
        raise RuleError(f"AlarmRule must not be longer than {LONGEST} characters")
    tokens = list(_tokens(text))
    names: set[str] = set()
    part, left = _either(tokens, names)
    if left:
        raise RuleError(f"Error in AlarmRule: unexpected '{left[0][1]}'")
    if len(names) > MOST:
        raise RuleError(f"AlarmRule must not refer to more than {MOST} alarms")
    return CompositeRule(frozenset(names), part)


Truth = Callable[[Iterable[bool]], bool]
Token = tuple[str, str]  # a state and the name of an alarm, or "word" and what it is
Reader = Callable[[list[Token], set[str]], tuple[Part, list[Token]]]


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if match is None:
            raise RuleError(f"Error in AlarmRule: cannot read '{text[at:].strip()[:60]}'")
        at = match.end()
        if match["call"]:
            yield match["call"], _name(match["quoted"] or match["plain"])
        else:
            yield "word", match["word"] or match["mark"]


def _name(given: str) -> str:
    """Return the name of an alarm that is given by its name or its ARN."""
    return given.partition(":alarm:")[2] if given.startswith("arn:") else given


def _either(tokens: list[Token], names: set[str]) -> tuple[Part, list[Token]]:
    return _chain(tokens, names, "OR", any, _both)


def _both(tokens: list[Token], names: set[str]) -> tuple[Part, list[Token]]:
    return _chain(tokens, names, "AND", all, _one)


def _chain(
    tokens: list[Token], names: set[str], word: str, how: Truth, read: Reader
) -> tuple[Part, list[Token]]:
    """Read parts with a word between each two of them."""
    left, rest = read(tokens, names)
    while rest and rest[0] == ("word", word):
        right, rest = read(rest[1:], names)
        left = _joined(how, left, right)
    return left, rest


def _joined(how: Truth, left: Part, right: Part) -> Part:
    return lambda states: how([left(states), right(states)])


def _one(tokens: list[Token], names: set[str]) -> tuple[Part, list[Token]]:
    if not tokens:
        raise RuleError("Error in AlarmRule: it ends too early")
    (kind, text), rest = tokens[0], tokens[1:]
    if kind != "word":
        names.add(text)
        return (lambda states: states.get(text, INSUFFICIENT) == kind), rest
    if text in ("TRUE", "FALSE"):
        return (lambda states: text == "TRUE"), rest
    if text == "NOT":
        part, rest = _one(rest, names)
        return (lambda states: not part(states)), rest
    if text == "(":
        part, rest = _either(rest, names)
        if not rest or rest[0] != ("word", ")"):
            raise RuleError("Error in AlarmRule: a parenthesis is not closed")
        return part, rest[1:]
    raise RuleError(f"Error in AlarmRule: unexpected '{text}'")
