//! Times the hydration of datasets and a second start on the same data:
//! `hydration_speed DATA_FOLDER THREADS LOCATION…`

#![allow(clippy::print_stdout, reason = "a tool that prints what it measured")]

use exec::memory::MemoryPool;
use exec::runtime::Workers;
use shard::hydrate::Options;
use shard::{
    Config, Environment, Progress, Shard, ShardSet, Stores, Version, VersionId, hydrate, infer, list,
};
use std::sync::Arc;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().ok_or("expected a folder for segments")?;
    let threads: usize = arguments.next().ok_or("expected a number of threads")?.parse()?;
    let locations: Vec<String> = arguments.collect();
    for round in ["first", "second"] {
        let begun = Instant::now();
        let environment = Environment::new(Workers::inline(), MemoryPool::unlimited(), Stores::new());
        let stores = environment.stores.clone();
        let shard = Shard::start(Config { data: data.clone().into(), id: 0 }, environment)?;
        for (dataset, location) in locations.iter().enumerate() {
            let start = Instant::now();
            let inferred = infer(&stores, list(&stores, location).await?).await?;
            let version = Version {
                id: VersionId { tenant: "default".into(), dataset: dataset as u64, version: 1 },
                schema: inferred.columns.into(),
                files: inferred.files.into(),
                placement: shard::Placement::Spread,
                deletes: Arc::default(),
                addressed: false,
            };
            let stored: u64 = version.files.iter().map(|file| file.size_bytes).sum();
            let progress = Arc::new(Progress::default());
            let options = Options { threads, ..Options::default() };
            let before = shard.segment_bytes();
            let set = ShardSet::even(1);
            hydrate(std::slice::from_ref(&shard), &set, &version, &options, std::slice::from_ref(&progress))
                .await?;
            let rows = progress.counts().rows_done.max(1);
            println!(
                "{round}: {location}: {rows} rows in {:.3} s, {:.1} bytes a row resident, {:.1} stored",
                start.elapsed().as_secs_f64(),
                (shard.segment_bytes() - before) as f64 / rows as f64,
                stored as f64 / rows as f64,
            );
        }
        println!("{round}: {:.3} s in all, {} bytes", begun.elapsed().as_secs_f64(), shard.segment_bytes());
    }
    Ok(())
}
