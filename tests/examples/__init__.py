import os
import sys
from pathlib import Path

# jsii looks for `node` on PATH when aws_cdk is imported; the virtual environment has one, active or not.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ.setdefault("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
