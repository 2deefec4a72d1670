"""Settings with everything on that goes together, and the stack that is there only when it is asked for."""

from aws_cdk import App

from stacks.builder_stack import BuilderStack
from stacks.review_stack import ReviewStack
from stacks.settings.config import Config

CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/12345678-90ab-cdef-1234-567890abcdef"
TOPIC = "arn:aws:sns:eu-central-1:111122223333:on-call"
EVERYTHING: dict[str, object] = {
    "zones": 3,
    "certificate_arn": CERTIFICATE,
    "domain_name": "www.example.com",
    "access_log_days": 90,
    "more_instance_types": "t3a.small,m6i.large",
    "spot_percentage": 50,
    "on_demand_base": 1,
    "requests_target": 1000,
    "session_manager": True,
    "volume_initialization_rate": 200,
    "detailed_monitoring": True,
    "refresh_checkpoints": "50",
    "refresh_bake_seconds": 600,
    "alarm_topics": TOPIC,
}


def add_review(app: App, **context: object) -> None:
    """Add the stack of pull requests to an app, and the builder's where the app has none."""
    config = Config.read({}, environment={})
    found = app.node.try_find_child("IngotBuilder")
    builder = found if isinstance(found, BuilderStack) else BuilderStack(app, "IngotBuilder", config=config)
    given = {"github": "acme/site", **context}
    ReviewStack(app, "IngotReview", config=config, context=given, builder=builder.builder)
