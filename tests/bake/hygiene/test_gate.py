import pytest

from ingot.bake.hygiene import enforce
from ingot.errors import BakeError
from ingot.spec import AllowanceSpec

from .support import DECLARED, KEY, report, text

KEYS = [text("/srv/web/a.key", KEY), text("/srv/web/b.key", KEY), text("/var/log/x.log", "x")]


def allow(*entries):
    return DECLARED._replace(allowances=tuple(AllowanceSpec(*entry) for entry in entries))


def test_all_findings_are_in_the_error(tmp_path):
    with pytest.raises(BakeError) as caught:
        enforce(report(tmp_path, *KEYS), print)
    assert str(caught.value).splitlines() == [
        "the disk does not pass the hygiene gate, 3 findings:",
        "    log /var/log/x.log: 1 bytes that the bake wrote, or a step",
        "    private-key /srv/web/a.key: it holds a private key (PEM)",
        "    private-key /srv/web/b.key: it holds a private key (PEM)",
        (
            "  hint: let a step remove it, or say why it belongs there, in recipe.yaml: "
            'hygiene: {allow: [{finding: log, path: "/var/log/x.log", reason: …}]}'
        ),
    ]


def test_what_is_allowed_is_recorded_with_its_reason(tmp_path):
    declared = allow(("private-key", "/srv/*.key", "for tests"), ("log", "/var/log/x.log", "an example"))
    verdict = report(tmp_path, *KEYS, declared=declared)
    enforce(verdict, print)
    assert verdict.plain() == {
        "findings": [],
        "allowed": [
            {
                "finding": "log",
                "path": "/var/log/x.log",
                "found": verdict.allowed[0][0].reason,
                "reason": "an example",
            },
            {
                "finding": "private-key",
                "path": "/srv/web/a.key",
                "found": "it holds a private key (PEM)",
                "reason": "for tests",
            },
            {
                "finding": "private-key",
                "path": "/srv/web/b.key",
                "found": "it holds a private key (PEM)",
                "reason": "for tests",
            },
        ],
        "unused": [],
    }


def test_an_allowance_is_for_its_finding_and_path_alone(tmp_path):
    declared = allow(("log", "/srv/*.key", "wrong finding"), ("private-key", "/srv/web/b.*", "one"))
    verdict = report(tmp_path, *KEYS, declared=declared)
    assert [finding.path for finding in verdict.findings] == ["/var/log/x.log", "/srv/web/a.key"]


def test_a_bracket_in_a_path_is_one(tmp_path):
    page = text("/srv/pages/[id].js", KEY)
    verdict = report(tmp_path, page, declared=allow(("private-key", "/srv/pages/[id].js", "an example")))
    assert (verdict.findings, verdict.unused) == ([], [])
    verdict = report(
        tmp_path,
        text("/srv/pages/i.js", KEY),
        declared=allow(("private-key", "/srv/pages/[id].js", "an example")),
    )
    assert len(verdict.findings) == 1


def test_an_allowance_of_no_use_is_reported(tmp_path):
    verdict = report(tmp_path, declared=allow(("log", "/var/log/*", "why")))
    messages = []
    enforce(verdict, messages.append)
    assert messages == ["hygiene.allow: nothing is found for log /var/log/*: remove it"]
    assert verdict.plain()["unused"] == [{"finding": "log", "path": "/var/log/*", "reason": "why"}]


def test_a_message_stays_readable(tmp_path):
    verdict = report(tmp_path, *(text(f"/srv/{n}", "x", mode=0o666) for n in range(250)))
    with pytest.raises(BakeError, match=r"250 findings:[^…]*and 150 more"):
        enforce(verdict, print)
