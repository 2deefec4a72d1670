"""What Ingot adds to the CDK: `cdk synth`, and `cdk deploy` with nothing to do, beside a
bare CDK app with the same resources.

The CDK CLI, Node.js and Python are counted together: what a person waits for, and the time of all processors.
No machine boots: the fleets are deployed with no clone into a local cloud of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Case, Sample, interleaved
from bench.subject import ROOT, Settings, Table, median, spread
from ingot import process
from ingot.progress import Progress

ACCOUNT, REGION = "123456789012", "us-east-1"
INGOT = [sys.executable, "-m", "ingot.cli.main"]
OURS, BARE = "Ingot's app", "a bare CDK app"


def run(settings: Settings, report: Progress) -> list[Table]:
    """Measure and return two tables."""
    environment = own_environment(settings.work)
    report("setting up: the apps have the same resources")
    count = _same_resources(settings.work, environment)
    synth = interleaved(
        [
            Case(name, ["cdk", "synth", "--quiet", *words], environment=environment, directory=ROOT)
            for name, words in _apps(settings.work / "synth").items()
        ],
        settings.runs,
        settings.work,
        report,
    )
    table = _table(f"`cdk synth` of {count} resources", synth)
    ratio, cpu = (
        median([getattr(s, what) for s in synth[OURS]]) / median([getattr(s, what) for s in synth[BARE]])
        for what in ("wall", "cpu")
    )
    table.notes.append(
        f"The figure is 1.2 times the bare app's: {ratio:.2f} times; {cpu:.2f} times its processor time."
    )
    return [table, _deploy(settings, environment, report)]


def _deploy(settings: Settings, environment: dict[str, str], report: Progress) -> Table:
    report("setting up: a local cloud, both apps deployed")
    process.run([*INGOT, "cloud", "up", "--port", str(free_port())], env=environment)
    try:
        environment |= cloud_variables(environment)
        cases = _deployed(settings.work / "deploy", environment)
        found = interleaved(cases, settings.runs, settings.work, report)
    finally:
        process.run([*INGOT, "cloud", "down"], env=environment)
    table = _table("`cdk deploy` with nothing to do", found)
    more = median([s.wall for s in found[OURS]]) - median([s.wall for s in found[BARE]])
    cpu = median([s.cpu for s in found[OURS]]) - median([s.cpu for s in found[BARE]])
    table.notes.append(
        f"The figure is 1 s more than the bare app's: {more:+.2f} s; {cpu:+.2f} s of processor time."
    )
    return table


def own_environment(work: Path) -> dict[str, str]:
    """Return the variables for the CDK CLI and Ingot, with a home of their own in
    ``work``; raise SystemExit without the CLI.
    """
    tools = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin"), os.environ["PATH"]]
    path = os.pathsep.join(tools)
    if shutil.which("cdk", path=path) is None:
        raise SystemExit("cdk is missing; install it with: npm ci")
    # The bare app is a module of this package, wherever the CDK CLI runs it.
    own = {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "CDK_DISABLE_CLI_TELEMETRY": "1",
        "INGOT_HOME": str(work / "home"),
        "INGOT_CLOUD_PARENT": str(os.getpid()),  # the local cloud ends with the benchmark, even a killed one
    }
    return {**os.environ, **own, "BARE_CLONES": "0"}


def _apps(out: Path) -> dict[str, list[str]]:
    """Return the CDK CLI's arguments that name each app, without clones."""
    return {
        OURS: [
            "--app",
            f"{sys.executable} app.py",
            "--output",
            str(out / "ingot"),
            "--context",
            "min_clones=0",
        ],
        BARE: ["--app", f"{sys.executable} -m bench.subjects.bare_app", "--output", str(out / "bare")],
    }


def _same_resources(work: Path, environment: dict[str, str]) -> int:
    """Return how many resources both apps have; raise SystemExit when they differ in kind or number."""
    counts = []
    for words in _apps(work / "synth").values():
        cdk_cli(["synth", "--quiet", *words], environment)
        templates = Path(words[3]).glob("*.template.json")
        kinds = [r["Type"] for t in templates for r in json.loads(t.read_text())["Resources"].values()]
        counts.append(Counter(kinds))
    ours, bare = counts
    if ours != bare:
        raise SystemExit(
            f"the apps differ: Ingot's has {dict(ours - bare)} more, the bare one {dict(bare - ours)}"
        )
    return sum(ours.values())


def cdk_cli(words: Sequence[str], environment: dict[str, str], directory: Path = ROOT) -> None:
    """Run the CDK CLI; raise SystemExit with what it said when it fails."""
    done = process.run(["cdk", *words], cwd=directory, env=environment, check=False)
    if done.returncode != 0:
        raise SystemExit(f"cdk {' '.join(words)}\n{done.stdout}{done.stderr}")


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def cloud_variables(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that `ingot cloud env` exports."""
    lines = process.run([*INGOT, "cloud", "env"], env=environment).stdout.splitlines()
    pairs = [line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export ")]
    return {name: value.strip("'\"") for name, value in pairs}


def _deployed(out: Path, environment: dict[str, str]) -> list[Case]:
    """Deploy both apps; return the cases that deploy them once more."""
    # Elsewhere than beside cdk.json: there the CDK CLI would run the app first.
    out.mkdir()
    cdk_cli(["bootstrap", f"aws://{ACCOUNT}/{REGION}"], environment, out)
    cases = []
    for name, words in _apps(out).items():
        cdk_cli(["synth", "--quiet", *words], environment)
        _name_the_image(Path(words[3]), environment)
        verb = ["deploy", "--all", "--require-approval", "never", *words]
        cdk_cli(verb, environment)
        cases.append(Case(name, ["cdk", *verb], environment=environment, directory=ROOT))
    return cases


def _name_the_image(assembly: Path, environment: dict[str, str]) -> None:
    """Put what a publish leaves: an AMI in the registry, and the asset's object.

    An image is not what is measured here.
    """
    import boto3

    from ingot.aws.session import tags

    session = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], region_name=REGION
    )
    address = environment["AWS_ENDPOINT_URL"]
    ec2, ebs = session.client("ec2", endpoint_url=address), session.client("ebs", endpoint_url=address)
    ssm, s3 = session.client("ssm", endpoint_url=address), session.client("s3", endpoint_url=address)
    keys = {"0" * 64}  # the bare app's
    for manifest in assembly.glob("*.assets.json"):
        files = json.loads(manifest.read_text())["files"]
        keys |= {key for key, file in files.items() if "executable" in file["source"]}
    for key in keys:
        if ssm.get_parameters(Names=[f"/ingot/web/{key}"])["Parameters"]:
            continue
        snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
        ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
        ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1})
        image = ec2.register_image(
            Name=key, Architecture="x86_64", RootDeviceName="/dev/xvda", VirtualizationType="hvm",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
        )["ImageId"]  # fmt: skip
        says = {tags.RECIPE: "web", tags.DIGEST: key, tags.ROOT_DIGEST: "0" * 64, tags.STATE: tags.PUBLISHED}
        ec2.create_tags(Resources=[image], Tags=tags.tag_list(says))
        ssm.put_parameter(Name=f"/ingot/web/{key}", Value=image, Type="String")
        s3.put_object(Bucket=f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}", Key=key, Body=b"{}")


def _table(title: str, found: dict[str, list[Sample]]) -> Table:
    rows: list[Sequence[str]] = [
        [name, spread([s.wall for s in samples]), spread([s.cpu for s in samples])]
        for name, samples in found.items()
    ]
    return Table(title, ["app", "seconds", "processor seconds"], rows)
