//! Settings of those that keep secrets: the keys that these are encrypted with.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Args;
use flight_proto::sealed::SecretKeys;

use crate::Failure;

#[derive(Args)]
pub(crate) struct SecretOptions {
    /// Keys that tenants' credentials for the object store are encrypted with: 32 bytes in base64 a line (openssl rand -base64
    /// 32), of which the first encrypts and all decrypt; the same on all coordinators and control planes
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,
}

impl SecretOptions {
    /// The keys; none without a file.
    pub(crate) fn keys(&self) -> Result<SecretKeys, Failure> {
        let Some(path) = &self.secret_key else { return Ok(SecretKeys::default()) };
        let wrong = |why: String| format!("--secret-key {}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let mode = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.permissions().mode();
        // Some orchestrators hand files over so, into a container of its own.
        if mode & 0o077 != 0 {
            let (path, mode) = (path.display(), mode & 0o777);
            tracing::warn!(
                "--secret-key {path}: others than its owner may use it (its mode is {mode:o}): chmod 600 {path}"
            );
        }
        Ok(SecretKeys::parse(&text).map_err(|error| wrong(error.to_string()))?)
    }

    /// The same as arguments of another process.
    pub(crate) fn arguments(&self) -> Result<Vec<String>, Failure> {
        let Some(path) = &self.secret_key else { return Ok(Vec::new()) };
        Ok(vec!["--secret-key".into(), std::path::absolute(path)?.display().to_string()])
    }
}
