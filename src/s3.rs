//! `--s3`: the object store behind an S3 server of this process, as it would be in a cloud.

use std::path::Path;

use ::s3::{Credentials, Folder, Server};
use ring::rand::{SecureRandom, SystemRandom};

use crate::Failure;

const BUCKET: &str = "tundra";

/// An S3 server over a folder; it ends when this is dropped.
pub(crate) struct LocalS3 {
    server: Server,
    credentials: Credentials,
}

impl LocalS3 {
    /// Serves the folder `s3` of `data` on a free port of this machine, if it is `wanted`: to whoever
    /// has the access keys of the environment, or, where it has none, to this process and those that it starts.
    pub(crate) async fn start_if(
        wanted: bool,
        data: &Path,
        object_store: Option<&str>,
    ) -> Result<Option<LocalS3>, Failure> {
        if !wanted {
            return Ok(None);
        }
        // Where one is set in the configuration file, flags do not see that they conflict.
        if let Some(url) = object_store {
            return Err(format!("--s3 and --object-store {url} are both set: leave one out").into());
        }
        let folder = data.join("s3");
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let credentials = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key), Some(secret_key)) => Credentials { access_key, secret_key },
            _ => Credentials { access_key: "tundra".into(), secret_key: secret()? },
        };
        let served = Folder::new(&folder, BUCKET, &credentials)
            .map_err(|error| format!("cannot serve {} as S3: {error}", folder.display()))?;
        let server = Server::start("127.0.0.1:0", served).await?;
        Ok(Some(LocalS3 { server, credentials }))
    }

    /// The URL of the object store.
    pub(crate) fn object_store(&self) -> String {
        format!("s3://{BUCKET}")
    }

    /// What its clients need, named as in their environment.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        self.credentials.settings(&self.server.url())
    }

    /// Where it is served.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }
}

fn secret() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
