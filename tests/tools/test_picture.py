"""The picture of the README, taken from a report."""

import shutil
import subprocess

import pytest

from tests import ROOT

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_picture_of_the_readme_is_one():
    assert "(docs/report.png)" in (ROOT / "README.md").read_text()
    assert (ROOT / "docs" / "report.png").read_bytes().startswith(PNG)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Ubuntu has no Chromium as a package")
def test_a_picture_is_taken(tmp_path):
    (tmp_path / "report.html").write_text("<h1>web</h1>")
    picture = tmp_path / "report.png"
    subprocess.run([ROOT / "tools" / "picture", tmp_path / "report.html", picture], check=True)
    assert picture.read_bytes().startswith(PNG)


def test_without_a_report_it_says_how_it_is_called():
    done = subprocess.run([ROOT / "tools" / "picture"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: tools/picture REPORT.html")
