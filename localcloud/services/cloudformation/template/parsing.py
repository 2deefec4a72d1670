"""Templates: JSON, or YAML with CloudFormation's short forms of its functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from localcloud.services.cloudformation.errors import CfnError

Template = Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: dates stay text (``Version: 2012-10-17``)."""


_Loader.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for key, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, object]:
    value: object
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - there are three kinds of nodes
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse(text: str) -> Template:
    """Return the template; raises CfnError, in AWS's words, if it is not one."""
    try:
        is_json = text.lstrip().startswith("{")
        template = json.loads(text) if is_json else yaml.load(text, _Loader)  # noqa: S506 - safe
    except (ValueError, yaml.YAMLError) as error:
        raise CfnError(f"Template format error: {str(error).splitlines()[0]}") from error
    if not isinstance(template, dict):
        raise CfnError("Template format error: unsupported structure.")
    resources = template.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise CfnError("Template format error: At least one Resources member must be defined.")
    for name, resource in resources.items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise CfnError(
                f"Template format error: [/Resources/{name}] Every Resources object must contain a Type "
                "member."
            )
    return template
