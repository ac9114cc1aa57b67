"""A cluster of processes on this machine, `tundra cluster`, and what its nodes are; or all in one, `tundra up`."""

import os
import re
import signal
import subprocess
from pathlib import Path


class Cluster:
    """Ends with `stop`, or with this process. Without coordinators it is one process."""

    def __init__(self, binary, data, coordinators, shards, arguments, environment=None):
        kind = ["cluster", "--coordinators", str(coordinators)] if coordinators else [
            "up", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        command = [binary, *kind, "--data", str(data), "--shards", str(shards), *arguments]
        # The cluster ends with its input.
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        if not line.startswith("tundra ready"):
            raise SystemExit(f"the cluster did not start: {line!r}")
        self.nodes_at_start = coordinators + shards if coordinators else 0
        self.addresses = re.search(r"flight=(\S+)", line)[1].split(",")
        self.http = re.search(r"http=(\S+)", line)[1].split(",")

    def nodes(self):
        """Process and name of each node that runs."""
        found = {} if self.nodes_at_start else {self.process.pid: "all"}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                try:
                    words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                if "--data" in words:
                    found[int(child)] = Path(words[words.index("--data") + 1]).name
        return found

    def cpu_seconds(self):
        """Processor time of all nodes so far, in steps of 10 ms."""
        ticks = 0
        for process in self.nodes():
            words = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def crash(self):
        """Ends all processes at once, as the end of their machine would."""
        for process in [self.process.pid, *self.nodes()]:
            subprocess.run(["kill", "-KILL", str(process)], check=True)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)
