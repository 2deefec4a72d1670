"""Listener rules.

Which action a request gets ("Listener rules for your Application Load Balancer", ELB user guide).
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

OWN_NAMES = (
    "localhost",
    "127.0.0.1",
)  # of this machine: where the load balancer's ports are others than on AWS
SAFE = "/%:@!$&()*+,;=~-._"  # of a path: what is passed on as it is


@dataclass(frozen=True)
class RoutedRequest:
    """What rules may look at. ``path`` starts with a slash; ``query`` is without its question mark."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    client: str
    port: int
    protocol: str = "HTTP"


def choose_actions(rules: list[Any], request: RoutedRequest) -> list[Any]:
    """Return the actions of the first rule, by priority, whose conditions all hold.

    The default rule is the last.

    ``rules`` are moto's: ``priority`` (a number or "default"), ``conditions`` and ``actions``.
    """
    ordered = sorted(
        rules,
        key=lambda rule: (
            rule.priority == "default",
            0 if rule.priority == "default" else int(rule.priority),
        ),
    )
    for rule in ordered:
        if rule.priority == "default" or all(holds(condition, request) for condition in rule.conditions):
            return list(rule.actions)
    return []


def holds(condition: Mapping[str, Any], request: RoutedRequest) -> bool:
    """Tell whether one condition holds; one with several values holds when any of them does."""
    kind = condition["Field"]
    if kind == "host-header":
        return _any(
            _values(condition, "HostHeaderConfig"), request.host.partition(":")[0].lower(), lower=True
        )
    if kind == "path-pattern":
        return _any(_values(condition, "PathPatternConfig"), request.path)
    if kind == "http-request-method":
        return request.method in _values(condition, "HttpRequestMethodConfig")
    if kind == "http-header":
        config = condition["HttpHeaderConfig"]
        value = request.headers.get(config["HttpHeaderName"])
        return value is not None and _any(config["Values"], value.lower(), lower=True)
    if kind == "query-string":
        pairs = parse_qsl(request.query, keep_blank_values=True)
        wanted = condition["QueryStringConfig"]["Values"]
        return any(_pair(entry, key, value) for entry in wanted for key, value in pairs)
    if kind == "source-ip":
        address = ipaddress.ip_address(request.client)
        return any(address in ipaddress.ip_network(block) for block in _values(condition, "SourceIpConfig"))
    return False


def _values(condition: Mapping[str, Any], config: str) -> list[str]:
    return list((condition.get(config) or {}).get("Values") or condition.get("Values") or [])


def _any(patterns: list[str], value: str, *, lower: bool = False) -> bool:
    # ALB knows * and ? only: a bracket stands for itself.
    escaped = [(p.lower() if lower else p).replace("[", "[[]") for p in patterns]
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in escaped)


def _pair(wanted: Mapping[str, str], key: str, value: str) -> bool:
    return ("Key" not in wanted or _any([wanted["Key"]], key.lower(), lower=True)) and _any(
        [wanted["Value"]], value.lower(), lower=True
    )


def redirect_location(
    config: Mapping[str, Any], request: RoutedRequest, reached: Mapping[int, int] | None = None
) -> str:
    """Return where a redirect action leads.

    #{protocol}, #{host}, #{port}, #{path} and #{query} stand for the request's.

    ``reached``: on which ports of this machine the load balancer's own ports are reached. A client that came
    by the name of this machine is led to these.
    """
    known = {
        "protocol": request.protocol, "host": request.host.partition(":")[0], "port": str(request.port),
        "path": request.path.lstrip("/"), "query": request.query,
    }  # fmt: skip

    def filled(key: str, default: str) -> str:
        text = str(config.get(key) or default)
        for name, value in known.items():
            text = text.replace("#{" + name + "}", value)
        return text

    protocol, port = filled("Protocol", "#{protocol}").lower(), filled("Port", "#{port}")
    host, path, query = filled("Host", "#{host}"), filled("Path", "/#{path}"), filled("Query", "#{query}")
    here = (reached or {}).get(int(port)) if port.isdigit() and host in OWN_NAMES else None
    if here is not None:
        return f"{protocol}://{host}:{here}{quote(path, safe=SAFE)}" + (f"?{query}" if query else "")
    at = "" if (protocol, port) in (("http", "80"), ("https", "443")) else f":{port}"
    return f"{protocol}://{host}{at}{quote(path, safe=SAFE)}" + (f"?{query}" if query else "")
