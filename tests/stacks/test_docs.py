import re
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_sum_of_the_costs_is_right():
    rows = re.findall(r"^\|[^|]+\|[^|]*\| \**([0-9.]+)\** \|$", (DOCS / "aws.md").read_text(), re.MULTILINE)
    *parts, total = [float(row) for row in rows[: rows.index("55.60") + 1]]
    assert round(sum(parts), 2) == total
