"""The lines of a deployment, as the CDK CLI printed them, folded."""

from ingot.plan.infrastructure.events import Folding

CREATED = """\
✨  Synthesis time: 0.01s

Web: start: Building Web Template
Web: success: Built Web Template
Web: start: Publishing Web Template (dd1bbbda)
Web: success: Published Web Template (dd1bbbda)
Web: creating CloudFormation changeset...
Web |  0/33 | 6:49:03 AM | REVIEW_IN_PROGRESS | AWS::CloudFormation::Stack | Web User Initiated
Web |  4/33 | 6:49:03 AM | CREATE_IN_PROGRESS | AWS::EC2::InternetGateway | Fleet/Network/IGW Initiated
Web | 32/33 | 6:49:04 AM | CREATE_COMPLETE | AWS::CloudWatch::Dashboard | Fleet/Dashboard
Web | 33/33 | 6:49:04 AM | CREATE_COMPLETE | AWS::CloudFormation::Stack | Web

 ✅  Web

✨  Deployment time: 5.21s

Outputs:
Web.LaunchTemplateId = lt-f5edc5aba983572d2
Web.Url = http://localhost:8999
Stack ARN:
arn:aws:cloudformation:us-east-1:123456789012:stack/Web/a9bd8fab

✨  Total time: 7.26s
"""
FAILED = """\
Web | 3/33 | 6:49:03 AM | CREATE_FAILED | AWS::EC2::Subnet | Subnet1 The CIDR '10.0.0.0/8' is invalid.
Web | 3/33 | 6:49:03 AM | ROLLBACK_IN_PROGRESS | AWS::CloudFormation::Stack | Web It failed: [Subnet1].
Web | 3/33 | 6:49:03 AM | DELETE_IN_PROGRESS | AWS::EC2::VPC | Fleet/Network
Web | 4/33 | 6:49:03 AM | DELETE_COMPLETE | AWS::EC2::VPC | Fleet/Network
Web | 4/33 | 6:49:04 AM | ROLLBACK_COMPLETE | AWS::CloudFormation::Stack | Web
❌  Web failed: _ToolkitError: The stack named Web failed creation
"""


def folded(text):
    folding = Folding(lambda: 0.0)
    return [shown for line in text.splitlines() for shown in folding.fold(line)]


def test_a_stack_is_one_line_and_what_asks_for_attention():
    assert folded(CREATED) == [
        "Web: creating CloudFormation changeset...",
        "Web: 33 resources, created in 0.0 s",
    ]


def test_a_failure_shows_what_led_to_it():
    shown = folded(FAILED)
    assert [line.split("|")[3].strip() for line in shown if "|" in line] == [
        "CREATE_FAILED",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_COMPLETE",
    ]
    assert "The CIDR '10.0.0.0/8' is invalid." in shown[0]
    assert shown[-1] == "❌  Web failed: _ToolkitError: The stack named Web failed creation"


def test_what_looks_like_an_output_elsewhere_is_shown():
    assert folded("Web.Url = is not resolved\n") == ["Web.Url = is not resolved"]


def test_how_far_a_stack_is_is_told_and_how_long_it_took():
    now, far = [0.0], []

    def clock():
        now[0] += 10
        return now[0]

    folding = Folding(clock, lambda done, of: far.append((done, of)))
    lines = [shown for line in CREATED.splitlines() for shown in folding.fold(line)]
    assert far[0] == (0, 33)
    assert far[-1] == (33, 33)
    [line] = [line for line in lines if "resources" in line]
    seconds = 10 * (2 * len(far) - 1)
    assert line == f"Web: 33 resources, created in {seconds // 60} min {seconds % 60} s".replace(" 0 s", "")
