//! A store that is opened with a tenant's credentials: where it refuses them, the error says whose they are, what was
//! tried, and what to do.

use crate::credentials::Access;
use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::fmt;
use std::sync::Arc;

/// What S3 calls it in answers whose status does not tell.
const REFUSALS: [&str; 5] = [
    "ExpiredToken",
    "InvalidToken",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthorizationHeaderMalformed",
];
/// Of a store's own words.
const CAUSE_CHARACTERS: usize = 600;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct TenantStore {
    inner: Arc<dyn ObjectStore>,
    access: Arc<Access>,
    /// `s3://bucket`.
    base: Arc<str>,
}

impl TenantStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, access: Arc<Access>, base: &str) -> TenantStore {
        TenantStore { inner, access, base: base.into() }
    }

    /// An error as it is told.
    fn explained(&self, what: &str, path: Option<&Path>, error: Error) -> Error {
        let text = error.to_string();
        let refused = match &error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => true,
            Error::Generic { .. } => REFUSALS.iter().any(|word| text.contains(word)),
            _ => return error,
        };
        let Access { tenant, access_key_id, region, endpoint, .. } = &*self.access;
        let path = path.map_or("", |path| path.as_ref());
        let cause = self.access.without_secrets(&text);
        let cause: String = cause.chars().take(CAUSE_CHARACTERS).collect();
        if !refused {
            let or_nodes =
                |text: &str| if text.is_empty() { "the nodes' own".into() } else { text.to_string() };
            let advice = advice(&cause).map_or(String::new(), |advice| format!(" ({advice})"));
            let why = format!(
                "by the credentials of the tenant '{tenant}' (access key id {access_key_id}, endpoint {}, region {}) it was to \
                 {what} {}/{path}, which failed{advice}. It says: {cause}",
                or_nodes(endpoint),
                or_nodes(region),
                self.base
            );
            return Error::Generic { store: "S3", source: why.into() };
        }
        let why = format!(
            "the object store refuses the credentials of the tenant '{tenant}' (access key id {access_key_id}) as it is to \
             {what} {}/{path}: see to it that the key may do that, or set others with `tundra tenant credentials set \
             {tenant}`. It says: {cause}",
            self.base
        );
        Error::PermissionDenied { path: path.into(), source: why.into() }
    }
}

/// What to do about a failure that tells little.
fn advice(cause: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if has(&["redirect", "Redirect", "301 "]) {
        return Some(
            "the bucket is in another region: name it with --region of `tundra tenant credentials set`",
        );
    }
    // An answer to HEAD has no words of its own.
    if has(&["400 Bad Request"]) {
        return Some("an expired session token is told so, or a region that is wrong: set them again");
    }
    let unreachable =
        ["error sending request", "onnection", "dns error", "timed out", "URL scheme is not allowed"];
    has(&unreachable).then_some(
        "the endpoint is not reached: see whether it is right, and whether nodes may use it; plain HTTP needs AWS_ALLOW_HTTP",
    )
}

/// Parts of an object, whose errors are told as those of whole ones.
#[derive(Debug)]
struct TenantUpload {
    inner: Box<dyn MultipartUpload>,
    store: TenantStore,
    path: Path,
}

#[async_trait]
impl MultipartUpload for TenantUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, store, path) = (self.inner.put_part(data), self.store.clone(), self.path.clone());
        async move { part.await.map_err(|error| store.explained("write", Some(&path), error)) }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let completed = self.inner.complete().await;
        completed.map_err(|error| self.store.explained("write", Some(&self.path), error))
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.inner.abort().await;
        aborted.map_err(|error| self.store.explained("delete parts of", Some(&self.path), error))
    }
}

impl fmt::Display for TenantStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {:?}", self.base, self.access)
    }
}

impl fmt::Debug for TenantStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait]
impl ObjectStore for TenantStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.put_opts(path, payload, options).await;
        put.map_err(|error| self.explained("write", Some(path), error))
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.inner.put_multipart_opts(path, options).await;
        let inner = begun.map_err(|error| self.explained("write", Some(path), error))?;
        Ok(Box::new(TenantUpload { inner, store: self.clone(), path: path.clone() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.inner.get_opts(path, options).await;
        let mut got = got.map_err(|error| self.explained("read", Some(path), error))?;
        got.payload = match got.payload {
            GetResultPayload::Stream(stream) => {
                let (store, path) = (self.clone(), path.clone());
                let told = stream.map_err(move |error| store.explained("read", Some(&path), error));
                GetResultPayload::Stream(told.boxed())
            }
            file => file,
        };
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = self.inner.delete_stream(paths);
        deleted.map_err(move |error| store.explained("delete in", None, error)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, listed) = (self.clone(), self.inner.list(prefix));
        let prefix = prefix.cloned();
        listed.map_err(move |error| store.explained("list", prefix.as_ref(), error)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.inner.list_with_delimiter(prefix).await;
        listed.map_err(|error| self.explained("list", prefix, error))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copied = self.inner.copy_opts(from, to, options).await;
        copied.map_err(|error| self.explained("copy", Some(from), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_proto::credentials::{Credentials, SecretAccess};
    use object_store::memory::InMemory;

    fn store() -> TenantStore {
        let credentials =
            Credentials { tenant: "acme".into(), access_key_id: "AKIA1".into(), ..Credentials::default() };
        let secret = SecretAccess { secret_access_key: "half".into(), session_token: "marke".into() };
        let access = Arc::new(Access::new(&credentials, secret));
        TenantStore::new(Arc::new(InMemory::new()), access, "s3://lake")
    }

    #[test]
    fn refusals_say_whose_credentials_and_what_to_do() {
        let (store, path) = (store(), Path::from("acme/1"));
        let refused = |error: Error| store.explained("read", Some(&path), error).to_string();
        let denied =
            refused(Error::PermissionDenied { path: "acme/1".into(), source: "403, token marke".into() });
        for part in
            ["tenant 'acme'", "AKIA1", "read s3://lake/acme/1", "tundra tenant credentials set acme", "403"]
        {
            assert!(denied.contains(part), "{part}: {denied}");
        }
        assert!(!denied.contains("marke"), "{denied}");
        let generic = |text: &str| Error::Generic { store: "S3", source: text.to_string().into() };
        assert!(refused(generic("400: ExpiredToken")).contains("tenant 'acme'"));
        assert!(!refused(generic("500: marke")).contains("marke"));
        for (cause, advice) in [
            ("500: x", "endpoint the nodes' own"),
            ("400 Bad Request", "expired session token"),
            ("Received redirect without LOCATION", "--region"),
            ("error sending request", "the endpoint is not reached"),
        ] {
            let told = refused(generic(cause));
            let named = ["tenant 'acme'", "AKIA1", "read s3://lake/acme/1", cause, advice];
            assert!(named.iter().all(|part| told.contains(part)), "{told}");
        }
        let missing = Error::NotFound { path: "acme/1".into(), source: "404".into() };
        assert!(matches!(store.explained("read", None, missing), Error::NotFound { .. }));
    }
}
