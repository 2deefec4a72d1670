"""Build the site: `python -m tools.site DIRECTORY`."""

import sys
from pathlib import Path

from tools.site.build import build

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.site DIRECTORY")
    build(Path(sys.argv[1]))
