"""The program that fetches a clone's configuration, beside metadata and APIs that check what AWS checks."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingot.bake.image.machine import SOURCES
from ingot.process import run as run_program
from tests import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs a network of its own")

DECLARED = (
    "environment\troot\troot\t0400\n"
    "variable\tLEVEL\tdebug\n"
    "secret\tpassword\twww-data\tdaemon\t0440\tno-secret\n"
)
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:web-AbCdEf"
USER_DATA = f"# ingot: variable LEVEL value aW5mbw==\n# ingot: secret password secret {SECRET}\n"
LOCAL = "http://127.0.0.1:4566"


def value(text: str) -> list[list[Any]]:
    return [[200, {"ARN": SECRET, "VersionStages": ["AWSCURRENT"], "SecretString": text}]]


def refusal(code: str, message: str = "it is so", status: int = 400) -> list[Any]:
    return [status, {"__type": f"com.amazonaws#{code}", "message": message}]


@pytest.fixture
def configure(tmp_path: Path) -> Any:
    """Return a function that runs the program in a scenario, and returns what became of it."""

    def act(**changed: Any) -> Any:
        scenario = {
            "declared": DECLARED, "user_data": USER_DATA, "endpoint": LOCAL,
            "answers": {SECRET: value("s3cret")}, "rootfs": str(SOURCES), "work": str(tmp_path), **changed,
        }  # fmt: skip
        spaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        done = subprocess.run(
            [*spaces, sys.executable, str(Path(__file__).with_name("configuring.py"))],
            input=json.dumps(scenario), capture_output=True, text=True, timeout=200, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return act


def content(run: Any, name: str) -> bytes:
    return base64.b64decode(run["files"][name][0])


def failure(found: Any) -> str:
    """Return what the console says of the one run, which must have failed and left nothing."""
    [run] = found["runs"]
    assert run["code"] == 1, run
    assert run["files"] == {}
    assert run["err"].strip() in found["console"]
    assert "ingot: the configuration cannot be had: " in found["console"]
    return str(run["err"])


def test_values_are_where_the_recipe_says_and_nobody_elses(configure):
    found = configure()
    [run] = found["runs"]
    assert (run["code"], run["out"], run["err"], found["console"]) == (0, "", "", "")
    assert content(run, "environment") == b'LEVEL="info"\n'
    assert run["files"]["environment"][1:] == ["0o400", 0, 0]
    assert content(run, "secrets/password") == b"s3cret"
    assert run["files"]["secrets/password"][1:] == ["0o440", 33, 1]
    assert [(call["target"], call["asked"]) for call in found["calls"]] == [
        ("GetSecretValue", {"SecretId": SECRET})
    ]


def test_parameters_come_ten_at_a_time(configure):
    names = [f"/web/{number:02}" for number in range(12)]
    declared = "environment\troot\troot\t0400\n" + "".join(f"variable\tV{n:02}\t\n" for n in range(12))
    lines = "".join(f"# ingot: variable V{n:02} parameter {name}\n" for n, name in enumerate(names))

    def answer(some: list[str]) -> list[Any]:
        return [
            200,
            {"Parameters": [{"Name": name, "Value": f"of {name}"} for name in some], "InvalidParameters": []},
        ]

    answers = {"GetParameters": [answer(names[:10]), answer(names[10:])]}
    found = configure(declared=declared, user_data=f"#!/bin/sh\necho mine\n{lines}", answers=answers)
    [run] = found["runs"]
    assert content(run, "environment").decode() == "".join(f'V{n:02}="of /web/{n:02}"\n' for n in range(12))
    assert [call["asked"] for call in found["calls"]] == [
        {"Names": names[:10], "WithDecryption": True}, {"Names": names[10:], "WithDecryption": True},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["plain", "two words", 'a "quote" and a \\', "$HOME `id`", "line\nline", "ünï 🔑", "", "a=b #c", "'"],
)
def test_a_variable_is_what_a_shell_and_systemd_read(configure, tmp_path, text):
    encoded = base64.b64encode(text.encode()).decode()
    found = configure(user_data=USER_DATA.replace("aW5mbw==", encoded))
    written = tmp_path.with_name("environment")
    written.write_bytes(content(found["runs"][0], "environment"))
    shell = subprocess.run(["sh", "-c", f'. {written}; printf %s "$LEVEL"'], capture_output=True, check=True)
    assert shell.stdout.decode() == text


def test_a_secret_of_64_kib_and_a_binary_one_arrive_whole(configure):
    long = "".join(chr(33 + number % 90) for number in range(65536))
    binary = bytes(range(256)) * 7
    other = SECRET.replace("web", "key")
    found = configure(
        declared=DECLARED + "secret\tkey\troot\troot\t0400\t\n",
        user_data=f"{USER_DATA}# ingot: secret key secret {other}\n",
        answers={
            SECRET: value(long),
            other: [[200, {"ARN": other, "SecretBinary": base64.b64encode(binary).decode()}]],
        },
    )
    [run] = found["runs"]
    assert content(run, "secrets/password").decode() == long
    assert content(run, "secrets/key") == binary


def test_the_keys_of_a_secret_are_of_one_version_though_it_rotates_meanwhile(configure):
    user, word = (base64.b64encode(key).decode() for key in (b"username", b"password"))
    versions = [json.dumps({"username": f"u{n}", "password": f'"p{n}\\ é', "port": 5432}) for n in (1, 2)]
    found = configure(
        declared=DECLARED + "secret\tuser\troot\troot\t0400\t\n",
        user_data=f"# ingot: variable LEVEL value aW5mbw==\n# ingot: secret password secret {SECRET} {word}\n"
        f"# ingot: secret user secret {SECRET} {user}\n",
        answers={SECRET: [*value(versions[0]), *value(versions[1])]},
        runs=[[], ["--refresh"], ["--refresh"]],
    )
    first, second, third = found["runs"]
    assert (content(first, "secrets/user"), content(first, "secrets/password").decode()) == (b"u1", '"p1\\ é')
    assert (content(second, "secrets/user"), content(second, "secrets/password").decode()) == (
        b"u2",
        '"p2\\ é',
    )
    assert second["out"] == "changed: secrets/password, secrets/user\n"
    assert third["out"] == ""


def test_metadata_that_comes_late_are_waited_for(configure):
    [run] = configure(metadata_after=3)["runs"]
    assert (run["code"], content(run, "secrets/password")) == (0, b"s3cret")


def test_what_passes_is_tried_again(configure):
    answers = [
        refusal("ThrottlingException"),
        refusal("InternalServiceError", status=500),
        refusal("AccessDeniedException"),
    ]
    found = configure(answers={SECRET: [*answers, *value("at last")]})
    assert content(found["runs"][0], "secrets/password") == b"at last"
    assert len(found["calls"]) == 4


def test_a_secret_that_is_not_there_fails_at_once_and_is_named(configure):
    reason = "Secrets Manager can't find the specified secret."
    found = configure(answers={SECRET: [refusal("ResourceNotFoundException", reason)]})
    assert failure(found) == f"the secret {SECRET} of secret password: ResourceNotFoundException {reason}\n"
    assert len(found["calls"]) == 1


def test_a_parameter_that_is_not_there_fails_at_once_and_is_named(configure):
    found = configure(
        user_data=USER_DATA.replace("value aW5mbw==", "parameter /web/level"),
        answers={
            SECRET: value("x"),
            "GetParameters": [[200, {"Parameters": [], "InvalidParameters": ["/web/level"]}]],
        },
    )
    assert failure(found) == "there is no parameter /web/level\n"


@pytest.mark.slow
def test_a_permission_that_stays_missing_fails_and_is_named(configure):
    reason = f"User: x is not authorized to perform: secretsmanager:GetSecretValue on resource: {SECRET}"
    found = configure(answers={SECRET: [refusal("AccessDeniedException", reason)]})
    assert reason in failure(found)
    assert "ingot: waits for its configuration: the secret" in found["console"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"user_data": ""}, "the user data does not say where these are: variable LEVEL, secret password"),
        ({"user_data": USER_DATA.replace("value", "vault")}, "the user data says 'vault' of variable LEVEL"),
        ({"user_data": f"{USER_DATA[:-1]} cGFzc3dvcmQ=\n"}, "is no JSON object, so it has no key password"),
        ({"declared": DECLARED.replace("www-data", "nobodys")}, "there is no user nobodys"),
        ({"user_data": USER_DATA.replace("aW5mbw==", "YQBi")}, "the variable LEVEL has a NUL byte"),
        ({"user_data": USER_DATA.replace("aW5mbw==", "/w==")}, "the variable LEVEL is not UTF-8"),
    ],
)
def test_what_cannot_be_is_said(configure, changed, message):
    assert message in failure(configure(**changed))


@pytest.mark.parametrize("why", ["test", "examples"])
def test_a_machine_without_a_fleet_takes_the_examples(configure, why):
    found = configure(user_data=f'{{"ingot": {{"{why}": true}}}}')
    [run] = found["runs"]
    assert content(run, "environment") == b'LEVEL="debug"\n'
    assert content(run, "secrets/password") == b"no-secret"
    assert found["calls"] == []


def test_a_refresh_that_fails_leaves_what_there_was(configure):
    found = configure(
        answers={SECRET: [*value("one"), refusal("ResourceNotFoundException")]}, runs=[[], ["--refresh"]]
    )
    assert [run["code"] for run in found["runs"]] == [0, 1]
    assert content(found["runs"][1], "secrets/password") == b"one"


@pytest.fixture
def authority(tmp_path: Path) -> Any:
    """Return a function that makes a certificate for a name; it is its own authority."""

    def make(name: str) -> dict[str, str]:
        directory = tmp_path.with_name(f"{tmp_path.name}-tls")
        directory.mkdir()
        key, certificate = directory / "key.pem", directory / "certificate.pem"
        subject = ["-subj", "/CN=test", "-addext", f"subjectAltName=DNS:{name}", "-days", "2", "-nodes"]
        run_program(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-keyout",
                str(key),
                "-out",
                str(certificate),
                *subject,
            ]
        )
        return {"key": str(key), "certificate": str(certificate)}

    return make


def test_aws_is_asked_by_tls_at_the_regions_address(configure, authority):
    files = authority("secretsmanager.eu-central-1.amazonaws.com")
    long = "x" * 65536
    found = configure(endpoint=None, trusts=files["certificate"], answers={SECRET: value(long)}, **files)
    [run] = found["runs"]
    assert (run["code"], content(run, "secrets/password").decode()) == (0, long)
    assert [call["host"] for call in found["calls"]] == ["secretsmanager.eu-central-1.amazonaws.com"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("secretsmanager.eu-central-1.amazonaws.com", False, "self-signed certificate"),
        ("attacker.example", True, "hostname mismatch"),
    ],
)
def test_a_certificate_that_is_not_aws_is_never_talked_to(configure, authority, name, trusted, reason):
    files = authority(name)
    trust = {"trusts": files["certificate"]} if trusted else {}
    found = configure(endpoint=None, **trust, **files)
    assert reason in failure(found).lower()
    assert found["calls"] == []
