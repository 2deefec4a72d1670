"""Variables of a recipe: ``${name}`` in its strings and template files, with values that an environment may
set.

Values are put in before anything is checked, so that the rest of Ingot sees one recipe without variables.
What they change is in the recipe digest; what they do not change is the same image in every environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from ingot.errors import InputError, Problem
from ingot.recipe.syntax.document import At, Document, Plain
from ingot.recipe.syntax.explain import close_to

Scalar = str | int | bool
VARIABLES, ENVIRONMENTS = "variables", "environments"
VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
ENVIRONMENT_NAME = r"[a-z][a-z0-9-]{0,39}"
# "$${" stands for "${"; whatever else follows "${" up to the brace must be the name of a variable.
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}\n]*)\}?")
# Characters of a text, and of all texts of a recipe, once the values are in; what is larger is data.
MAX_EXPANDED = 4 << 20
# How many references of a text are complained of.
MAX_COMPLAINTS = 100
_ESCAPE_HINT = "for the shell's own ${…} or that of another program write $${…}"


@dataclass(frozen=True)
class Variables:
    """The variables of a recipe in one environment; None: it must be set there and is not."""

    values: Mapping[str, Scalar | None] = field(default_factory=dict)
    environment: str | None = None

    def text(self, text: str, complain: Callable[[int, str, str, str | None], None]) -> str:
        """Return ``text`` with the values put in.

        ``complain`` gets the offset, found, expected and hint of what is wrong.
        """

        size, complaints = len(text), 0

        def value_of(match: re.Match[str]) -> str:
            nonlocal size, complaints
            if match[1] is None:
                return "${"
            if complaints >= MAX_COMPLAINTS or size > MAX_EXPANDED:
                return match[0]
            problem = self._problem(match)
            if problem is None:
                value = _spelt(self.values[match[1]])
                size += len(value)
                if size <= MAX_EXPANDED:
                    return value
                problem = _TOO_LARGE
            complaints += 1
            complain(match.start(), *problem)
            return match[0]

        return _REFERENCE.sub(value_of, text)

    def whole(self, text: str) -> Scalar | None:
        """Return the value, a number too, when ``text`` is one reference and nothing else.

        None when it is not.
        """
        match = _REFERENCE.fullmatch(text)
        return None if match is None or match[1] is None else self.values.get(match[1])

    def _problem(self, match: re.Match[str]) -> tuple[str, str, str | None] | None:
        name = match[1]
        if not match[0].endswith("}") or re.fullmatch(VARIABLE_NAME, name) is None:
            return f"{match[0]!r}", "the name of a variable, as in ${greeting}", _ESCAPE_HINT
        if name not in self.values:
            near = close_to(name, self.values)
            known = f"one of {', '.join(self.values)}" if self.values else "none: the recipe has no variables"
            return f"the variable {name!r}, which is not declared", known, near or _ESCAPE_HINT
        if self.values[name] is None:
            where = "without an environment" if self.environment is None else f"in {self.environment}"
            return f"the variable {name!r}, which has no value {where}", "a value", "choose with --env NAME"
        return None


_TOO_LARGE = (f"text of more than {MAX_EXPANDED} characters once its values are in", "a shorter one", None)


def _spelt(value: Scalar | None) -> str:
    """Return a value as YAML spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_variables(document: Document, environment: str | None) -> tuple[Document, Variables]:
    """Return the variables of a recipe as the environment sets them, and the document without what is wrong
    with their declaration, which is added to its problems.

    Raises InputError when the recipe has no such environment.
    """
    data = document.data if isinstance(document.data, dict) else {}
    declared = _values(document, (VARIABLES,), data.get(VARIABLES))
    environments = _environments(document, declared, data.get(ENVIRONMENTS))
    if environment is not None and environment not in environments:
        raise _no_environment(document, environment, sorted(environments))
    right: dict[str, Plain] = {VARIABLES: declared, ENVIRONMENTS: environments}
    if not right.keys().isdisjoint(data):
        document = replace(document, data={key: right.get(key, value) for key, value in data.items()})
    own = {} if environment is None else environments[environment]
    return document, Variables({**declared, **own}, environment)


def environments_of(document: Document) -> list[str | None]:
    """Return every environment that the recipe can be read in.

    None, for "without one", when all variables have a default.
    """
    data = document.data if isinstance(document.data, dict) else {}
    declared, environments = (data.get(key) or {} for key in (VARIABLES, ENVIRONMENTS))
    names: list[str | None] = sorted(environments) if isinstance(environments, dict) else []
    complete = not isinstance(declared, dict) or None not in declared.values()
    return [None, *names] if complete or not names else names


def _environments(
    document: Document, declared: Mapping[str, Scalar | None], data: Plain
) -> dict[str, dict[str, Scalar | None]]:
    found: dict[str, dict[str, Scalar | None]] = {}
    for name, values in _mapping(document, (ENVIRONMENTS,), data).items():
        at: At = (ENVIRONMENTS, name)
        if re.fullmatch(ENVIRONMENT_NAME, name) is None:
            _complain(document, at, f"environment {name!r}", "a name of lower case letters, digits and -")
            continue
        found[name] = {}
        for variable, value in _values(document, at, values).items():
            if variable in declared:
                found[name][variable] = value
            else:
                expected = f"one that {VARIABLES} declares: {', '.join(declared) or 'there is none'}"
                hint = close_to(variable, declared) or f"declare it: {VARIABLES}: {{{variable}: …}}"
                _complain(document, (*at, variable), f"the variable {variable!r}", expected, hint)
    return found


def _values(document: Document, at: At, data: Plain) -> dict[str, Scalar | None]:
    found: dict[str, Scalar | None] = {}
    for name, value in _mapping(document, at, data).items():
        if re.fullmatch(VARIABLE_NAME, name) is None:
            _complain(document, (*at, name), f"variable {name!r}", "a name of letters, digits and _")
        elif value is None or isinstance(value, Scalar):
            found[name] = value
        else:
            what = "a mapping or a list" if isinstance(value, dict | list) else f"{value!r}"
            document.problems.append(
                document.problem((*at, name), what, "text, a whole number, true or false")
            )
    return found


def _mapping(document: Document, at: At, data: Plain) -> dict[str, Plain]:
    if data is None:
        return {}
    if isinstance(data, dict):
        return data
    document.problems.append(document.problem(at, "no mapping", "a mapping, such as {greeting: hello}"))
    return {}


def _complain(document: Document, at: At, found: str, expected: str, hint: str | None = None) -> None:
    document.problems.append(document.problem(at, found, expected, hint, key=True))


def _no_environment(document: Document, name: str, known: list[str]) -> InputError:
    expected = f"one of {', '.join(known)}" if known else "none: the recipe has no environments"
    hint = close_to(name, known)
    if not known and re.fullmatch(ENVIRONMENT_NAME, name):
        hint = f"declare it: {ENVIRONMENTS}: {{{name}: {{}}}}"
    problem: Problem = document.problem((ENVIRONMENTS,), f"no environment {name!r}", expected, hint, key=True)
    return InputError(f"there is no environment {name!r}", problems=[problem])


def put_in(document: Document, variables: Variables) -> tuple[Document, set[At]]:
    """Return the document with the values in every string but the variables' own; complain of what is
    unknown.

    A reference that is the whole string becomes the value itself, a number as well. Also returns where those
    are that are no text: the keys of a recipe say whether they want a number or its text (:func:`spelt`).
    """
    typed: set[At] = set()
    room = MAX_EXPANDED

    def filled(value: Plain, at: At) -> Plain:
        if isinstance(value, dict):
            return {key: filled(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item, (*at, number)) for number, item in enumerate(value)]
        nonlocal room
        if not isinstance(value, str) or room < 0 or len(document.problems) >= MAX_COMPLAINTS:
            return value
        whole = variables.whole(value)
        if whole is not None and not isinstance(whole, str):
            typed.add(at)
            return whole

        def complain(_offset: int, found: str, expected: str, hint: str | None) -> None:
            document.problems.append(document.problem(at, found, expected, hint))

        text = variables.text(value, complain)
        room -= len(text)
        if room < 0:
            complain(0, *_TOO_LARGE)
        return text

    if not isinstance(document.data, dict):
        return document, typed
    own = (VARIABLES, ENVIRONMENTS)
    data = {key: value if key in own else filled(value, (key,)) for key, value in document.data.items()}
    return replace(document, data=data), typed


def spelt(document: Document, numbers: Collection[At]) -> Document:
    """Return the document with text in place of ``numbers``, which variables brought where text is wanted."""

    def written(value: Plain, at: At) -> Plain:
        if isinstance(value, dict):
            return {key: written(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [written(item, (*at, number)) for number, item in enumerate(value)]
        return _spelt(value) if at in numbers and isinstance(value, Scalar) else value

    return replace(document, data=written(document.data, ())) if numbers else document
