//! Where datasets live: the object store that `--object-store` names, cut to its prefix.

use std::path::Path as LocalPath;
use std::sync::Arc;

use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, parse_url_opts};
use reqwest::Url;

use crate::Failure;

/// The root of the datasets.
pub(crate) struct Root {
    /// Paths in it are relative to the root.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The URL of the root, without a slash at its end.
    url: String,
}

impl Root {
    /// The full URL of an object or folder.
    pub(crate) fn url_of(&self, path: &Path) -> String {
        format!("{}/{path}", self.url)
    }
}

/// Opens the store at `url`, or the folder `objects` in the data folder where there is no URL.
pub(crate) fn root(data: &LocalPath, url: Option<&str>) -> Result<Root, Failure> {
    let url = match url {
        Some(url) => Url::parse(url).map_err(|error| {
            format!("expected the URL of an object store such as s3://bucket/prefix, got '{url}': {error}")
        })?,
        None => folder_url(&data.join("objects"))?,
    };
    if url.scheme() == "file" {
        let folder = url.to_file_path().map_err(|()| format!("{url} does not name a folder"))?;
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create the folder {}: {error}", folder.display()))?;
    }
    let settings = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, prefix) = parse_url_opts(&url, settings)
        .map_err(|error| format!("cannot open the object store {url}: {error}"))?;
    Ok(Root {
        store: Arc::new(PrefixStore::new(store, prefix)),
        url: url.as_str().trim_end_matches('/').to_string(),
    })
}

/// The `file://` URL of a folder, which is created.
fn folder_url(folder: &LocalPath) -> Result<Url, Failure> {
    let created = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
    let folder =
        created.map_err(|error| format!("cannot create the folder {}: {error}", folder.display()))?;
    Url::from_directory_path(&folder)
        .map_err(|()| format!("{} is not a usable path", folder.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;

    #[tokio::test]
    async fn a_folder_is_made_and_holds_what_is_put() {
        let data = tempfile::tempdir().unwrap();
        let root = root(data.path(), None).unwrap();
        root.store.put(&Path::from("a/b"), "x".into()).await.unwrap();
        assert_eq!(std::fs::read(data.path().join("objects/a/b")).unwrap(), b"x");
        let url = root.url_of(&Path::from("a/b"));
        assert!(url.starts_with("file:///") && url.ends_with("/objects/a/b"), "{url}");
    }

    #[test]
    fn a_wrong_url_is_an_error() {
        for url in ["", "no url", "ftp://host/x"] {
            assert!(root(LocalPath::new("/nowhere"), Some(url)).is_err(), "{url} was accepted");
        }
    }
}
