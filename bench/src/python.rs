//! The Python environment that the peers come in: made once, packages installed where they are missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::engine::Kind;
use crate::{Failure, progress};

/// The interpreter of an environment in `folder` in which the engines of `kinds` can be imported.
pub(crate) fn with_engines(folder: &Path, kinds: &[Kind]) -> Result<PathBuf, Failure> {
    let python = folder.join("bin/python");
    let mut wanted: Vec<_> = kinds.iter().filter_map(|kind| kind.package()).collect();
    if wanted.is_empty() {
        return Ok(python);
    }
    wanted.push(("pyarrow", "pyarrow"));
    wanted.dedup();
    let log = folder.with_added_extension("log");
    if !python.exists() {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        progress(&format!("creating a Python environment in {}", folder.display()));
        let mut create = Command::new("python3");
        create.args(["-m", "venv"]).arg(folder);
        run(create, &log, "creating it (python3 -m venv) failed; on Debian, install python3-venv")?;
    }
    let missing = wanted.into_iter().filter(|(_, module)| !imports(&python, module));
    let missing: Vec<_> = missing.map(|(package, _)| package).collect();
    if !missing.is_empty() {
        progress(&format!("installing {}", missing.join(", ")));
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet"]).args(&missing);
        let names = missing.join(" ");
        run(install, &log, &format!("pip install {names} failed; leave engines out with --engines"))?;
    }
    Ok(python)
}

fn imports(python: &Path, module: &str) -> bool {
    let find = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)");
    Command::new(python).args(["-c", &find]).status().is_ok_and(|status| status.success())
}

fn run(mut command: Command, log: &Path, problem: &str) -> Result<(), Failure> {
    let output = File::create(log)?;
    let status = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("{problem}:\n{}", last_lines(log)).into()),
        Err(error) => Err(format!("{problem}: {error}").into()),
    }
}

/// The end of what a process wrote.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_engine_needs_no_python() {
        assert!(with_engines(Path::new("/nonexistent/venv"), &[Kind::Tundra]).is_ok());
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such package; exit 3"]);
        let failure = run(command, &folder.path().join("log"), "it failed").unwrap_err().to_string();
        assert_eq!(failure, "it failed:\nno such package");
    }
}
