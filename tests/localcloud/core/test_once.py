"""What moto works out for each request is worked out once, and says the same."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto import backends
from moto.core import responses
from moto.ec2.responses import EC2Response
from moto.iam import models as iam
from moto.kms import models as kms

from localcloud.core import once
from localcloud.core.patching import Patches


@pytest.fixture
def patches() -> Iterator[Patches]:
    patches = Patches()
    yield patches
    patches.undo()


def test_modules_and_operations_are_those_of_moto(patches: Patches) -> None:
    modules, operations = set(backends.list_of_moto_modules()), responses.method_names_from_class(EC2Response)
    once.install(patches)
    assert set(backends.list_of_moto_modules()) == modules
    assert {"ec2", "kms"} <= modules
    assert responses.method_names_from_class(EC2Response) == operations
    assert responses.method_names_from_class(EC2Response) is responses.method_names_from_class(EC2Response)


def test_a_private_key_is_made_when_it_is_used(patches: Patches) -> None:
    specs: list[str] = []
    generate = kms.generate_private_key
    patches.add(kms, generate_private_key=lambda key_spec: specs.append(key_spec) or generate(key_spec))
    once.install(patches)
    key = kms.generate_private_key("ECC_NIST_P256")
    assert specs == []
    signature = key.sign(b"message", "ECDSA_SHA_256")
    assert key.verify(b"message", signature, "ECDSA_SHA_256")
    assert specs == ["ECC_NIST_P256"]


def test_the_managed_policies_are_those_of_moto_and_each_backends_own(
    patches: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    regions = ("aws", "aws-cn")
    expected = [facts(iam.IAMBackend(region, "1" * 12)) for region in regions]
    once.install(patches)
    found = [iam.IAMBackend(region, "1" * 12) for region in regions]
    assert [facts(backend) for backend in found] == expected
    assert len(expected[0]) > 1000
    first, second = found[0], iam.IAMBackend("aws", "1" * 12)
    name = next(iter(first.managed_policies))
    first.managed_policies[name].attachment_count += 1
    first.managed_policies[name].versions.clear()
    assert second.managed_policies[name].attachment_count == 0
    assert len(second.managed_policies[name].versions) == 1
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
    assert iam.IAMBackend("aws", "1" * 12).managed_policies == {}


def facts(backend: Any) -> list[tuple[Any, ...]]:
    return [
        (
            arn,
            policy.arn,
            policy.account_id,
            policy.path,
            policy.create_date,
            version.policy_arn,
            version.document,
        )
        for arn, policy in backend.managed_policies.items()
        for version in policy.versions
    ]


def test_clients_sign_with_it(client: Callable[[str], Any]) -> None:
    api = client("kms")
    key = api.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["KeyId"]
    how = {"KeyId": key, "Message": b"message", "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
    assert api.verify(Signature=api.sign(**how)["Signature"], **how)["SignatureValid"]
