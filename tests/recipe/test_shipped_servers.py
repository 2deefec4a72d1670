"""Web servers of the recipes that ship, and of the README's: what their load balancer expects of them."""

import json
import re
from pathlib import Path

import pytest

from stacks.settings.keys import Settings
from tests import ROOT


def apache_configurations() -> list[tuple[str, str]]:
    """Return name and text of each Apache configuration that has a virtual host."""
    files = [*ROOT.glob("image_recipes/*/files/*"), *ROOT.glob("examples/*/image_recipes/*/files/*")]
    files += [ROOT / "README.md"]
    texts = [(str(file.relative_to(ROOT)), file.read_text()) for file in files if Path(file).is_file()]
    return [(name, text) for name, text in texts if "<VirtualHost" in text]


def test_there_are_apaches_to_look_at():
    assert [name for name, _ in apache_configurations()] == [
        "image_recipes/web/files/site.conf",
        "examples/two-fleets/image_recipes/site/files/site.conf",
        "README.md",
    ]


APACHES = dict(apache_configurations())


@pytest.mark.parametrize("text", APACHES.values(), ids=APACHES)
def test_apache_keeps_idle_connections_longer_than_the_load_balancer(text):
    """ELB user guide, "Connection idle timeout": a target that closes first costs a request in flight."""
    [seconds] = re.findall(r"^ *KeepAliveTimeout ([0-9]+)$", text, re.MULTILINE)
    assert int(seconds) > Settings().idle_timeout_seconds


LOCKS = [*ROOT.glob("image_recipes/*/recipe.lock"), *ROOT.glob("examples/*/image_recipes/*/recipe.lock")]


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.parent.name)
def test_the_root_volume_can_be_checked_at_boot(file):
    """/etc/fstab asks for it (pass 1), and a lock that is older than that still bakes."""
    lock = json.loads(file.read_text())
    assert "e2fsprogs" in [package["name"] for package in lock["packages"]]


def logs(text: str) -> list[str]:
    """Return where each log of a configuration goes."""
    return re.findall(r"^ *(?:ErrorLog|CustomLog|TransferLog|GlobalLog) +(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize(("name", "text"), apache_configurations())
def test_the_logs_of_apache_are_bounded(name, text):
    """Debian's Apache logs to plain files, which only logrotate bounds, and it is in none of the images."""
    if (security := Path(ROOT / name).with_name("security.conf")).is_file():
        text += security.read_text()
    server_wide = re.sub(r"<VirtualHost.*</VirtualHost>", "", text, flags=re.DOTALL)
    assert re.search(r"^ *ErrorLog ", server_wide, re.MULTILINE), (
        "the server's own log is Debian's: unbounded"
    )
    # Debian logs the visits of a virtual host without a log of its own to one for all of them.
    files = sorted((ROOT / name).parent.parent.glob("recipe.yaml"))
    recipe = files[0].read_text() if files else text
    if "CustomLog" not in text:
        assert "a2disconf other-vhosts-access-log" in recipe
    bounded = r'"\|/usr/bin/rotatelogs -n [0-9]+ \S+ [0-9]+M".*'
    assert logs(text)
    assert not [log for log in logs(text) if not re.fullmatch(bounded, log)]
