import pytest

from ingot.bake.engine import check_architecture
from ingot.errors import MissingRightError


def test_its_own_architecture_needs_nothing(tmp_path):
    for own, other, machine in (("x86_64", "arm64", "x86_64"), ("arm64", "x86_64", "aarch64")):
        check_architecture(own, machine=machine, binfmt=tmp_path / "none")
        with pytest.raises(MissingRightError):
            check_architecture(other, machine=machine, binfmt=tmp_path / "none")


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\n",
        "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OC\n",
        "enabled\ninterpreter /usr/bin/qemu-riscv64-static\nflags: F\n",
    ],
)
def test_another_one_is_refused_with_what_helps(tmp_path, entry):
    (tmp_path / "register").write_text("")
    if entry is not None:
        (tmp_path / "qemu").write_text(entry)
    with pytest.raises(MissingRightError) as caught:
        check_architecture("arm64", machine="x86_64", binfmt=tmp_path)
    assert caught.value.exit_code == 3
    assert "which this machine (x86_64) cannot" in str(caught.value)
    assert "sudo apt-get install qemu-user-static binfmt-support" in str(caught.value)


def test_the_kernel_may_run_it(tmp_path):
    entry = tmp_path / "qemu-aarch64"
    entry.write_text("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POCF\noffset 0\n")
    check_architecture("arm64", machine="x86_64", binfmt=tmp_path)
    entry.unlink()
    with pytest.raises(MissingRightError):
        check_architecture("arm64", machine="x86_64", binfmt=tmp_path)
