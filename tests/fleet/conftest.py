"""The local cloud of the AWS tests."""

from tests.aws.conftest import (  # noqa: F401 - fixtures
    cloud,
    direct,
    running_cloud,
    session_clients,
)
