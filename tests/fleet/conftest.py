"""The local cloud of the AWS tests."""

from tests.aws.conftest import (  # noqa: F401 - fixtures
    clients,
    cloud,
    direct,
    proxy,
    running_cloud,
    running_proxy,
    session_clients,
    session_proxied,
)
