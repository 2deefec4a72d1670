"""``ingot cost``: what the stacks of a synthesized app cost a month."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.options import AsJson
from ingot.cli.terminal import print_json, print_rows
from ingot.errors import InputError

app = typer.Typer(add_completion=False)


@app.command()
def cost(
    assembly: Annotated[Path, typer.Argument(help="A cloud assembly: `cdk synth` wrote it.")] = Path(
        "cdk.out"
    ),
    price: Annotated[
        list[str] | None, typer.Option(help="TYPE=USD an hour of an instance type; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sum up what the synthesized stacks cost a month while they stand there, and what publishing an image
    costs.

    Examples: `ingot cost`, `ingot cost cdk.out --price m7i.large=0.1008`.
    """
    from ingot.plan.cost import known_prices, monthly, once
    from ingot.plan.infrastructure.assembly import read_assembly

    prices = known_prices()
    for pair in price or []:
        kind, _, value = pair.partition("=")
        if not value.replace(".", "", 1).isdigit():
            raise InputError(
                f"--price {pair} is not a type and its price",
                hint="USD an hour, such as: --price m7i.large=0.1008",
            )
        prices["instance"][kind] = float(value)
    # Not the templates of stacks alone: nested stacks have templates of their own, which no artifact names.
    directories = (
        read_assembly(assembly).directories if (assembly / "manifest.json").is_file() else (assembly,)
    )
    files = [file for directory in directories for file in sorted(directory.glob("*.template.json"))]
    if not files:
        raise InputError(f"there is no template in {assembly}", hint="run: cdk synth")
    items = monthly({str(file): json.loads(file.read_text(encoding="utf-8")) for file in files}, prices)
    total = round(sum(item.usd for item in items), 2)
    publishing = once(prices)
    if as_json:
        report = {
            "region": prices["region"],
            "usd_per_month": total,
            "items": [asdict(item) for item in items],
            "publish": [asdict(item) for item in publishing],
        }
        print_json(report)
        return
    rows = [(f"{item.usd:.2f}", f"{item.what}: {item.how}") for item in items]
    rows.append((f"{total:.2f}", f"USD a month, {prices['region']}, {prices['known']}"))
    print_rows(rows)
    print("publishing a new image:")
    print_rows([(f"{item.usd:.4f}", f"{item.what}: {item.how}") for item in publishing])
