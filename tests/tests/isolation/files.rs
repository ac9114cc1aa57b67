//! Files of the object store, as locations of tables and by way of what lies there.

use super::ways::{Ways, leak_of};
use super::world::World;
use flight_proto::Message;
use flight_proto::manifest::Manifest;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Locations, of acme's folder or of what is nobody's but the operators'. `FILE` is one of acme's, below its folder.
const LOCATIONS: [&str; 30] = [
    "s3://tundra/acme/",
    "s3://tundra/acme",
    "s3://tundra/acme/FILE",
    "s3://tundra/acme/*/data/*.parquet",
    "s3://tundra/acme/**",
    "s3://tundra/a*/*/data/*.parquet",
    "s3://tundra/*/*/data/*.parquet",
    "s3://tundra/{acme,rival}/*/data/*.parquet",
    "s3://tundra/[a]cme/*/data/*.parquet",
    "s3://tundra/rival/../acme/FILE",
    "s3://tundra/rival/%2e%2e/acme/FILE",
    "s3://tundra/rival/%2E%2E%2Facme/FILE",
    "s3://tundra/rival/..%2facme/FILE",
    "s3://tundra//acme/FILE",
    "s3://tundra/./acme/FILE",
    "s3://tundra/%61cme/FILE",
    "s3://tundra/rival//../acme/FILE",
    "s3://tundra/rival*/../acme/FILE",
    "s3://tundra/",
    "s3://tundra",
    "s3://tundra/catalog/",
    "s3://tundra/default/",
    "s3a://tundra/acme/FILE",
    "S3://tundra/acme/FILE",
    "s3://other/acme/FILE",
    "s3://rival@tundra/acme/FILE",
    "https://tundra.s3.amazonaws.com/acme/FILE",
    "file:///DISK/acme/FILE",
    "file://localhost/DISK/acme/FILE",
    "/DISK/acme/FILE",
];

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => below(&path, found),
            false => found.push(path),
        }
    }
}

/// The files of a tenant that hold rows, below its folder.
fn files_of(world: &World, tenant: &str) -> Vec<String> {
    let folder = world.bucket().join(tenant);
    let mut found = Vec::new();
    below(&folder, &mut found);
    let parquet = found.into_iter().filter(|path| path.extension().is_some_and(|end| end == "parquet"));
    parquet.map(|path| path.strip_prefix(&folder).unwrap().display().to_string()).collect()
}

fn create(name: &str, location: &str) -> String {
    format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{location}'")
}

pub(crate) async fn try_all(world: &World, ways: &mut Ways) {
    let files = files_of(world, "acme");
    let disk = world.bucket().display().to_string();
    assert!(!files.is_empty(), "acme's rows lie in {disk}/acme");
    for location in LOCATIONS {
        let at = location.replace("FILE", &files[0]).replace("/DISK", &disk);
        let made = world.ask(&world.rival, &create("taken", &at)).await;
        let mut reached = match &made {
            Ok(_) => Some(format!("{:?}", world.ask(&world.rival, "SELECT * FROM taken LIMIT 2").await)),
            Err(_) => leak_of(&made),
        };
        // Whether it is there is not told.
        let nowhere = at.replace("acme", "acne");
        if nowhere != at {
            let nothing = world.ask(&world.rival, &create("taken", &nowhere)).await;
            let same = nothing.clone().map_err(|why| why.replace("acne", "acme"));
            reached = reached.or_else(|| (made != same).then(|| format!("{made:?} and {nothing:?}")));
        }
        ways.tried("files", location, reached);
    }
    for sql in [
        "read_parquet('s3://tundra/acme/FILE')",
        "parquet_scan('s3://tundra/acme/FILE')",
        "'s3://tundra/acme/FILE'",
    ] {
        let asked = format!("SELECT * FROM {}", sql.replace("FILE", &files[0]));
        ways.refused("files", format!("SELECT * FROM {sql}"), &world.ask(&world.rival, &asked).await);
    }
    let folder = Path::new(&files[0]).parent().unwrap().display().to_string();
    let made = world.owner(&create("again", &format!("s3://tundra/acme/{folder}/"))).await;
    ways.owner("files", &format!("acme's table of its own folder: {made:?}"), made.is_ok());
    let rows = world.owner("SELECT count(*) FROM again").await;
    ways.owner("files", &format!("with its rows: {rows:?}"), rows.is_ok_and(|rows| rows != "0"));
    assert!(world.owner("DROP TABLE again").await.is_ok());
    planted(world, ways, &files[0]).await;
}

/// Whoever may write into rival's own folder puts things there that lead to acme's files.
async fn planted(world: &World, ways: &mut Ways, file: &str) {
    let bucket = world.bucket();
    // A link below its own folder, which an object store that is a file system would follow.
    let folder = bucket.join("rival/planted");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(bucket.join("acme").join(file), folder.join("link.parquet")).unwrap();
    let link = world.ask(&world.rival, &create("linked", &format!("file://{}/", folder.display()))).await;
    ways.refused("files", "a symbolic link in its own folder, by file://", &link);
    fs::remove_dir_all(&folder).unwrap();

    // A version of its own table that has acme's file.
    world.must(&world.rival, "CREATE TABLE bait (ingot VARCHAR)").await;
    world.must(&world.rival, "INSERT INTO bait VALUES ('mine')").await;
    let mut manifests = Vec::new();
    below(&bucket.join("rival"), &mut manifests);
    let is_number = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.parse::<u64>().is_ok() && path.parent().is_some_and(|folder| folder.ends_with("manifests"))
    };
    manifests.retain(|path| is_number(path));
    manifests.sort_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
    let latest = manifests.last().expect("a manifest").clone();
    let mut manifest = Manifest::decode(&*fs::read(&latest).unwrap()).unwrap();
    manifest.version += 1;
    for known in &mut manifest.files {
        known.url = format!("s3://tundra/acme/{file}");
        known.size_bytes = fs::metadata(bucket.join("acme").join(file)).unwrap().len();
    }
    let name = latest.file_name().unwrap().to_str().unwrap();
    let next = format!("{:0width$}", name.parse::<u64>().unwrap() + 1, width = name.len());
    fs::write(latest.with_file_name(&next), manifest.encode_to_vec()).unwrap();
    let key = format!("rival/{}/manifests/{next}", manifest.dataset);
    let event = format!(
        "{{\"Records\":[{{\"eventName\":\"ObjectCreated:Put\",\"s3\":{{\"bucket\":{{\"name\":\"tundra\"}},\"object\":{{\"key\":\"{key}\"}}}}}}]}}"
    );
    let operator = super::world::Shown::basic(super::world::OPERATOR.0, super::world::OPERATOR.1);
    let (status, told) = world.http(&operator, "POST", "/api/v1/events", &event).await;
    ways.owner("files", &format!("the event is taken: {status} {told}"), status == 200);
    let mut reached = None;
    for at in 0..3 {
        // It may wait for a version that never comes; that is rival's own affair.
        let asked = world.ask_at(at, &world.rival, "SELECT * FROM bait");
        let rows = tokio::time::timeout(Duration::from_secs(4), asked).await;
        reached = reached.or(rows.ok().and_then(|rows| leak_of(&rows)));
    }
    ways.tried("files", "a manifest in its own folder that names acme's file", reached);
    for sql in ["REFRESH TABLE bait", "INSERT INTO bait VALUES ('more')", "SELECT * FROM bait"] {
        let answer = tokio::time::timeout(Duration::from_secs(3), world.ask(&world.rival, sql)).await;
        ways.tried(
            "files",
            format!("with that manifest: {sql}"),
            answer.ok().and_then(|told| leak_of(&told)),
        );
    }
}
