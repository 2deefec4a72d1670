from ingot.bake.seal import seal


def test_traces_of_the_bake_go(root):
    for name in (
        "etc/machine-id", "etc/ssh/ssh_host_rsa_key", "etc/passwd-", "var/log/apt/history.log", "var/lib/dpkg/status-old",
        "var/lib/dbus/machine-id", "root/.bash_history", "var/cache/apt/pkgcache.bin", "tmp/x", "run/y", "etc/resolv.conf",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("trace")
    (root / "var/lib/dpkg/status").write_text("kept")
    seal(root, epoch=20_000 * 86400)
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == {
        "etc/machine-id",
        "etc/passwd",
        "etc/group",
        "etc/shadow",
        "etc/gshadow",
        "var/lib/dpkg/status",
    }
    assert (root / "etc/machine-id").read_bytes() == b""
    assert (root / "var/log/apt").is_dir()
    assert [line.split(":")[2] for line in (root / "etc/shadow").read_text().splitlines()] == [
        "20000",
        "20000",
    ]


def test_a_resolver_that_is_a_link_stays(root):
    (root / "etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
    seal(root, epoch=0)
    assert (root / "etc/resolv.conf").is_symlink()
