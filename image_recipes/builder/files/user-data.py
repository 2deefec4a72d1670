#!/usr/bin/python3
"""Run this instance's user data when it is a script, as cloud-init does for a cloud image
(EC2 User Guide, "Run commands at launch").
"""

import http.client
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

SERVICE = "http://169.254.169.254/latest"
LIMIT = 300  # seconds until the network must be there


def ask(path, method="GET", **headers):
    """Return what the metadata service answers."""
    request = urllib.request.Request(f"{SERVICE}/{path}", method=method, headers=headers)  # noqa: S310 - a constant
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return answer.read()


def user_data():
    """Return the user data; None when there is none (404)."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            token = ask("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "300"}).decode()
            return ask("user-data", **{"X-aws-ec2-metadata-token": token})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            reason = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
        if time.monotonic() > end:
            sys.exit(f"no user data: {reason}")
        time.sleep(1)


def main():
    """Run the user data, if it is a script."""
    data = user_data()
    if data is None or not data.startswith(b"#!"):
        return 0
    handle, name = tempfile.mkstemp(dir="/var/tmp", prefix="user-data-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.chmod(name, 0o700)
    return subprocess.run([name], cwd="/", stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
