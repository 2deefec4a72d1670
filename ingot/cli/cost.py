"""``ingot cost``: what the stacks of a synthesized app cost a month."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.terminal.results import print_json, print_rows
from ingot.cli.usage.options import AsJson

app = typer.Typer(add_completion=False)


@app.command()
def cost(
    assembly: Annotated[Path, typer.Argument(help="A cloud assembly, as `cdk synth` writes it.")] = Path(
        "cdk.out"
    ),
    price: Annotated[
        list[str] | None, typer.Option(help="The price of an instance type, TYPE=USD an hour; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sum up what the synthesized stacks cost a month while they stand there, and what publishing an image
    costs.

    Examples: `ingot cost`, `ingot cost cdk.out --price m7i.large=0.1008`.
    """
    from ingot.plan.cost import costs_of

    costs = costs_of(assembly, price or [])
    if as_json:
        print_json(costs.as_dict())
        return
    rows = [(f"{item.usd:.2f}", f"{item.what}: {item.how}") for item in costs.monthly]
    rows.append((f"{costs.usd:.2f}", f"USD a month, {costs.region}, {costs.known}"))
    print_rows(rows)
    print("publishing a new image:")
    print_rows([(f"{item.usd:.4f}", f"{item.what}: {item.how}") for item in costs.publishing])
