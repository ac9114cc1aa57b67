//! Object stores by URL, each opened once, and once more for each tenant that has credentials of its own. Nothing else
//! opens stores.

use crate::credentials::{Access, CredentialSource, Given};
use crate::footer::Footer;
use crate::tenant_store::TenantStore;
use crate::{Error, File, Result};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig, parse_url_opts};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The stores that this process has open, as the node itself has them or as a tenant does ([`Stores::of`]). `memory:`
/// stores live as long as this does.
pub struct Stores {
    shared: Arc<Shared>,
    /// What coordinators have told of tenants' credentials; it is of use unless there is another source.
    given: Arc<Given>,
    source: Arc<dyn CredentialSource>,
    /// Whose credentials are used; `None`: the node's own.
    tenant: Option<String>,
}

/// What is the same for the node and all tenants.
#[derive(Default)]
struct Shared {
    open: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
    /// By tenant and base, with the credentials that they were opened with.
    owned: Mutex<HashMap<String, HashMap<String, Opened>>>,
    /// Settings of S3 before those of the environment.
    settings: Vec<(String, String)>,
    footers: Mutex<HashMap<Identity, Arc<Footer>>>,
}

type Opened = (Arc<Access>, Arc<dyn ObjectStore>);

/// URL, size, ETag, time of change and generation: what tells a file from another, or from itself after a change. Before
/// them the tenant and the endpoint that it alone reaches the file by: another's file may be called the same.
type Identity = (Option<(String, String)>, String, u64, String, i64, u64);

/// How often, and for how long, a request by a tenant's own credentials is tried again: others may wait for it.
const OWN_RETRIES: (usize, Duration) = (5, Duration::from_secs(15));

/// Footers that are remembered at once; past that all are forgotten.
const FOOTERS: usize = 4096;

/// An object, a folder or a pattern in a store.
#[derive(Clone)]
pub struct Place {
    pub store: Arc<dyn ObjectStore>,
    /// From the root of the store (the bucket; `/` of the file system).
    pub path: Path,
    /// `s3://bucket`, `file://`, `memory://`.
    base: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url())
    }
}

/// A URL taken apart, its escapes resolved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) base: String,
    /// Without a leading slash; may hold pattern characters.
    pub(crate) path: String,
}

impl Stores {
    pub fn new() -> Arc<Stores> {
        Stores::with_settings(Vec::new())
    }

    /// As [`Stores::new`], with settings of S3 (`AWS_…`) in the place of all those of the environment.
    pub fn with_settings(settings: Vec<(String, String)>) -> Arc<Stores> {
        let given = Arc::new(Given::default());
        let shared = Arc::new(Shared { settings, ..Shared::default() });
        Arc::new(Stores { shared, given: given.clone(), source: given, tenant: None })
    }

    /// The same stores, with tenants' credentials from elsewhere.
    pub fn with_source(&self, source: Arc<dyn CredentialSource>) -> Arc<Stores> {
        let (shared, given) = (self.shared.clone(), self.given.clone());
        Arc::new(Stores { shared, given, source, tenant: None })
    }

    /// The stores as that tenant has them: with its own credentials where it has some, by the time that a place is opened.
    pub fn of(&self, tenant: &str) -> Stores {
        let (shared, given) = (self.shared.clone(), self.given.clone());
        Stores { shared, given, source: self.source.clone(), tenant: Some(tenant.into()) }
    }

    /// Where it is told what coordinators say of tenants' credentials.
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// A place that was opened for somebody else.
    pub fn again(&self, place: &Place) -> Result<Place> {
        self.place(&place.base, place.path.clone())
    }

    /// Puts a store where `base` (`file://`, `memory://`, `s3://bucket`) would open one of its own.
    pub fn mount(&self, base: &str, store: Arc<dyn ObjectStore>) {
        self.shared.open.lock().insert(base.into(), store);
    }

    /// The place that a URL names: `file:///folder/x`, a path of this machine, `s3://bucket/key`,
    /// `memory:///x`. Nothing needs to be there. S3 takes its settings from the environment (`AWS_…`).
    pub fn open(&self, url: &str) -> Result<Place> {
        let parsed = Url::parse(url)?;
        let path = Path::parse(&parsed.path).map_err(|error| Error::Location(format!("{url}: {error}")))?;
        self.place(&parsed.base, path)
    }

    pub(crate) fn known_footer(&self, file: &File) -> Option<Arc<Footer>> {
        self.shared.footers.lock().get(&self.identity(file)).cloned()
    }

    pub(crate) fn remember_footer(&self, file: &File, footer: Arc<Footer>) {
        let identity = self.identity(file);
        let mut footers = self.shared.footers.lock();
        if footers.len() >= FOOTERS {
            footers.clear();
        }
        footers.insert(identity, footer);
    }

    fn identity(&self, file: &File) -> Identity {
        let base = Url::parse(&file.url).map(|url| url.base).unwrap_or_default();
        // Whose credentials cannot be used reads nothing.
        let own = self.access(&base).ok().flatten();
        let own = own.map(|access| (access.tenant.clone(), access.endpoint.clone()));
        (own, file.url.clone(), file.size_bytes, file.etag.clone(), file.modified_at_us, file.generation)
    }

    pub(crate) fn place(&self, base: &str, path: Path) -> Result<Place> {
        let store = match self.access(base)? {
            Some(access) => self.shared.of_tenant(base, access)?,
            None => self.shared.of_node(base)?,
        };
        Ok(Place { store, path, base: base.into() })
    }

    /// The tenant's own credentials for a store, where it has some that this kind of store takes.
    fn access(&self, base: &str) -> Result<Option<Arc<Access>>> {
        let Some(tenant) = self.tenant.as_ref().filter(|_| base.starts_with("s3://")) else {
            return Ok(None);
        };
        let access = self.source.of(tenant).map_err(|why| {
            let why = format!(
                "the credentials of the tenant '{tenant}' for the object store cannot be used: {why}"
            );
            Error::Store { url: base.into(), why }
        })?;
        if access.is_none() {
            self.shared.owned.lock().remove(tenant);
        }
        Ok(access)
    }
}

impl Shared {
    fn of_node(&self, base: &str) -> Result<Arc<dyn ObjectStore>> {
        if let Some(store) = self.open.lock().get(base) {
            return Ok(store.clone());
        }
        let store: Arc<dyn ObjectStore> = match base {
            "file://" => Arc::new(LocalFileSystem::new().with_fsync(true)),
            "memory://" => Arc::new(InMemory::new()),
            _ => {
                let failed = |why: String| Error::Store { url: base.into(), why };
                let url =
                    base.parse().map_err(|_| Error::Location(format!("{base}: not a URL of a store")))?;
                let opened = parse_url_opts(&url, self.own_settings());
                opened.map_err(|error| failed(error.to_string()))?.0.into()
            }
        };
        Ok(self.open.lock().entry(base.into()).or_insert(store).clone())
    }

    /// S3 as a tenant has it; what was opened with former credentials is forgotten, and lives on in who reads with it.
    fn of_tenant(&self, base: &str, access: Arc<Access>) -> Result<Arc<dyn ObjectStore>> {
        let mut owned = self.owned.lock();
        let opened = owned.get(&access.tenant).and_then(|opened| opened.get(base));
        if let Some((_, store)) = opened.filter(|(known, _)| *known == access) {
            return Ok(store.clone());
        }
        let settings = access.settings(self.own_settings());
        let builder =
            settings.into_iter().fold(AmazonS3Builder::new().with_url(base), |builder, (key, value)| {
                builder.with_config(key, value)
            });
        let (max_retries, retry_timeout) = OWN_RETRIES;
        let builder =
            builder.with_retry(RetryConfig { max_retries, retry_timeout, ..RetryConfig::default() });
        let built = builder.build().map_err(|error| {
            let (tenant, why) = (&access.tenant, access.without_secrets(&error.to_string()));
            let why = format!(
                "the credentials of the tenant '{tenant}' for the object store cannot be used: {why}"
            );
            Error::Store { url: base.into(), why }
        })?;
        let store: Arc<dyn ObjectStore> = Arc::new(TenantStore::new(Arc::new(built), access.clone(), base));
        let of_tenant = owned.entry(access.tenant.clone()).or_default();
        // What other stores were opened with is no more.
        of_tenant.retain(|_, (known, _)| *known == access);
        of_tenant.insert(base.into(), (access, store.clone()));
        Ok(store)
    }

    /// Settings of S3 of the node itself, as its environment names them.
    fn own_settings(&self) -> impl Iterator<Item = (String, String)> {
        let (own, has_none) = (self.settings.iter().cloned(), self.settings.is_empty());
        std::env::vars()
            .filter(move |_| has_none)
            .chain(own)
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
    }
}

impl Place {
    /// The URL by which [`Stores::open`] finds this place.
    pub fn url(&self) -> String {
        url_of(&self.base, &self.path)
    }

    /// The place `relative` below this one.
    pub fn join(&self, relative: &str) -> Place {
        let path = relative.split('/').filter(|part| !part.is_empty()).fold(self.path.clone(), Path::join);
        Place { path, ..self.clone() }
    }

    /// Whether this place is `outer` or lies below it.
    pub fn is_within(&self, outer: &Place) -> bool {
        self.base == outer.base && (outer.path.as_ref().is_empty() || self.path.prefix_matches(&outer.path))
    }

    /// What the name of an object has below this place, where this is one in that bucket of S3.
    pub fn below<'a>(&self, bucket: &str, key: &'a str) -> Option<&'a str> {
        let rest = match self.path.as_ref() {
            _ if self.base.strip_prefix("s3://") != Some(bucket) => return None,
            "" => key,
            path => key.strip_prefix(path)?.strip_prefix('/')?,
        };
        Some(rest).filter(|rest| !rest.is_empty())
    }

    /// Where this place really is: on this machine's file system symbolic links are followed, as far as the place
    /// exists.
    pub fn resolved(&self) -> Place {
        if self.base != "file://" {
            return self.clone();
        }
        let path = std::path::PathBuf::from(format!("/{}", self.path.as_ref()));
        let real = path.ancestors().find_map(|outer| {
            let real = std::fs::canonicalize(outer).ok()?;
            Some(real.join(path.strip_prefix(outer).ok()?))
        });
        let real = real.and_then(|real| Path::parse(real.to_str()?.trim_matches('/')).ok());
        Place { path: real.unwrap_or_else(|| self.path.clone()), ..self.clone() }
    }

    /// Where the object of this place with that ETag really is. A file of this machine is opened for that: a symbolic link on the
    /// way to it may lead elsewhere a moment later, but not to this file. An error where another file is there by now.
    pub fn opened(&self, etag: &str) -> Result<Place> {
        // Stores that stand in for the file system have no links.
        if self.base != "file://" || !self.store.to_string().starts_with("LocalFileSystem") {
            return Ok(self.resolved());
        }
        let replaced =
            || Error::Location(format!("{} was replaced while it was looked at; try again", self.url()));
        let path = format!("/{}", self.path.as_ref());
        // To open what is no file, such as a pipe, may take for ever.
        if !std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return Err(replaced());
        }
        let file = std::fs::File::open(&path).map_err(|_| replaced())?;
        if file.metadata().ok().map(|metadata| etag_of(&metadata)).as_deref() != Some(etag) {
            return Err(replaced());
        }
        let real =
            std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_| replaced())?;
        let real = real.to_str().and_then(|real| Path::parse(real.trim_matches('/')).ok());
        Ok(Place { path: real.ok_or_else(replaced)?, ..self.clone() })
    }

    /// The folder that this place lies in.
    pub(crate) fn parent(&self) -> Place {
        let parts: Vec<&str> = self.path.as_ref().split('/').collect();
        let path = Path::parse(parts[..parts.len().saturating_sub(1)].join("/")).unwrap_or_default();
        Place { path, ..self.clone() }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }
}

/// The ETag that the store of the file system gives to a file.
fn etag_of(metadata: &std::fs::Metadata) -> String {
    let changed = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let micros = changed.unwrap_or_default().as_micros();
    format!("\"{:x}-{micros:x}-{:x}\"", metadata.ino(), metadata.len())
}

/// The URL of an object.
pub(crate) fn url_of(base: &str, path: &Path) -> String {
    format!("{base}/{}", path.as_ref().replace('%', "%25"))
}

impl Url {
    pub(crate) fn parse(url: &str) -> Result<Url> {
        let wrong = |why: &str| Error::Location(format!("\"{url}\" {why}"));
        if url.trim().is_empty() {
            return Err(Error::Location("the location is empty".into()));
        }
        let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return local(url).ok_or_else(|| wrong("does not name a path of this machine"));
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (host, path) = match scheme.to_ascii_lowercase().as_str() {
            "file" | "memory" => ("", rest.strip_prefix("localhost/").unwrap_or(rest)),
            "s3" | "s3a" => rest.split_once('/').unwrap_or((rest, "")),
            _ => return Err(wrong("is of a kind that is not supported: expected file, s3 or memory")),
        };
        let decoded = unescape(path).ok_or_else(|| wrong("holds an escape that is not UTF-8"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "file" => local(&format!("/{}", decoded.trim_start_matches('/'))),
            "memory" => Some(Url { base: "memory://".into(), path: decoded.trim_start_matches('/').into() }),
            _ if host.is_empty() => None,
            _ => Some(Url { base: format!("s3://{host}"), path: decoded }),
        }
        .ok_or_else(|| wrong("does not name a bucket"))
    }
}

fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// A path of this machine, made absolute, without `.` and `..`.
fn local(path: &str) -> Option<Url> {
    let absolute = std::path::absolute(path).ok()?;
    let mut parts: Vec<&str> = Vec::new();
    for part in absolute.to_str()?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(Url { base: "file://".into(), path: parts.join("/") })
}

/// Resolves `%xx`; `None` where the result is not UTF-8.
pub fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;

    #[test]
    fn objects_lie_below_places() {
        let place = |base: &str, path: &str| Place {
            store: Arc::new(object_store::memory::InMemory::new()),
            path: Path::from(path),
            base: base.into(),
        };
        let root = place("s3://lake", "x/tundra");
        assert_eq!(root.below("lake", "x/tundra/default/1"), Some("default/1"));
        assert_eq!(root.below("other", "x/tundra/default/1"), None);
        assert_eq!(root.below("lake", "x/tundrarium/1"), None);
        assert_eq!(root.below("lake", "x/tundra"), None);
        assert_eq!(place("s3://lake", "").below("lake", "default/1"), Some("default/1"));
        assert_eq!(place("memory://", "x/tundra").below("lake", "x/tundra/a"), None, "it is in no bucket");
    }

    /// Tenants with the access key `NAME-1`, or with some that cannot be read.
    struct Named;

    impl CredentialSource for Named {
        fn of(&self, tenant: &str) -> std::result::Result<Option<Arc<Access>>, String> {
            use flight_proto::credentials::{Credentials, SecretAccess};
            let credentials = Credentials {
                tenant: tenant.into(),
                access_key_id: format!("{tenant}-1"),
                ..Credentials::default()
            };
            let secret = SecretAccess { secret_access_key: "geheim".into(), ..SecretAccess::default() };
            match tenant {
                "default" => Ok(None),
                "locked" => Err("no key".into()),
                _ => Ok(Some(Arc::new(Access::new(&credentials, secret)))),
            }
        }
    }

    #[test]
    fn each_tenant_has_its_own_store() {
        // Fails only where a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = vec![("AWS_REGION".to_string(), "us-east-1".to_string())];
        let node = Stores::with_settings(settings).with_source(Arc::new(Named));
        let open = |tenant: &str| node.of(tenant).open("s3://lake/x").map(|place| place.store.to_string());
        let (acme, zeta) = (open("acme").unwrap(), open("zeta").unwrap());
        assert_eq!(
            (acme.as_str(), zeta.as_str()),
            ("s3://lake as Access(acme-1 of acme)", "s3://lake as Access(zeta-1 of zeta)")
        );
        let own = node.open("s3://lake/x").unwrap();
        assert_eq!(open("default").unwrap(), own.store.to_string());
        let error = open("locked").unwrap_err().to_string();
        assert!(error.contains("tenant 'locked'") && error.contains("no key"), "{error}");
        let acme = node.of("acme");
        let places = [acme.open("s3://lake/x").unwrap(), acme.again(&own).unwrap()];
        assert!(Arc::ptr_eq(&places[0].store, &places[1].store), "it is opened once");
        assert!(node.of("locked").open("memory:///x").is_ok(), "others take no credentials");
    }

    #[test]
    fn urls_come_apart() {
        let check = |url: &str, base: &str, path: &str| {
            assert_eq!(Url::parse(url).unwrap(), Url { base: base.into(), path: path.into() }, "{url}");
        };
        check("file:///a/b.parquet", "file://", "a/b.parquet");
        check("file:///a%20b/c", "file://", "a b/c");
        check("/a/./b/../c", "file://", "a/c");
        check("file:/a/*.parquet", "file://", "a/*.parquet");
        check("s3://bucket/a/b", "s3://bucket", "a/b");
        check("s3a://bucket", "s3://bucket", "");
        check("memory:///x/y", "memory://", "x/y");
        check("memory:x", "memory://", "x");
        for wrong in ["", "  ", "http://host/x", "s3:///x", "ftp://x", "s3://b/%ff"] {
            assert!(matches!(Url::parse(wrong), Err(Error::Location(_))), "{wrong}");
        }
        let here = Url::parse("data/x.parquet").unwrap();
        assert!(here.path.ends_with("data/x.parquet") && here.path.len() > "data/x.parquet".len());
    }

    #[test]
    fn escapes_do_not_leave_a_prefix() {
        let stores = Stores::new();
        let allowed = stores.open("file:///srv/data").unwrap();
        for (url, within) in [
            ("file:///srv/data", true),
            ("file:///srv/data/x/y.parquet", true),
            ("/srv/data/../data/x", true),
            ("file:///srv/data/../secret", false),
            ("file:///srv/data/%2e%2e/secret", false),
            ("file:///srv/database", false),
            ("memory:///srv/data/x", false),
        ] {
            assert_eq!(stores.open(url).unwrap().is_within(&allowed), within, "{url}");
        }
        assert!(stores.open("memory:///a/../b").is_err());
    }

    /// A link that leads elsewhere by the time that it is looked at again.
    #[tokio::test]
    async fn links_that_are_swapped_lead_to_the_file_that_was_listed_or_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("own")).unwrap();
        std::fs::create_dir_all(root.join("other")).unwrap();
        std::fs::write(root.join("own/a"), "mine").unwrap();
        std::fs::write(root.join("other/a"), "theirs").unwrap();
        let link = root.join("own/link");
        std::os::unix::fs::symlink(root.join("other/a"), &link).unwrap();
        let place = Stores::new().open(&format!("file://{}", link.display())).unwrap();
        let listed = place.store.head(&place.path).await.unwrap().e_tag.unwrap();
        let at = place.opened(&listed).unwrap();
        assert!(at.url().ends_with("/other/a"), "{at:?}");
        std::fs::remove_file(&link).unwrap();
        assert!(place.opened(&listed).unwrap_err().to_string().contains("was replaced"));
        std::os::unix::fs::symlink(root.join("own/a"), &link).unwrap();
        assert!(place.opened(&listed).unwrap_err().to_string().contains("was replaced"));
        let listed = place.store.head(&place.path).await.unwrap().e_tag.unwrap();
        assert!(place.opened(&listed).unwrap().url().ends_with("/own/a"));
    }

    #[tokio::test]
    async fn what_is_put_is_found_by_its_url() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new();
        for root in [folder.path().display().to_string(), "memory:///root".to_string()] {
            let root = stores.open(&root).unwrap();
            for name in ["plain", "with space", "per%cent", "x=1/y#z"] {
                let place = root.join(name);
                place.store.put(&place.path, name.to_string().into()).await.unwrap();
                let again = stores.open(&place.url()).unwrap();
                assert!(again.is_within(&root));
                let bytes = again.store.get(&again.path).await.unwrap().bytes().await.unwrap();
                assert_eq!(bytes, name.as_bytes());
            }
        }
    }
}
