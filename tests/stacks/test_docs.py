import json
import re
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_policy_in_the_docs_is_json_without_wildcard_actions():
    [policy] = re.findall(r"```json\n(.*?)```", (DOCS / "aws.md").read_text(), re.DOTALL)
    for statement in json.loads(policy)["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action], statement["Sid"]


def test_the_sum_of_the_costs_is_right():
    rows = re.findall(r"^\|[^|]+\|[^|]*\| \**([0-9.]+)\** \|$", (DOCS / "aws.md").read_text(), re.MULTILINE)
    *parts, total = [float(row) for row in rows[: rows.index("55.20") + 1]]
    assert round(sum(parts), 2) == total
