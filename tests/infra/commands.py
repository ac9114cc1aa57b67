"""How infra/ starts nodes: the commands and variables of units, compose file, image and documents."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
ROLES = ["coordinator", "shard"]
VENV = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "infra-venv"


def tool(name):
    """A tool of the virtual environment, or of the machine; None if there is none."""
    found = VENV / "bin" / name
    return str(found) if found.exists() else shutil.which(name)


class Help:
    """What a binary of `tundra` takes."""

    def __init__(self, binary):
        self.binary = binary
        self.known = {}

    def of(self, *subcommand):
        if subcommand not in self.known:
            done = subprocess.run([self.binary, *subcommand, "--help"], capture_output=True, text=True)
            self.known[subcommand] = done.stdout if done.returncode == 0 else None
        return self.known[subcommand]

    def subcommand(self, words):
        """The words that name a subcommand, such as `schedule set`."""
        path = words[:1]
        for word in words[1:]:
            commands = (self.of(*path) or "").partition("Commands:")[2].partition("Options:")[0]
            if not re.search(rf"^  {re.escape(word)}( |$)", commands, re.M):
                break
            path.append(word)
        return path

    def variables(self, subcommand):
        """The environment variables that a subcommand takes options from."""
        return set(re.findall(r"\[env: (\w+)=", self.of(subcommand)))

    def unknown(self, words):
        """What a command line has that the binary does not."""
        if self.of(words[0]) is None:
            return [f"subcommand {words[0]}"]
        known = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", self.of(*self.subcommand(words)), re.M))
        return [word for word in words[1:] if word.startswith("--") and word.split("=")[0] not in known]


def unit(role):
    """A unit's settings, each with all its values."""
    text = (INFRA / f"systemd/tundra-{role}.service").read_text().replace("\\\n", " ")
    settings = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
        settings.setdefault(name, []).append(value)
    return settings


def unit_words(role, environment):
    """What a unit runs after `tundra`, its variables replaced as systemd does: `${X}` is one word, `$X` any number."""
    words = []
    for word in unit(role)["ExecStart"][0].split()[1:]:
        if match := re.fullmatch(r"\$(\w+)", word):
            words += shlex.split(environment[match[1]])
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda match: environment[match[1]], word))
    return words


def unit_variables(role):
    return set(re.findall(r"\$\{?(\w+)", unit(role)["ExecStart"][0]))


def environment_file(role):
    text = (INFRA / f"systemd/{role}.env").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.M))


def compose_services():
    """The services that run `tundra`, as Compose understands the file."""
    command = [tool("docker-compose"), "-f", INFRA / "compose/compose.yaml", "config", "--format", "json"]
    services = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["services"]
    return {name: service for name, service in services.items() if service["image"] == "tundra"}


def image_words():
    """What the image runs after `tundra` unless it is told otherwise."""
    return json.loads(re.search(r"^CMD (\[.*\])$", (INFRA / "container/Dockerfile").read_text(), re.M)[1])


def document_words(path):
    """The `tundra` commands in a document's shell examples."""
    for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["tundra"]:
                yield words[1:]
