"""Finds the calls of AWS in source code, and holds them against botocore's service
models: names, parameters, literal values.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel, Shape

# What a client is called in our code, as an attribute or a variable: `clients.ec2`, `self._ebs`, `ssm`.
SERVICES = {
    "ec2": "ec2",
    "ebs": "ebs",
    "ssm": "ssm",
    "sts": "sts",
    "s3": "s3",
    "logs": "logs",
    "iam": "iam",
    "kms": "kms",
    "cloudformation": "cloudformation",
    "cloudwatch": "cloudwatch",
    "autoscaling": "autoscaling",
    "elbv2": "elbv2",
}
# Methods of every client that are no operations.
GENERIC = {"get_paginator", "get_waiter", "can_paginate", "close", "exceptions", "from_code"}


@dataclass(frozen=True)
class Call:
    """One call: where it stands, what is called, and the parameters as far as the source code shows them."""

    place: str
    service: str
    method: str
    parameters: dict[str, ast.expr]
    complete: bool  # whether all parameters are known: no ** of something that is made elsewhere

    def __str__(self) -> str:
        return f"{self.place} {self.service}.{self.method}"


@cache
def operations(service: str) -> dict[str, OperationModel]:
    """The operations of a service by the names that boto3 gives them."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


def calls_in(file: Path, root: Path) -> list[Call]:
    """All calls of AWS in a file of ours."""
    return list(_Finder(file, root).found())


class _Finder:
    def __init__(self, file: Path, root: Path) -> None:
        self.name = str(file.relative_to(root))
        self.tree = ast.parse(file.read_text())

    def found(self) -> Iterator[Call]:
        for function in [self.tree, *ast.walk(self.tree)]:
            if isinstance(function, ast.FunctionDef | ast.Module):
                for node in _own_nodes(function):
                    if isinstance(node, ast.Call):
                        yield from self._call(node, function)

    def _call(self, node: ast.Call, function: ast.FunctionDef | ast.Module) -> Iterator[Call]:
        target, arguments = node.func, node.args
        if isinstance(target, ast.Name) and target.id == "partial" and arguments:
            target, arguments = arguments[0], arguments[1:]
        if not isinstance(target, ast.Attribute):
            return
        words = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if target.attr == "call" and len(words) == 2 and words[0] in SERVICES.values():
            yield self._made(
                node, function, *words
            )  # the local cloud's own: env.call("ec2", "create_vpc", …)
        elif target.attr == "paginate" and isinstance(target.value, ast.Call):
            inner = target.value.func
            if isinstance(inner, ast.Attribute) and (service := self._service(inner.value)):
                [name] = [a.value for a in target.value.args if isinstance(a, ast.Constant)]
                yield self._made(node, function, service, name)
        elif (service := self._service(target.value)) and target.attr not in GENERIC:
            yield self._made(node, function, service, target.attr)

    def _service(self, receiver: ast.expr) -> str | None:
        name = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
        # The local cloud calls itself by env.call; what else it names so are its own modules and moto's
        # backends.
        return None if "localcloud" in self.name else SERVICES.get(name.strip("_"))

    def _made(
        self, node: ast.Call, function: ast.FunctionDef | ast.Module, service: str, method: str
    ) -> Call:
        parameters: dict[str, ast.expr] = {}
        complete = True
        for keyword in node.keywords:
            if keyword.arg is not None:
                parameters[keyword.arg] = keyword.value
            elif isinstance(keyword.value, ast.Name) and (
                dictionary := _dictionary(keyword.value.id, function, node)
            ):
                parameters |= dictionary
                complete = False  # more may be added in ways that are not looked at
            else:
                complete = False
        return Call(f"{self.name}:{node.lineno}", service, method, parameters, complete)


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, those of nested functions with it only if they are lambdas
    or read its variables.
    """
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node
            yield from _own_nodes(node)
        elif isinstance(node, ast.ClassDef):
            yield from _own_nodes(node)


def _dictionary(name: str, function: ast.AST, _call: ast.Call) -> dict[str, ast.expr]:
    """The keys and values of a variable that the function builds as a dictionary."""
    entries: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        value = getattr(node, "value", None)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets if isinstance(node, ast.Assign | ast.AnnAssign) else []:
            if isinstance(target, ast.Name) and target.id == name and isinstance(value, ast.Dict):
                entries |= {
                    k.value: v
                    for k, v in zip(value.keys, value.values, strict=True)
                    if isinstance(k, ast.Constant)
                }
            elif (
                isinstance(target, ast.Subscript)
                and isinstance(target.value, ast.Name)
                and target.value.id == name
                and isinstance(target.slice, ast.Constant)
                and isinstance(value, ast.expr)
            ):
                entries[str(target.slice.value)] = value
    return entries


def problems(call: Call) -> list[str]:
    """What botocore's model says against a call."""
    operation = operations(call.service).get(call.method)
    if operation is None:
        return [f"{call}: there is no such operation"]
    shape = operation.input_shape
    members = {} if shape is None else shape.members
    found = []
    for name, value in call.parameters.items():
        if name in members:
            found += [f"{call}: {line}" for line in _against(value, members[name], name)]
        elif name != "PaginationConfig":
            found.append(f"{call}: there is no parameter {name}")
    required = set() if shape is None else set(shape.required_members)
    missing = required - set(call.parameters)
    if call.complete and missing:
        found.append(f"{call}: lacks {', '.join(sorted(missing))}")
    return found


def _against(value: ast.expr, shape: Shape, where: str) -> Iterator[str]:
    """Compare a literal, or the literal parts of a value, with a shape of the model."""
    if isinstance(value, ast.Dict) and shape.type_name == "structure":
        for key, part in zip(value.keys, value.values, strict=True):
            if not isinstance(key, ast.Constant):
                continue
            if key.value not in shape.members:
                yield f"{where} has no member {key.value}"
            else:
                yield from _against(part, shape.members[key.value], f"{where}.{key.value}")
    elif isinstance(value, ast.List) and shape.type_name == "list":
        for part in value.elts:
            yield from _against(part, shape.member, f"{where}[]")
    elif isinstance(value, ast.Dict | ast.List):
        yield f"{where} is a {type(value).__name__.lower()}, expected {shape.type_name}"
    elif isinstance(value, ast.Constant):
        yield from wrong_literal(value.value, shape, where)


KINDS = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "float": (int, float),
    "double": (int, float),
    "list": (list, tuple),
    "structure": dict,
    "map": dict,
}


def wrong_literal(value: Any, shape: Shape, where: str) -> Iterator[str]:
    """Say what is wrong with a plain value: its type, or that it is none of the model's words."""
    expected = KINDS.get(shape.type_name)
    if value is None or (expected is not None and not isinstance(value, expected)):
        yield f"{where} is {value!r}, expected {shape.type_name}"
    words = getattr(shape, "enum", None)
    if words and value not in words:
        yield f"{where} is {value!r}, expected one of {', '.join(words)}"


def wrong_value(value: Any, shape: Shape, where: str = "") -> Iterator[str]:
    """Compare what a running program passes with the model, enumerations included
    (botocore itself does not look at those).
    """
    if shape.type_name == "structure" and isinstance(value, dict):
        for key, part in value.items():
            if key not in shape.members:
                yield f"{where}: there is no {key}"
            else:
                yield from wrong_value(part, shape.members[key], f"{where}.{key}")
    elif shape.type_name == "list" and isinstance(value, list | tuple):
        for part in value:
            yield from wrong_value(part, shape.member, f"{where}[]")
    elif isinstance(value, str | int | float | bool):
        yield from wrong_literal(value, shape, where)


def refuse_what_the_model_lacks(session: Any) -> None:
    """Let every client of a boto3 session fail on values that its service's model does not have."""

    def check(params: dict[str, Any], model: OperationModel, **_: Any) -> None:
        shape = model.input_shape
        wrong = [] if shape is None else list(wrong_value(params, shape, model.name))
        assert not wrong, wrong

    session.events.register("provide-client-params.*.*", check)
