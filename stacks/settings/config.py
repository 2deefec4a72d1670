"""One deployment's settings.

In this order: the CDK context's, the environment's, the file's defaults, the program's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ingot.errors import InputError, Problem
from ingot.paths import RECIPES
from ingot.quantities import number
from ingot.recipe.load import environments, find_recipe, load_recipe
from ingot.recipe.schema.model import Recipe
from ingot.recipe.syntax.explain import close_to
from stacks.settings.environments import ENVIRONMENTS_FILE, Environments, read_environments
from stacks.settings.keys import Settings

# The names of the app's stacks; a fleet's has its environment's name behind it.
BUILDER_STACK, FLEET_STACK, REVIEW_STACK = "IngotBuilder", "IngotFleet", "IngotReview"
# What all of them begin with: the roles of continuous integration may deploy these stacks.
STACKS = "Ingot*"
# Context keys of the stack for continuous integration; docs/pull-requests.md has them.
REVIEW_KEYS = ("github", "github_branch", "github_provider", "github_owner_id", "github_repository_id")
# Settings of the builder's stack, which environments of one account and region share: an image is baked once
# for all.
SHARED = ("builder", "builder_image", "builder_instance_type", "builder_vpc_cidr", "test_instance_type")
HINT = (
    "docs/environments.md lists the keys; set them in environments.yaml, with -c KEY=VALUE, "
    "or in cdk.json under context"
)


class Config(Settings):
    """The settings, and the name of their environment (``-c env=NAME``); None: none was named."""

    env: str | None = None

    def stack_name(self, name: str) -> str:
        """Return a stack's name in this environment."""
        return name if self.env is None else f"{name}-{self.env}"

    def load_recipe(self) -> Recipe:
        """Return the recipe; raise InputError when it has problems, or environments but not this one.

        A recipe without environments is the same image in all of them.
        """
        path = find_recipe(RECIPES, self.recipe)
        differs = self.env is not None and any(environments(path))
        return load_recipe(path, self.env if differs else None)

    @classmethod
    def read(
        cls,
        context: Mapping[str, object],
        environment: Mapping[str, str] = os.environ,
        file: Path = ENVIRONMENTS_FILE,
    ) -> Config:
        """Return the settings that apply.

        :param context: the CDK app's context; the CDK's own keys, and others with a prefix, are left alone
        :param environment: CDK_DEFAULT_ACCOUNT and CDK_DEFAULT_REGION, which the CDK CLI sets to the caller's
        :param file: where environments are
        :raises InputError: every problem of the file and of the context
        """
        known = read_environments(file)
        name = context.get("env")
        if name is not None and not isinstance(name, str):
            raise InputError(f"context key env must be the name of an environment, not {name!r}")
        given = _given(context)
        caller = {key: environment.get(f"CDK_DEFAULT_{key.upper()}") or None for key in ("account", "region")}
        if problems := _problems_of(caller, "the caller's {}"):
            raise InputError(
                "\n".join(problems),
                hint="the CDK CLI says them in CDK_DEFAULT_ACCOUNT and CDK_DEFAULT_REGION",
            )
        config = cls(env=name, **{**caller, **known.of(name), **given})
        _check_file(known)
        _check(config, known, given)
        return config


def _given(context: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings of the context; raise InputError with every problem, unknown keys included."""
    known = Settings.model_fields
    given = {key: value for key, value in context.items() if key in known and value is not None}
    problems = _problems_of(given, "context key {}")
    every = [*known, "env", *REVIEW_KEYS]
    for key in context:
        # The CDK's own keys have other characters; those of other tools belong behind a prefix, such as
        # team:name.
        if key not in every and re.fullmatch(r"[a-z0-9_]+", key):
            problems.append(f"context key {key}: there is none of this name{_suggestion(key, every)}")
    if problems:
        raise InputError("\n".join(problems), hint=HINT)
    return given


def _suggestion(key: str, known: Sequence[str]) -> str:
    """Return what may have been meant: a key that is nearly the same, or that one is the beginning of."""
    alike = [name for name in known if name.startswith(key) or key.startswith(name)]
    near = close_to(key, known) or (f"did you mean {' or '.join(alike)}?" if 0 < len(alike) <= 3 else None)
    return "" if near is None else f"; {near}"


def _problems_of(values: Mapping[str, object], place: str) -> list[str]:
    """Return what is wrong with settings that no file holds; ``place`` names them, {} being the key."""
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        details = [(place.format(each["loc"][0]), each["ctx"]) for each in error.errors(include_url=False)]
        return [f"{where} must be {about['expected']}, not {about['found']}" for where, about in details]
    return []


def _check_file(environments: Environments) -> None:
    """Check every environment of the file, so that a mistake in one is found when another is deployed."""
    problems = []
    for name in environments.named:
        settings = Settings.model_validate(environments.of(name))
        for keys, what in contradictions(settings):
            problem = environments.problem(name, keys, what)
            problems += [] if problem is None else [problem]
    problems += _builders_that_differ(environments)
    if problems:
        raise InputError(f"{environments.path}: the environments have problems", problems=problems)


def _builders_that_differ(environments: Environments) -> list[Problem]:
    """Return a problem for each setting of the shared builder in which two environments differ."""
    first: dict[tuple[str | None, str | None], tuple[str, Settings]] = {}
    problems = []
    for name in environments.named:
        settings = Settings.model_validate(environments.of(name))
        other, before = first.setdefault((settings.account, settings.region), (name, settings))
        for key in SHARED:
            wanted, other_value = getattr(settings, key), getattr(before, key)
            if wanted == other_value:
                continue
            shared = f"both share the stack {BUILDER_STACK}"
            hint = "set it under defaults, or give the environments an account or region of their own"
            own_text, other_text = _shown(wanted), _shown(other_value)
            problem = environments.problem(
                name, (key,), f"{key} is {own_text} here and {other_text} in {other}: {shared}", hint
            ) or environments.problem(
                other, (key,), f"{key} is {other_text} here and {own_text} in {name}: {shared}", hint
            )
            problems += [] if problem is None else [problem]
    return problems


def _shown(value: object) -> str:
    return "the default" if value is None else str(value)


def _check(config: Config, environments: Environments, given: Mapping[str, object]) -> None:
    """Check the settings together, the context's among them.

    Raise InputError where they contradict each other.
    """
    lines = []
    for keys, what in contradictions(config):
        own = None if set(keys) & set(given) else environments.problem(config.env, keys, what)
        lines.append(what if own is None else str(own))
    if lines:
        raise InputError("\n".join(lines), hint=HINT)


def contradictions(settings: Settings) -> list[tuple[tuple[str, ...], str]]:
    """Return what does not go together: the keys, and what is wrong with them."""
    wanted = settings.min_clones if settings.desired_clones is None else settings.desired_clones
    rules = [
        (
            settings.min_clones <= wanted <= settings.max_clones,
            ("min_clones", "desired_clones", "max_clones"),
            f"min_clones {settings.min_clones}, desired_clones {wanted} and max_clones {settings.max_clones} "
            "must not descend",
        ),
        (
            settings.domain_name is None or settings.certificate_arn is not None,
            ("domain_name", "certificate_arn"),
            f"domain_name {settings.domain_name} needs certificate_arn",
        ),
        (
            not (settings.warm_pool and settings.spot_percentage),
            ("warm_pool", "spot_percentage"),
            "warm_pool and spot_percentage exclude each other: EC2 Auto Scaling keeps no Spot instances warm",
        ),
        (
            len(settings.zone_names) in (0, settings.zones),
            ("zone_names", "zones"),
            f"zone_names has {number(len(settings.zone_names), 'name')}, and zones is {settings.zones}",
        ),
        (
            settings.refresh_strategy == "ROLLING" or settings.refresh_min_healthy_percentage < 100,
            ("refresh_strategy", "refresh_min_healthy_percentage"),
            "REPLACE_ROOT_VOLUME needs a refresh_min_healthy_percentage below 100: each clone is away while "
            "it gets its new root volume",
        ),
        *_balancing_rules(settings),
        *_vpc_rules(settings),
    ]
    return [(keys, what) for holds, keys, what in rules if not holds]


def _balancing_rules(settings: Settings) -> list[tuple[bool, tuple[str, ...], str]]:
    """Return the rules of what balances requests, or connections: as :func:`_vpc_rules`."""
    if settings.protocol != "TCP":
        what = f"protocol {settings.protocol} needs a health_path"
        return [(settings.health_path is not None, ("health_path", "protocol"), what)]
    of_requests = ("sticky_seconds", "requests_target", "access_log_days")
    named = tuple(key for key in of_requests if getattr(settings, key) is not None)
    return [
        (
            not named,
            (*(named or of_requests), "protocol"),
            f"{' and '.join(named)} {'needs' if len(named) == 1 else 'need'} protocol HTTP or HTTPS: with "
            "TCP the load balancer sees connections and no requests",
        ),
        (
            settings.idle_timeout_seconds >= 60,
            ("idle_timeout_seconds", "protocol"),
            f"idle_timeout_seconds must be at least 60 with TCP, not {settings.idle_timeout_seconds}",
        ),
    ]


def _vpc_rules(settings: Settings) -> list[tuple[bool, tuple[str, ...], str]]:
    """Return the rules of a given VPC: whether each holds, its keys, and what is wrong where it does not."""
    zones, public, clones = (
        len(ids) for ids in (settings.vpc_zones, settings.public_subnets, settings.clone_subnets)
    )
    keys = ("vpc_zones", "public_subnets", "clone_subnets")
    if settings.vpc_id is None:
        return [(not zones + public + clones, keys, f"{', '.join(keys)} need vpc_id")]
    right = zones >= 2 and clones == zones and public == (zones if settings.internet_facing else 0)
    which = (
        "as many public_subnets and clone_subnets"
        if settings.internet_facing
        else "as many clone_subnets, and no public_subnets"
    )
    return [
        (
            right,
            (*keys, "vpc_id"),
            f"vpc_id needs two vpc_zones at least, {which}; there are {number(zones, 'zone')}, "
            f"{number(public, 'public subnet')} and {number(clones, 'clone subnet')}",
        )
    ]
