"""Each check finds what is planted on a disk, and nothing else."""

import pytest

from ingot.bake.hygiene import NAMES, Declared
from ingot.bake.tree.tree import Entry, Kind
from ingot.bake.tree.volatile import BASELINE
from tests.bake.disk.helpers import EPOCH

from .support import ARMOUR, CAPABILITY, DECLARED, KEY, TOOL, clean, link, report, service, text

AWS_KEY = "AKIA" + "Q3EGTNVXEJ5ZWAUY"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG+" + "bPxRfiCYz3xW0q5v1K"
ENABLING = "/etc/systemd/system/multi-user.target.wants"

# what is planted -> the findings, as "name path"
PLANTED = {
    "a machine id": (
        [text("/etc/machine-id", "0123456789abcdef" * 2 + "\n")],
        ["machine-id /etc/machine-id"],
    ),
    "one of D-Bus": ([text("/var/lib/dbus/machine-id", "ab" * 16)], ["machine-id /var/lib/dbus/machine-id"]),
    "an id of an installation": (
        [text("/etc/nvme/hostid", "27fd377c")],
        ["clone-identity /etc/nvme/hostid"],
    ),
    "a host key": (
        [text("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA")],
        ["host-key /etc/ssh/ssh_host_ed25519_key.pub"],
    ),
    "an authorized key": (
        [text("/srv/web/.ssh/authorized_keys", "ssh-ed25519 AAAA")],
        ["authorized-key /srv/web/.ssh/authorized_keys"],
    ),
    "an authorized key behind a link": (
        [link("/root/.ssh/authorized_keys", "/etc/keys/root"), text("/etc/keys/root", "ssh-ed25519 AAAA")],
        ["authorized-key /root/.ssh/authorized_keys"],
    ),
    "a machine id behind a link": (
        [link("/etc/machine-id", "id"), text("/etc/id", "0123456789abcdef" * 2 + "\n")],
        ["machine-id /etc/machine-id"],
    ),
    "a netrc behind a link": (
        [link("/root/.netrc", "../srv/net"), text("/srv/net", "machine a login b password c")],
        ["credential /root/.netrc"],
    ),
    "texts that are named like data": (
        [text("/srv/a.db", KEY), text("/srv/b.bin", KEY), text("/srv/c.png", f"x = '{AWS_KEY}'")],
        ["credential /srv/c.png", "private-key /srv/a.db", "private-key /srv/b.bin"],
    ),
    "histories of other shells": (
        [
            text("/root/.zhistory", "x"),
            text("/root/.history", "x"),
            link("/srv/web/.bash_history", "h"),
            text("/srv/web/h", "x"),
        ],
        ["history /root/.history", "history /root/.zhistory", "history /srv/web/.bash_history"],
    ),
    "a seed": ([text("/var/lib/systemd/random-seed", b"\1\2")], ["random-seed /var/lib/systemd/random-seed"]),
    "a lease": (
        [text("/var/lib/dhcp/dhclient.eth0.leases", "lease {}")],
        ["lease /var/lib/dhcp/dhclient.eth0.leases"],
    ),
    "a private key": ([text("/srv/web/key.txt", KEY)], ["private-key /srv/web/key.txt"]),
    "a key in JSON": (
        [text("/srv/a.json", '{"k": "' + KEY.replace("\n", "\\n") + '"}')],
        ["private-key /srv/a.json"],
    ),
    "an encrypted key": (
        [
            text(
                "/srv/k",
                f"-----BEGIN EC {ARMOUR}\nProc-Type: 4,ENCRYPTED\nDEK-Info:"
                f" AES-128-CBC,AB\n\n{'Ab1+' * 12}\n",
            )
        ],
        ["private-key /srv/k"],
    ),
    "a changed key of a package": (
        [text("/usr/share/tests/example.key", KEY + "\n")],
        ["private-key /usr/share/tests/example.key"],
    ),
    "a key store": ([text("/srv/site.p12", b"\x30\x82\0")], ["private-key /srv/site.p12"]),
    "an AWS access key": (
        [text("/srv/web/settings.py", f"KEY = '{AWS_KEY}'")],
        ["credential /srv/web/settings.py"],
    ),
    "AWS credentials": (
        [text("/root/.aws/credentials", "[default]\naws_secret_access_key = x\n")],
        ["credential /root/.aws/credentials"],
    ),
    "a GitHub token": (
        [text("/srv/run.sh", "curl -H 'token gh" + "p_" + "aB3" * 12 + "'")],
        ["credential /srv/run.sh"],
    ),
    "a netrc": ([text("/root/.netrc", "machine a login b password c")], ["credential /root/.netrc"]),
    "a pgpass": ([text("/srv/web/.pgpass", "localhost:5432:db:me:secret")], ["credential /srv/web/.pgpass"]),
    "a registry's password": (
        [text("/root/.docker/config.json", '{"auths": {"r": {"auth": "dTpw"}}}')],
        ["credential /root/.docker/config.json"],
    ),
    "an archive's password": (
        [text("/etc/apt/sources.list.d/x.list", "deb https://me:pw@host/ x main")],
        ["credential /etc/apt/sources.list.d/x.list"],
    ),
    "a password": (
        [text("/etc/shadow", "root:$y$j9T$abc:20000:0:99999:7:::")],
        ["password-hash /etc/shadow"],
    ),
    "a locked password": (
        [text("/etc/shadow", "root:!$6$abc:20000:0:99999:7:::")],
        ["password-hash /etc/shadow"],
    ),
    "no password": ([text("/etc/shadow", "root::20000:0:99999:7:::")], ["password-hash /etc/shadow"]),
    "a group's password": ([text("/etc/gshadow", "app:$6$abc::")], ["password-hash /etc/gshadow"]),
    "histories": (
        [
            text("/root/.bash_history", "ls"),
            text("/srv/web/.lesshst", "x"),
            text("/root/.viminfo", "x"),
            text("/root/.mysql_history", "x"),
        ],
        [
            "history /root/.bash_history",
            "history /root/.mysql_history",
            "history /root/.viminfo",
            "history /srv/web/.lesshst",
        ],
    ),
    "a log": ([text("/var/log/apt/history.log", "x")], ["log /var/log/apt/history.log"]),
    "caches, one finding each": (
        [
            text("/var/cache/apt/pkgcache.bin", "x"),
            text("/var/cache/apt/a/b.deb", "x"),
            text("/srv/web/.cache/pip/x", "x"),
            text("/root/.npm/_cacache/x", "x"),
        ],
        ["cache /root/.npm", "cache /srv/web/.cache", "cache /var/cache/apt"],
    ),
    "a temporary file": ([text("/var/tmp/build.sh", "x")], ["builder-trace /var/tmp/build.sh"]),
    "a host name": ([text("/etc/hostname", "builder\n")], ["builder-trace /etc/hostname"]),
    "a resolver": ([text("/etc/resolv.conf", "nameserver 10.0.0.2\n")], ["builder-trace /etc/resolv.conf"]),
    "another resolver's link": (
        [link("/etc/resolv.conf", "/run/NetworkManager/resolv.conf")],
        ["builder-trace /etc/resolv.conf"],
    ),
    "a host's address": (
        [text("/etc/hosts", "127.0.0.1 localhost\n10.0.0.7 builder\n")],
        ["builder-trace /etc/hosts"],
    ),
    "a file for all": ([text("/srv/web/data", "x", mode=0o666)], ["world-writable /srv/web/data"]),
    "a directory for all": (
        [Entry("/srv/up", Kind.DIRECTORY, 0o777, mtime=EPOCH)],
        ["world-writable /srv/up"],
    ),
    "setuid": ([text("/srv/web/tool", TOOL, mode=0o4755)], ["setuid /srv/web/tool"]),
    "setgid": ([text("/srv/web/tool", TOOL, mode=0o2755, gid=42)], ["setuid /srv/web/tool"]),
    "a capability": ([text("/srv/web/tool", TOOL, mode=0o755, xattrs=CAPABILITY)], ["setuid /srv/web/tool"]),
    "another program as su": ([text("/usr/bin/su", TOOL + b"!", mode=0o4755)], ["setuid /usr/bin/su"]),
    "more rights for su": ([text("/usr/bin/su", TOOL, mode=0o6755)], ["setuid /usr/bin/su"]),
    "a broken link": (
        [link("/etc/apache2/sites-enabled/x.conf", "../sites-available/x.conf")],
        ["broken-link /etc/apache2/sites-enabled/x.conf"],
    ),
    "links in a circle": (
        [link("/etc/a", "b"), link("/etc/b", "a")],
        ["broken-link /etc/a", "broken-link /etc/b"],
    ),
    "no unit": (
        [link(f"{ENABLING}/x.service", "/usr/lib/systemd/system/x.service")],
        [f"unit {ENABLING}/x.service"],
    ),
    "no program": (
        service("x.service", "[Service]\nExecStart=/opt/x\n"),
        ["unit /usr/lib/systemd/system/x.service"],
    ),
    "no program in the path": (
        service("x.service", "[Service]\nExecStart=@xd x\n"),
        ["unit /usr/lib/systemd/system/x.service"],
    ),
    "no ExecStart": (
        service("x.service", "[Service]\nType=simple\n"),
        ["unit /usr/lib/systemd/system/x.service"],
    ),
    "no user": (
        service("x.service", "[Service]\nExecStart=su\nUser=gone\n"),
        ["unit /usr/lib/systemd/system/x.service"],
    ),
    "a timer for nothing": (
        service("x.timer", "[Timer]\nOnBootSec=1\n"),
        ["unit /usr/lib/systemd/system/x.timer"],
    ),
    "a socket for nothing": (
        service("x.socket", "[Socket]\nListenStream=80\n"),
        ["unit /usr/lib/systemd/system/x.socket"],
    ),
    "a socket for another service": (
        service("x.socket", "[Socket]\nListenStream=80\nService=gone.service\n"),
        ["unit /usr/lib/systemd/system/x.socket"],
    ),
    "a socket without a template": (
        service("daemon.socket", "[Socket]\nListenStream=80\nAccept=yes\n"),
        ["unit /usr/lib/systemd/system/daemon.socket"],
    ),
    "a socket's program": (
        [
            *service("x.socket", "[Socket]\nListenStream=80\n"),
            text("/usr/lib/systemd/system/x.service", "[Service]\nExecStart=/opt/x\n"),
        ],
        ["unit /usr/lib/systemd/system/x.service"],
    ),
    "a drop-in's second command": (
        [text("/etc/systemd/system/daemon.service.d/x.conf", "[Service]\nExecStart=/usr/sbin/daemon -y\n")],
        ["unit /usr/lib/systemd/system/daemon.service"],
    ),
    "a drop-in's program": (
        [text("/etc/systemd/system/daemon.service.d/x.conf", "[Service]\nExecStart=\nExecStart=/opt/x\n")],
        ["unit /usr/lib/systemd/system/daemon.service"],
    ),
}


def found(report):
    return [f"{finding.name} {finding.path}" for finding in report.findings]


def test_a_clean_disk_passes(tmp_path):
    clean_report = report(tmp_path)
    assert clean_report.plain() == {"findings": [], "allowed": [], "unused": []}


@pytest.mark.parametrize(("planted", "expected"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_found(tmp_path, planted, expected):
    assert found(report(tmp_path, *planted)) == expected


@pytest.mark.parametrize(
    "content",
    [
        f"AWS_ACCESS_KEY_ID={AWS_KEY}\n",
        f"export AWS_ACCESS_KEY_ID='{AWS_KEY}'\n",
        f"Environment=AWS_ACCESS_KEY_ID={AWS_KEY.replace('AK', 'AS', 1)}\n",
        f"AWS_SECRET_ACCESS_KEY={AWS_SECRET}\n",
        f"aws_secret_access_key = {AWS_SECRET}\n",
        f"""{{"AWS_SECRET_ACCESS_KEY": "{AWS_SECRET}"}}""",
        f"""os.environ["AWS_SECRET_ACCESS_KEY"] = "{AWS_SECRET}" """,
        f"""ENV['aws_secret_access_key'] = '{AWS_SECRET}'""",
        f"""'AWS_SECRET_ACCESS_KEY' => '{AWS_SECRET}',""",
        f"""{{"SecretAccessKey": "{AWS_SECRET}"}}""",
        f"""new Client({{secretAccessKey: "{AWS_SECRET}"}})""",
    ],
)
def test_keys_of_aws_are_found_however_they_are_written(tmp_path, content):
    assert found(report(tmp_path, text("/srv/a", content))) == ["credential /srv/a"]


@pytest.mark.parametrize(
    "content",
    [
        "AWS_ACCESS_KEY_ID=AKIA" + "IOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_SECRET_ACCESS_KEY=${SECRET}",
        f"SECRET_ACCESS_KEY_HASH={AWS_SECRET}",
        f"aws_secret_access_key={AWS_SECRET}{AWS_SECRET}",
        f"Zm9v{AWS_KEY}",
    ],
)
def test_examples_and_other_texts_are_no_keys_of_aws(tmp_path, content):
    assert found(report(tmp_path, text("/srv/a", content))) == []


def test_links_to_nothing_of_the_disk_pass(tmp_path):
    planted = [
        link("/root/.bash_history", "/dev/null"),
        link("/var/lib/dbus/machine-id", "/etc/machine-id"),
        link("/srv/web/.ssh/authorized_keys", "/run/keys"),
        link("/srv/web/.netrc", "/gone"),
    ]
    assert found(report(tmp_path, *planted)) == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (
            "ExecReload=/bin/kill -HUP $MAINPID",
            "ExecReload runs /bin/kill, which is not there: add procps to packages",
        ),
        ("ExecStartPre=modprobe tun", "ExecStartPre runs modprobe, which is not there: add kmod to packages"),
        ("ExecStop=/opt/x", "ExecStop runs /opt/x, which is not there"),
    ],
)
def test_a_program_that_a_package_has_is_named_with_it(tmp_path, command, reason):
    planted = service("x.service", f"[Service]\nExecStart=/usr/sbin/daemon\n{command}\n")
    assert [finding.reason for finding in report(tmp_path, *planted).findings] == [reason]


def test_units_that_systemd_takes_pass(tmp_path):
    planted = [
        *service("daemon.socket", "[Socket]\nListenStream=80\n"),
        *service("a.socket", "[Socket]\nListenStream=81\nService=daemon.service\n"),
        *service("b.socket", "[Socket]\nListenStream=82\nAccept=true\n"),
        text("/usr/lib/systemd/system/b@.service", "[Service]\nExecStart=/usr/sbin/daemon\n"),
        *service("self.socket", "[Socket]\nListenStream=83\nService=self.socket\n"),
        *service("two.service", "[Service]\nType=oneshot\nExecStart=su\nExecStart=ping\n"),
        # What a drop-in in /etc replaces by its name does not count, and names come in their order.
        text("/etc/systemd/system/daemon.service.d/x.conf", "[Service]\nExecStart=\nExecStart=su\n"),
        text("/usr/lib/systemd/system/daemon.service.d/x.conf", "[Service]\nExecStart=ping\n"),
        text("/usr/lib/systemd/system/daemon.service.d/a.conf", "[Service]\nExecStart=/usr/sbin/daemon -z\n"),
    ]
    assert found(report(tmp_path, *planted)) == []


def test_every_finding_is_tested():
    planted = {one.split()[0] for _, expected in PLANTED.values() for one in expected}
    assert planted | {"install-secret"} == set(NAMES)  # that one is of the packages' layer: below


def test_no_reason_tells_the_secret(tmp_path):
    secrets = report(tmp_path, text("/srv/a", AWS_KEY), text("/root/.netrc", "machine a password hunter2"))
    assert len(secrets.findings) == 2
    assert AWS_KEY not in str(secrets)
    assert "hunter2" not in str(secrets)


def test_words_of_the_builder_are_found_as_words(tmp_path):
    planted = [text("/etc/mailname", "forge.example\n"), text("/etc/words", "reforged forge-x\n")]
    assert found(report(tmp_path, *planted, traces=["forge"])) == ["builder-trace /etc/mailname"]
    assert found(report(tmp_path, *planted)) == []


def test_what_the_recipe_says_is_no_trace(tmp_path):
    declared = Declared(
        hostname="web", files=frozenset({"/etc/hosts", "/etc/resolv.conf"}), drop=DECLARED.drop
    )
    planted = [
        text("/etc/hostname", "web\n"),
        text("/etc/hosts", "10.0.0.7 db\n"),
        text("/etc/resolv.conf", "nameserver 10.0.0.2\n"),
    ]
    assert found(report(tmp_path, *planted, declared=declared)) == []


def test_links_to_what_is_not_dropped_are_broken(tmp_path):
    new = link("/etc/alternatives/ex.1.gz", "/usr/share/man/man1/ex.1.gz")
    assert found(report(tmp_path, new)) == []
    assert found(report(tmp_path, new, declared=Declared())) == ["broken-link /etc/alternatives/ex.1.gz"]


def test_a_packages_link_that_led_nowhere_from_the_start_is_its_own_affair(tmp_path):
    console = link("/etc/vconsole.conf", "default/keyboard")
    assert found(report(tmp_path, console)) == ["broken-link /etc/vconsole.conf"]
    assert found(report(tmp_path, console, shipped=[*clean(), console])) == []
    keyboard = text("/etc/default/keyboard", "x")
    assert found(report(tmp_path, console, shipped=[*clean(), console, keyboard])) == [
        "broken-link /etc/vconsole.conf"
    ]


def test_privileges_that_no_package_brought_are_found_without_a_packages_layer(tmp_path):
    assert found(report(tmp_path, shipped=[])) == ["setuid /usr/bin/ping", "setuid /usr/bin/su"]


def test_a_large_file_is_not_searched(tmp_path):
    assert found(report(tmp_path, text("/srv/dump.sql", KEY + " " * (1 << 20)))) == []


def test_with_the_list_of_changes_a_changed_file_of_a_package_is_searched(tmp_path):
    changed = text("/usr/share/tests/example.key", KEY + "# other\n")
    named = text(f"{BASELINE}/image", "/usr/share/tests/example.key\tf\t0644\t0\t0\t1\tx\n")
    assert found(report(tmp_path, changed, named)) == ["private-key /usr/share/tests/example.key"]


def test_what_an_installation_made_for_one_machine_is_found_by_name(tmp_path):
    key = text("/etc/bind/rndc.key", "secret", mode=0o640)
    [finding] = report(tmp_path, key).findings
    assert finding == (
        "clone-identity",
        "/etc/bind/rndc.key",
        "all clones would have the key of rndc of bind9",
    )
    assert report(tmp_path, text("/etc/bind/rndc.key", mode=0o640)).findings == []


def test_a_secret_that_no_package_brought_is_found_in_the_layer_of_the_packages(tmp_path):
    key = text("/etc/munge/munge.key", "random", mode=0o400)
    [finding] = report(tmp_path, key, shipped=[*clean(), key]).findings
    assert (finding.name, finding.path) == ("install-secret", "/etc/munge/munge.key")
    # What the recipe made is its own business: contents are searched for keys and passwords all the same.
    assert report(tmp_path, key).findings == []
    public = text("/etc/munge/readme", "all may read it")
    assert report(tmp_path, public, shipped=[*clean(), public]).findings == []


def test_a_secret_in_a_closed_directory_is_found_in_the_layer_of_the_packages(tmp_path):
    closed = Entry("/var/lib/app", Kind.DIRECTORY, 0o700, mtime=EPOCH)
    key = text("/var/lib/app/token", "random")
    [finding] = report(tmp_path, closed, key, shipped=[*clean(), closed, key]).findings
    assert (finding.name, finding.path) == ("install-secret", "/var/lib/app/token")


def test_a_directory_that_the_recipe_closes_makes_no_secret_of_what_is_in_it(tmp_path):
    file = text("/etc/app/names", "not random")
    opened, closed = (Entry("/etc/app", Kind.DIRECTORY, mode, mtime=EPOCH) for mode in (0o755, 0o700))
    assert report(tmp_path, closed, file, shipped=[*clean(), opened, file]).findings == []


def test_a_private_file_that_a_package_brought_is_no_finding(tmp_path):
    known = text("/etc/sudoers", "root ALL=(ALL) ALL", mode=0o440)
    listed = text("/var/lib/dpkg/info/sudo.list", "/.\n/etc\n/etc/sudoers\n")
    assert report(tmp_path, known, listed, shipped=[*clean(), known]).findings == []
