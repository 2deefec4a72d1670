from tests.stacks.conftest import make_app, project  # noqa: F401 - fixtures
