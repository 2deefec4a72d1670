"""The local cloud of the AWS tests."""

from tests.aws.conftest import (  # noqa: F401 - fixtures
    clients,
    clone_settings,
    cloud,
    direct,
    known,
    passing,
    proxy,
    running_cloud,
    running_proxy,
    running_server,
    session_clients,
    session_proxied,
    settings,
)
