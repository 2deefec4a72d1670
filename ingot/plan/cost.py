"""What the stacks of a cloud assembly cost per month, and a publish once, counted from the templates.

A sum for planning, not a bill: list prices, on-demand instances, a quiet site, no traffic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ingot.errors import InputError
from ingot.plan.infrastructure.assembly import read_assembly

Template = Mapping[str, Any]
# A quiet site: 25 new connections a second are one load balancer capacity unit.
CAPACITY_UNITS = 0.1
# Target tracking makes two alarms of its own: Application Auto Scaling's documentation.
ALARMS_OF_TRACKING = 2
# The image of image_recipes/web, 2 GiB from scratch: its blocks that are not zeros, 761 in November 2026, and
# the minutes of a builder and a test clone.
FIRST_BLOCKS = 800
BLOCKS_OF_GIB = 2048
BUILDER_MINUTES, CLONE_MINUTES = 10, 5


@dataclass(frozen=True)
class Item:
    """A line of the sum: what, how it is computed, and USD a month."""

    what: str
    how: str
    usd: float


@dataclass(frozen=True)
class Costs:
    """What an app costs at the prices of ``region``, which ``known`` says the origin of.

    ``monthly``: its stacks while they stand there; ``publishing``: a new image.
    """

    region: str
    known: str
    monthly: tuple[Item, ...]
    publishing: tuple[Item, ...]

    @property
    def usd(self) -> float:
        """The sum of a month, in USD."""
        return round(sum(item.usd for item in self.monthly), 2)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        return {
            "region": self.region,
            "usd_per_month": self.usd,
            "items": [asdict(item) for item in self.monthly],
            "publish": [asdict(item) for item in self.publishing],
        }


def costs_of(assembly: Path, own_prices: Sequence[str] = ()) -> Costs:
    """Return what the stacks of a cloud assembly cost.

    ``own_prices``: of instance types, each as TYPE=USD an hour. Raises InputError for one that is none, for a
    type without a price, and for a directory without templates.
    """
    prices = known_prices()
    for pair in own_prices:
        kind, _, value = pair.partition("=")
        if not value.replace(".", "", 1).isdigit():
            raise InputError(
                f"--price {pair} is not a type and its price",
                hint="USD an hour, such as: --price m7i.large=0.1008",
            )
        prices["instance"][kind] = float(value)
    items = monthly(_templates(assembly), prices)
    return Costs(str(prices["region"]), str(prices["known"]), tuple(items), tuple(once(prices)))


def _templates(assembly: Path) -> dict[str, Template]:
    """Return all templates by file.

    Not those of stacks alone: nested stacks have templates of their own, which no artifact names.
    """
    directories = (
        read_assembly(assembly).directories if (assembly / "manifest.json").is_file() else (assembly,)
    )
    files = [file for directory in directories for file in sorted(directory.glob("*.template.json"))]
    if not files:
        raise InputError(f"there is no template in {assembly}", hint="run: cdk synth")
    return {str(file): json.loads(file.read_text(encoding="utf-8")) for file in files}


def known_prices() -> dict[str, Any]:
    """Return the prices that come with Ingot, in USD: per hour for what runs, per month for storage."""
    found: dict[str, Any] = json.loads(
        (resources.files("ingot.plan") / "prices.json").read_text(encoding="utf-8")
    )
    return found


def monthly(templates: Mapping[str, Template], prices: Mapping[str, Any]) -> list[Item]:
    """Return what the templates' resources cost a month while they stand there, by stack and resource.

    Raises InputError for an instance type without a price.
    """
    items: list[Item] = []
    for template in templates.values():
        for resource in template.get("Resources", {}).values():
            count = COUNTED.get(resource["Type"])
            if count is not None:
                items += count(resource.get("Properties", {}), template, prices)
    return _merged(items)


def once(prices: Mapping[str, Any], *, blocks: int = FIRST_BLOCKS) -> list[Item]:
    """Return what publishing an image costs: once its requests and machines, and its snapshot every month."""
    builder = prices["instance"]["c7i.large"] * BUILDER_MINUTES / 60
    clone = prices["instance"]["t3.small"] * CLONE_MINUTES / 60
    size = blocks / BLOCKS_OF_GIB
    return [
        Item(
            "PutSnapshotBlock",
            f"{blocks} × {prices['thousand_puts']} / 1000",
            blocks * prices["thousand_puts"] / 1000,
        ),
        Item(
            "builder instance, c7i.large",
            f"{BUILDER_MINUTES} min × {prices['instance']['c7i.large']}/h",
            builder,
        ),
        Item("test clone, t3.small", f"{CLONE_MINUTES} min × {prices['instance']['t3.small']}/h", clone),
        Item(
            "snapshot, a month", f"{size:.2f} GiB × {prices['snapshot_gib']}", size * prices["snapshot_gib"]
        ),
    ]


def _merged(items: list[Item]) -> list[Item]:
    """Return one line for each kind of thing, in the order of their first."""
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for item in items:
        number, usd = found.get((item.what, item.how), (0, 0.0))
        found[item.what, item.how] = number + 1, usd + item.usd
    return [
        Item(what, how if number == 1 else f"{number} × {how}", round(usd, 2))
        for (what, how), (number, usd) in found.items()
    ]


def _hourly(what: str, price: str) -> Callable[[Template, Template, Mapping[str, Any]], Iterator[Item]]:
    def count(_properties: Template, _template: Template, prices: Mapping[str, Any]) -> Iterator[Item]:
        yield Item(what, f"{prices['hours']} h × {prices[price]}", prices["hours"] * prices[price])

    return count


def _flat(
    what: str, price: str, number: int = 1
) -> Callable[[Template, Template, Mapping[str, Any]], Iterator[Item]]:
    def count(_properties: Template, _template: Template, prices: Mapping[str, Any]) -> Iterator[Item]:
        times = f"{number} × " if number > 1 else ""
        yield Item(what, f"{times}{prices[price]}", number * prices[price])

    return count


def _load_balancer(properties: Template, _template: Template, prices: Mapping[str, Any]) -> Iterator[Item]:
    hours, unit = prices["hours"], prices["capacity_unit"]
    yield from _hourly("load balancer", "load_balancer")(properties, _template, prices)
    yield Item(
        "its capacity, a quiet site", f"{hours} h × {CAPACITY_UNITS} × {unit}", hours * CAPACITY_UNITS * unit
    )
    if properties.get("Scheme") == "internet-facing":
        zones, address = len(properties.get("Subnets", [])), prices["public_address"]
        yield Item("its public addresses", f"{zones} × {hours} h × {address}", zones * hours * address)


def _group(properties: Template, template: Template, prices: Mapping[str, Any]) -> Iterator[Item]:
    """Count the clones of a group at its smallest; Spot instances count as on-demand ones.

    That is a month without Spot capacity.
    """
    clones = int(properties.get("DesiredCapacity") or properties.get("MinSize") or 0)
    data = _launch_data(properties, template)
    kind, hours = str(data.get("InstanceType", "")), prices["hours"]
    if kind not in prices["instance"]:
        raise InputError(
            f"no price is known for {kind}", hint=f"give one, USD an hour: ingot cost --price {kind}=0.1"
        )
    price = prices["instance"][kind]
    yield Item(f"clones, {kind}", f"{clones} × {hours} h × {price}", clones * hours * price)
    yield from _volumes("their root volumes, gp3", clones, data, prices)
    if data.get("Monitoring", {}).get("Enabled") in (True, "true"):
        each = prices["detailed_monitoring"]
        yield Item("detailed monitoring", f"{clones} × {each}", clones * each)


def _volumes(what: str, number: int, data: Template, prices: Mapping[str, Any]) -> Iterator[Item]:
    for mapping in data.get("BlockDeviceMappings", []):
        size = int(mapping.get("Ebs", {}).get("VolumeSize", 0))
        if size and number:
            usd = number * size * prices["volume_gib"]
            yield Item(what, f"{number} × {size} GiB × {prices['volume_gib']}", usd)


def _warm_pool(properties: Template, template: Template, prices: Mapping[str, Any]) -> Iterator[Item]:
    """Count the volumes of stopped clones: nothing else of them costs."""
    waiting = int(properties.get("MinSize") or 0)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::AutoScaling::AutoScalingGroup":
            data = _launch_data(resource["Properties"], template)
            yield from _volumes("volumes of the warm pool", waiting, data, prices)


def _launch_data(properties: Template, template: Template) -> Template:
    """Return the data of the launch template that a group of the same template launches from."""
    mixed = properties.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    named = properties.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification") or {}
    reference = named.get("LaunchTemplateId", {})
    logical = reference.get("Ref", "") if isinstance(reference, dict) else ""
    data: Template = (
        template["Resources"].get(logical, {}).get("Properties", {}).get("LaunchTemplateData", {})
    )
    return data


def _endpoint(properties: Template, _template: Template, prices: Mapping[str, Any]) -> Iterator[Item]:
    if properties.get("VpcEndpointType") == "Interface":
        zones, price, hours = (
            len(properties.get("SubnetIds", [])),
            prices["interface_endpoint"],
            prices["hours"],
        )
        yield Item("interface endpoint", f"{zones} × {hours} h × {price}", zones * hours * price)


# Resource type -> what it costs. What is not here costs nothing while it only stands there.
COUNTED: dict[str, Callable[[Template, Template, Mapping[str, Any]], Iterator[Item]]] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::EC2::NatGateway": _hourly("NAT gateway", "nat_gateway"),
    "AWS::EC2::EIP": _hourly("public address", "public_address"),
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::AutoScaling::AutoScalingGroup": _group,
    "AWS::AutoScaling::WarmPool": _warm_pool,
    "AWS::AutoScaling::ScalingPolicy": _flat("alarms of target tracking", "alarm", ALARMS_OF_TRACKING),
    "AWS::CloudWatch::Alarm": _flat("alarm", "alarm"),
    "AWS::KMS::Key": _flat("key", "key"),
}
