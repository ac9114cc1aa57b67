//! Work that computes for long or waits for a disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` on a thread where it may take its time. A runtime that has one thread, which is that of a test or a
/// simulation, runs it there and then: whoever gave it no other thread wants everything to happen in one order.
/// An error tells of a panic.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => {
            catch_unwind(AssertUnwindSafe(work)).map_err(|_| io::Error::other("it panicked"))
        }
        _ => tokio::task::spawn_blocking(work).await.map_err(io::Error::other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_thread_does_everything() {
        let here = std::thread::current().id();
        assert_eq!(blocking(|| std::thread::current().id()).await.unwrap(), here);
        assert!(blocking(|| panic!("as told")).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn several_threads_share_it() {
        let serving = tokio::spawn(async { std::thread::current().id() }).await.unwrap();
        assert_ne!(blocking(|| std::thread::current().id()).await.unwrap(), serving);
        assert!(blocking(|| panic!("as told")).await.is_err());
    }
}
