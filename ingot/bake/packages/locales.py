"""The image's locale, compiled from the definitions of the package locales, which itself
stays out of the image.
"""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path
from typing import Dict

from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.errors import BakeError

# What libc-bin and the C library themselves bring.
BUILT_IN = ("C", "POSIX", "C.UTF-8", "C.utf8")
I18N = "usr/share/i18n"


def make_locale(chroot: Chroot, tools: Path, locale: str) -> None:
    """Compile ``locale`` into /usr/lib/locale; ``tools`` holds the package locales, extracted.

    Raises BakeError when there is no such locale or it cannot be compiled.
    """
    if locale in BUILT_IN:
        return
    supported = _supported(tools / I18N / "SUPPORTED")
    if locale not in supported:
        near = difflib.get_close_matches(locale, supported, n=3)
        raise BakeError(
            f"there is no locale {locale} in the package locales",
            hint=f"did you mean {' or '.join(near)}?" if near else "its names are like de_DE.UTF-8",
        )
    language, _, modifier = locale.partition("@")
    source = language.partition(".")[0] + (f"@{modifier}" if modifier else "")
    # The image's own compiler, so that the format is its C library's; /tmp is no part of the image.
    shutil.copytree(in_root(tools, f"/{I18N}", follow=True), chroot.root / "tmp" / "i18n", symlinks=True)
    command = ["localedef", "--no-archive", "--inputfile", source, "--charmap", supported[locale], locale]
    # That is the image's /tmp.
    chroot.run(command, env={"I18NPATH": "/tmp/i18n"}, what=f"making the locale {locale}")  # noqa: S108


def _supported(file: Path) -> Dict[str, str]:
    """Return the character map of each locale that there is."""
    if not file.is_file():
        raise BakeError(
            "the package locales is not among the bake's own tools",
            hint="write the lock again with `ingot lock`",
        )
    rows = (line.split() for line in file.read_text().splitlines() if not line.startswith("#"))
    return {row[0]: row[1] for row in rows if len(row) == 2}
