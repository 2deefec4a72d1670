"""Works out once what moto works out for each request; and keys that nobody asks for, never.

Measured on moto 5, in seconds of a processor: a request takes 0.001 less of its 0.003 to 0.005, the first
volume of an account 0.06 less, a cloud that starts and stops 1.5 to 1.8 less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from functools import cache, cached_property
from typing import Any

from moto import backends
from moto.core import responses
from moto.iam import models as iam
from moto.kms import models as kms
from moto.utilities.utils import get_partition

from localcloud.core.moto_types import Backend, ManagedPolicy
from localcloud.core.patching import Patches


def install(patches: Patches) -> None:
    """Remember moto's modules and the operations of its classes; put off the private keys of KMS."""
    patches.replace(backends, "list_of_moto_modules", _listed_once)
    # The dispatcher looks for an operation among the methods of its service: EC2 has 700.
    patches.replace(responses, "method_names_from_class", cache)
    patches.replace(kms, "generate_private_key", _put_off)
    patches.replace(iam.IAMBackend, "_init_aws_policies", _read_once)


def _listed_once(original: Callable[[], Iterable[str]]) -> Callable[[], Iterable[str]]:
    names = frozenset(original())
    return lambda: names


# AWS's managed policies, by "policies". moto reads their 1,500 documents for each partition of an account and
# again at each reset: 0.15 s each, twelve times for a cloud that starts and stops.
_KNOWN: dict[str, tuple[ManagedPolicy, ...]] = {}


def _read_once(
    original: Callable[[Backend], list[ManagedPolicy]],
) -> Callable[[Backend], list[ManagedPolicy]]:
    def policies(backend: Backend) -> list[ManagedPolicy]:
        if not iam.load_iam_aws_managed_policies():
            return []
        if not _KNOWN:
            _KNOWN["policies"] = tuple(original(backend))
        partition = get_partition(backend.region_name)
        return [_own(policy, backend.account_id, partition) for policy in _KNOWN["policies"]]

    return policies


def _own(policy: ManagedPolicy, account_id: str, partition: str) -> ManagedPolicy:
    """Return a policy for one account and partition. Only its text is that of all."""
    own = copy(policy)
    own.account_id, own.partition, own.tags = account_id, partition, {}
    own.versions = [copy(version) for version in policy.versions]
    for version in own.versions:
        version.policy_arn = own.arn
    return own


def _put_off(original: Callable[[str], object]) -> Callable[[str], LatePrivateKey]:
    return lambda key_spec: LatePrivateKey(original, key_spec)


class LatePrivateKey:
    """The private key of a KMS key, generated when it is used.

    moto makes a pair of RSA for each key, also for one that encrypts symmetrically and has none, as that of
    EBS.
    """

    def __init__(self, generate: Callable[[str], object], key_spec: str) -> None:
        self._generate, self._key_spec = generate, key_spec

    @cached_property
    def _key(self) -> object:
        return self._generate(self._key_spec)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever moto's key has
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._key, name)
