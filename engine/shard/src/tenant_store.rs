//! A store that is opened with a tenant's credentials: where it refuses them, the error says whose they are, what was
//! tried, and what to do.

use crate::credentials::Access;
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
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
        let cause = self.access.without_secrets(&text);
        if !refused {
            let is_clean = cause == text;
            return if is_clean { error } else { Error::Generic { store: "S3", source: cause.into() } };
        }
        let Access { tenant, access_key_id, .. } = &*self.access;
        let path = path.map_or("", |path| path.as_ref());
        let cause: String = cause.chars().take(CAUSE_CHARACTERS).collect();
        let why = format!(
            "the object store refuses the credentials of the tenant '{tenant}' (access key id {access_key_id}) as it is to \
             {what} {}/{path}: see to it that the key may do that, or set others with `tundra tenant credentials set \
             {tenant}`. It says: {cause}",
            self.base
        );
        Error::PermissionDenied { path: path.into(), source: why.into() }
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
        begun.map_err(|error| self.explained("write", Some(path), error))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.inner.get_opts(path, options).await;
        got.map_err(|error| self.explained("read", Some(path), error))
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
        assert_eq!(refused(generic("500: x")), generic("500: x").to_string());
        let missing = Error::NotFound { path: "acme/1".into(), source: "404".into() };
        assert!(matches!(store.explained("read", None, missing), Error::NotFound { .. }));
    }
}
