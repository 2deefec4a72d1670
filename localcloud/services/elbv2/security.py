"""Whether security groups let a load balancer reach a target.

Source: ELB user guide, "Security groups for your Application Load Balancer".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from localcloud.core.moto_types import Instance, SecurityGroup, SecurityRule, Subnet


def may_reach(
    balancer_groups: Iterable[SecurityGroup], balancer_subnets: Iterable[Subnet], target: Instance, port: int
) -> bool:
    """Tell whether a rule lets TCP ``port`` out of the load balancer and another one lets it into the target.

    All arguments are moto's records: security groups, subnets, an instance.
    """
    ours = list(balancer_groups)
    theirs = list(target.nics[0].group_set) or list(target.security_groups)
    blocks = [ipaddress.ip_network(subnet.cidr_block) for subnet in balancer_subnets]
    address = ipaddress.ip_network(target.private_ip)
    goes_out = any(
        _fits(rule, port, {g.id for g in theirs}, [address]) for group in ours for rule in group.egress_rules
    )
    comes_in = any(
        _fits(rule, port, {g.id for g in ours}, blocks) for group in theirs for rule in group.ingress_rules
    )
    return goes_out and comes_in


def open_to_all(target: Instance, port: int) -> bool:
    """Tell whether a rule lets everybody in to TCP ``port`` of the target.

    A Network Load Balancer without security groups brings its visitors' own addresses: "Security groups for
    your Network Load Balancer", ELB user guide.
    """
    theirs = list(target.nics[0].group_set) or list(target.security_groups)
    everybody = [ipaddress.ip_network("0.0.0.0/0")]
    return any(_fits(rule, port, set(), everybody) for group in theirs for rule in group.ingress_rules)


def _fits(
    rule: SecurityRule,
    port: int,
    groups: set[str],
    blocks: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> bool:
    if rule.ip_protocol not in ("tcp", "-1"):
        return False
    if rule.ip_protocol == "tcp" and not int(rule.from_port) <= port <= int(rule.to_port):
        return False
    if rule.source_group:
        return rule.source_group.get("GroupId") in groups
    block = rule.ip_range.get("CidrIp")
    if not block:
        return False
    # moto keeps the bits beyond the mask; EC2 clears them.
    allowed = ipaddress.ip_network(block, strict=False)
    return bool(blocks) and all(
        known.version == 4 and known.subnet_of(allowed)  # type: ignore[arg-type]
        for known in blocks
    )
