"""Templates as a reviewer reads them: YAML with CloudFormation's short forms, without
what only the CDK needs.
"""

import re
from typing import Any

import yaml

NOISE = ("aws:cdk:path", "aws:asset:path")


def readable(template: dict[str, Any], digest: str) -> str:
    """Return the template as text, with the recipe digest and asset hashes as words."""
    body = {key: value for key, value in template.items() if key in ("Description", "Resources", "Outputs")}
    text = yaml.safe_dump(_short(body), sort_keys=True, width=120, allow_unicode=True)
    text = text.replace(digest, "RECIPE_DIGEST")
    return re.sub(r"\b[0-9a-f]{64}\b", "ASSET_HASH", text)


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(item) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("Ref", name)]:
            return f"!Ref {name}"
        case [("Fn::GetAtt", [name, attribute])]:
            return f"!GetAtt {name}.{attribute}"
        case [("Fn::Join", ["", parts])]:
            return "".join(
                part
                if isinstance(part, str)
                else "${" + str(_short(part)).removeprefix("!Ref ").removeprefix("!GetAtt ") + "}"
                for part in parts
            )
        case [("Fn::Select", [number, list_])]:
            return f"!Select {number} of {_short(list_)}"
        case [("Fn::Split", [separator, text])]:
            return f"!Split {separator} of {_short(text)}"
        case [("Fn::GetAZs", region)]:
            return f"!GetAZs {_short(region) or 'here'}"
    short = {key: kept for key, item in value.items() if key not in NOISE and (kept := _short(item)) != {}}
    if "DashboardBody" in short:  # JSON in one line
        short["DashboardBody"] = yaml.safe_load(short["DashboardBody"])
    return short
