"""A Python with DuckDB's TPC-DS extension, which PyPI has for one version of DuckDB: an environment of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

VERSION = "1.5.5"
PACKAGES = [f"duckdb=={VERSION}", f"duckdb-extension-tpcds=={VERSION}", "pyarrow", "adbc-driver-flightsql", "adbc-driver-manager"]
USED = "import adbc_driver_flightsql.dbapi, duckdb, duckdb_extension_tpcds, pyarrow"


def enter():
    """Goes on in that environment, which is made where it is missing, beside what Cargo builds."""
    target = os.environ.get("CARGO_TARGET_DIR") or Path(__file__).resolve().parents[2] / "target"
    folder = Path(target).resolve() / "venv-tpcds"
    if Path(sys.prefix).resolve() == folder:
        return
    python = folder / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", USED], stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [str(python), *sys.argv])


def extension():
    """The file of the extension, in its package."""
    package = Path(importlib.util.find_spec("duckdb_extension_tpcds").origin).parent
    return package / "extensions" / f"v{VERSION}" / "tpcds.duckdb_extension"
