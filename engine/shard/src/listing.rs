//! Finding a dataset's files: one file, a folder, or a pattern.

use crate::store::{Place, Url, url_of};
use crate::{Error, File, FolderValue, Result, Stores, folders, pattern};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

/// The Parquet files at `location`, in the order of their names, with their identities and the values that
/// their folders name; `rows` is not known yet (0). In a folder, files are those that end in `.parquet` (or
/// `.parq`, `.pq`); names that start with `_` or `.` are left out. A location without files is an error.
pub async fn list(stores: &Stores, location: &str) -> Result<Vec<File>> {
    let url = Url::parse(location)?;
    let parts: Vec<&str> = url.path.split('/').filter(|part| !part.is_empty()).collect();
    let literal = parts.iter().position(|part| pattern::is_pattern(part)).unwrap_or(parts.len());
    let wrong = |error: object_store::path::Error| Error::Location(format!("{location}: {error}"));
    let root = stores.place(&url.base, Path::parse(parts[..literal].join("/")).map_err(wrong)?)?;

    let files = if literal < parts.len() {
        let wanted = &parts[literal..];
        let mut files = Vec::new();
        for object in objects_below(&root).await? {
            let relative = relative_parts(&root, &object);
            if is_data(&relative) && pattern::matches(wanted, &relative) {
                files.push(file_of(&root, &object)?);
            }
        }
        if files.is_empty() {
            return Err(Error::Location(format!("no file matches \"{location}\"")));
        }
        files
    } else if let Some(object) = head(&root).await? {
        vec![file_of(&root.parent(), &object)?]
    } else {
        let objects = objects_below(&root).await?;
        let data = |object: &&ObjectMeta| {
            let relative = relative_parts(&root, object);
            is_data(&relative) && relative.last().is_some_and(|name| has_extension(name))
        };
        let files =
            objects.iter().filter(data).map(|object| file_of(&root, object)).collect::<Result<Vec<_>>>()?;
        if files.is_empty() {
            return Err(Error::Location(match objects.is_empty() {
                true => format!("\"{location}\" is empty or does not exist"),
                false => format!("\"{location}\" holds no Parquet file"),
            }));
        }
        files
    };
    folders::check_alike(&files)?;
    Ok(files)
}

/// Whether [`list`] of `location` takes the object `key` of an S3 bucket for a file.
pub fn covers(location: &str, bucket: &str, key: &str) -> bool {
    let Ok(url) = Url::parse(location) else { return false };
    if url.base.strip_prefix("s3://") != Some(bucket) {
        return false;
    }
    let wanted: Vec<&str> = url.path.split('/').filter(|part| !part.is_empty()).collect();
    let parts: Vec<&str> = key.split('/').collect();
    let literal = wanted.iter().position(|part| pattern::is_pattern(part)).unwrap_or(wanted.len());
    if parts.len() < literal || parts[..literal] != wanted[..literal] {
        return false;
    }
    let relative = &parts[literal..];
    match literal < wanted.len() {
        true => is_data(relative) && pattern::matches(&wanted[literal..], relative),
        // The location is a file, or a folder.
        false => {
            relative.is_empty()
                || is_data(relative) && relative.last().is_some_and(|name| has_extension(name))
        }
    }
}

/// The object at a place, if there is one.
async fn head(place: &Place) -> Result<Option<ObjectMeta>> {
    if place.path.as_ref().is_empty() {
        return Ok(None);
    }
    match place.store.head(&place.path).await {
        Ok(object) => Ok(Some(object)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Error::store(&place.url(), error)),
    }
}

async fn objects_below(root: &Place) -> Result<Vec<ObjectMeta>> {
    let prefix = (!root.path.as_ref().is_empty()).then_some(&root.path);
    let listed = root.store.list(prefix).try_collect::<Vec<_>>().await;
    let mut objects = listed.map_err(|error| Error::store(&root.url(), error))?;
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(objects)
}

fn relative_parts<'a>(root: &Place, object: &'a ObjectMeta) -> Vec<&'a str> {
    let depth = root.path.as_ref().split('/').filter(|part| !part.is_empty()).count();
    object.location.as_ref().split('/').skip(depth).collect()
}

fn is_data(parts: &[&str]) -> bool {
    parts.iter().all(|part| !part.starts_with(['_', '.']))
}

fn has_extension(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        ["parquet", "parq", "pq"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

fn file_of(root: &Place, object: &ObjectMeta) -> Result<File> {
    let relative = relative_parts(root, object);
    let mut folder_values: Vec<FolderValue> = Vec::new();
    for part in &relative[..relative.len().saturating_sub(1)] {
        let Some(value) = folders::value_of(part) else { continue };
        if folder_values.iter().any(|known| known.column.eq_ignore_ascii_case(&value.column)) {
            let url = url_of(root.base(), &object.location);
            return Err(Error::file(&url, format!("its folders name the column \"{}\" twice", value.column)));
        }
        folder_values.push(value);
    }
    Ok(File {
        url: url_of(root.base(), &object.location),
        size_bytes: object.size,
        etag: object.e_tag.clone().unwrap_or_default(),
        modified_at_us: object.last_modified.timestamp_micros(),
        rows: 0,
        folder_values,
        generation: 0,
        deletes: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_files_of_locations() {
        for (location, key, covered) in [
            ("s3://lake/sales", "sales/a.parquet", true),
            ("s3://lake/sales/", "sales/day=1/a.PARQ", true),
            ("s3a://lake/sales", "sales/a.parquet", true),
            ("s3://lake", "a.parquet", true),
            ("s3://lake/a%20b", "a b/c.parquet", true),
            ("s3://lake/sales", "sales", true),
            ("s3://lake/sales/a.parquet", "sales/a.parquet", true),
            ("s3://lake/sales", "sales/a.csv", false),
            ("s3://lake/sales", "sales/_temporary/a.parquet", false),
            ("s3://lake/sales", "sales/.a.parquet", false),
            ("s3://lake/sales", "salesmen/a.parquet", false),
            ("s3://lake/sales", "old/sales/a.parquet", false),
            ("s3://other/sales", "sales/a.parquet", false),
            ("s3://lake/sales/*.parquet", "sales/a.parquet", true),
            ("s3://lake/sales/*.parquet", "sales/day=1/a.parquet", false),
            ("s3://lake/sales/**/*.parquet", "sales/day=1/a.parquet", true),
            ("s3://lake/sales/2024-0[1-3]/*", "sales/2024-02/x", true),
            ("s3://lake/sales/2024-0[1-3]/*", "sales/2024-04/x", false),
            ("s3://lake/sales/*", "sales/_x", false),
            ("file:///lake/sales", "sales/a.parquet", false),
            ("s3://", "a.parquet", false),
        ] {
            assert_eq!(covers(location, "lake", key), covered, "{location} {key}");
        }
    }
}
