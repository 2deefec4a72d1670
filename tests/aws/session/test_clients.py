"""Which region Ingot works in: the one that the aws and cdk commands take from the same environment."""

import pytest

from ingot.aws.session.clients import connect


@pytest.fixture(autouse=True)
def profile(monkeypatch, tmp_path):
    """A configuration file whose region is the last that counts."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "config"
    file.write_text("[default]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
        ({"AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "us-east-2"}, "eu-central-1"),
        ({"AWS_REGION": ""}, "eu-west-1"),
    ],
)
def test_the_region(monkeypatch, variables, region):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert connect().region == region


def test_a_region_that_is_named_counts_before_all(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert connect(region="us-west-2").region == "us-west-2"
