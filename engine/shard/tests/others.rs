//! Segments that shards take from each other.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use columnar::DataType;
use network::{MemoryNetwork, Peers};
use shard::hydrate::Options;
use shard::service::{NodeConfig, NodeHandle, serve};
use shard::{Others, Placement, Progress, Shard, ShardSet, Version, VersionId, hydrate_one, infer, list};
use std::sync::Arc;
use std::time::Duration;
use support::{Folder, column, file_bytes, ints, rows};

const SHARDS: usize = 3;
const ROWS: i64 = 30_000;

fn id() -> VersionId {
    VersionId { tenant: "default".into(), dataset: 7, version: 1 }
}

struct Cluster {
    folder: Folder,
    network: MemoryNetwork,
    shards: Vec<Arc<Shard>>,
    handles: Vec<NodeHandle>,
    version: Version,
}

impl Cluster {
    /// The first two shards hold everything, the third nothing.
    async fn start(placement: Placement) -> Cluster {
        let folder = Folder::new();
        for part in 0..3 {
            let keys = ints(DataType::Int64, part * ROWS / 3..(part + 1) * ROWS / 3);
            folder
                .put(&format!("t/{part}.parquet"), &file_bytes(&[column("n", DataType::Int64)], vec![keys]));
        }
        let files = list(&folder.stores, &folder.url("t")).await.unwrap();
        let inferred = infer(&folder.stores, files).await.unwrap();
        let (schema, files) = (inferred.columns.into(), inferred.files.into());
        let version =
            Version { id: id(), schema, files, placement, deletes: Arc::default(), addressed: false };
        let network = MemoryNetwork::new();
        let shards = folder.shards(SHARDS);
        let mut handles = Vec::new();
        for (number, shard) in shards.iter().enumerate() {
            let node = network.node(&format!("shard{number}"));
            let listener = node.listen(&format!("shard{number}:1")).await.unwrap();
            let peers = Arc::new(Peers::new(node, Duration::from_secs(1)));
            let config = NodeConfig {
                coordinators: vec![],
                advertise: None,
                weight: 1,
                pool: flight_proto::pool::DEFAULT_POOL.into(),
                incarnation: 1,
                hydration: options(),
            };
            handles.push(serve(shard.clone(), listener, peers, config));
        }
        let cluster = Cluster { folder, network, shards, handles, version };
        for shard in 0..2 {
            cluster.hydrate(shard, None).await;
        }
        cluster
    }

    /// Has a shard bring in all rows, from these others where they have them; gives the bytes that it fetched.
    async fn hydrate(&self, shard: usize, others: Option<&[&str]>) -> u64 {
        let peers = Arc::new(Peers::new(self.network.node(&format!("shard{shard}")), Duration::from_secs(1)));
        let others =
            others.map(|names| Others::new(peers, names.iter().map(|name| name.to_string()).collect()));
        let set = ShardSet { replicas: SHARDS, ..ShardSet::even(SHARDS) };
        let progress = Arc::new(Progress::default());
        let shard = &self.shards[shard];
        hydrate_one(shard, &set, &self.version, &options(), false, others.as_ref(), &progress).await.unwrap();
        let counts = progress.counts();
        assert_eq!(counts.rows_done, counts.rows_total);
        let all: Vec<u32> = shard.holding(&id()).unwrap().held.iter().map(|&(bucket, _)| bucket).collect();
        let mut found = rows(&shard.share(&id(), &all).unwrap());
        found.sort_by_key(|row| row[0].as_integer());
        let found: Vec<i128> = found.iter().map(|row| row[0].as_integer().unwrap()).collect();
        assert_eq!(found, (0..i128::from(ROWS)).collect::<Vec<_>>());
        counts.bytes_read
    }

    /// The data files go: who has not read them must have rows from others.
    fn lose_files(&self) {
        let folder = self.folder.folder.path().join("t");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            // Footers are remembered, and the file still is as long and as old.
            let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
            std::fs::write(&path, vec![0; bytes.len()]).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
    }
}

fn options() -> Options {
    let slices = 8;
    Options {
        threads: 2,
        replicated_rows: 0,
        buckets: 4,
        bucket_rows: 1,
        slices,
        owned_bytes: 0,
        ..Options::default()
    }
}

fn placements() -> [Placement; 3] {
    [Placement::Spread, Placement::Hash(vec![0]), Placement::Ranges { column: 0, span: ROWS as u64 }]
}

#[tokio::test]
async fn what_others_have_is_not_read_from_files() {
    for placement in placements() {
        let cluster = Cluster::start(placement).await;
        cluster.lose_files();
        let taken = cluster.hydrate(2, Some(&["shard0:1", "shard1:1"])).await;
        assert!(taken > 0);
    }
}

#[tokio::test]
async fn what_nobody_gives_is_read_from_files() {
    for placement in placements() {
        let mut cluster = Cluster::start(placement).await;
        // One has nothing, one is gone, one never was.
        cluster.handles.remove(1);
        cluster.shards[0].drop_version(&id());
        let read = cluster.hydrate(2, Some(&["shard0:1", "shard1:1", "shard9:1"])).await;
        assert!(read > 0);
    }
}
