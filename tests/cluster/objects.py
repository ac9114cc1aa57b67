"""An S3 server in a folder, for tests: the binary `tundra-s3-server` as a process."""

import ctypes
import os
import re
import signal
import subprocess
import urllib.request


def die_with_parent():
    """For a process between fork and exec: it gets SIGKILL when the one that started it ends."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class S3:
    """Ends with `stop`, or with this process."""

    def __init__(self, binary, root, bucket="bucket", listen="127.0.0.1:0"):
        self.root, self.bucket = root, bucket
        command = [binary, "--root", str(root), "--bucket", bucket, "--listen", listen]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        line = self.process.stdout.readline()
        found = re.match(r"s3 ready url=(\S+)", line)
        if not found:
            raise SystemExit(f"the S3 server did not start: {line!r}, exit code {self.process.wait()}")
        self.url = found[1]

    def location(self, prefix):
        return f"s3://{self.bucket}/{prefix}"

    def environment(self):
        """The environment of a client."""
        settings = {"AWS_ENDPOINT": self.url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
                    "AWS_ACCESS_KEY_ID": "tundra", "AWS_SECRET_ACCESS_KEY": "tundra-secret"}
        return {**os.environ, **settings}

    def faults(self, words):
        """What goes wrong from the next request on, such as `slow_down=30&delay_ms=20`."""
        request = urllib.request.Request(f"{self.url}/_faults?{words}", method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=10)
