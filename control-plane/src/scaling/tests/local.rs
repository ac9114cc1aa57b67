//! Processes as nodes, with a script in place of `tundra`.

use super::*;
use std::os::unix::fs::PermissionsExt;

/// A program that writes its number as a shard does, and waits; or ends at once.
fn program(folder: &Path, lasts: bool) -> PathBuf {
    let path = folder.join(if lasts { "lasts" } else { "ends" });
    // It keeps its arguments, by which it is found.
    let rest = if lasts { "while :; do sleep 0.1; done" } else { "echo 'no certificates' >&2; exit 1" };
    let text = format!(
        "#!/bin/sh\nmkdir -p \"$3\"\necho \"$NODE_SETTING\" > \"$3/setting\"\necho 00000000000000ab > \"$3/shard-id\"\n{rest}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn target(folder: &Path, lasts: bool) -> LocalProcesses {
    let options = LocalOptions {
        folder: folder.join("nodes"),
        program: program(folder, lasts),
        arguments: vec!["x".into()],
        settings: vec![("NODE_SETTING".into(), "as given".into())],
    };
    LocalProcesses::new(options).unwrap()
}

async fn running(target: &LocalProcesses) -> Vec<String> {
    let listing = target.list().await.unwrap();
    let running: Vec<String> =
        listing.instances.into_iter().filter(|one| one.gone.is_none()).map(|one| one.name).collect();
    assert_eq!(running.len(), listing.expected as usize);
    running
}

#[tokio::test]
async fn nodes_are_adopted_and_never_launched_twice() {
    let folder = tempfile::tempdir().unwrap();
    let first = target(folder.path(), true);
    first.grow(2).await.unwrap();
    first.grow(2).await.unwrap();
    let names = running(&first).await;
    assert_eq!(names.len(), 2);
    // The control plane ends, and is started again; of one node it had no time to note the process.
    drop(first);
    fs::remove_file(folder.path().join("nodes").join(&names[0]).join(PID)).unwrap();
    let second = target(folder.path(), true);
    second.grow(2).await.unwrap();
    assert!(running(&second).await.iter().all(|name| names.contains(name)));
    second.terminate(&names[0]).await.unwrap();
    second.terminate(&names[0]).await.unwrap();
    assert_eq!(running(&second).await, [names[1].clone()]);
    second.terminate(&names[1]).await.unwrap();
    assert_eq!(second.list().await.unwrap(), Listing::default());
}

#[tokio::test]
async fn all_end_together_and_are_found_to_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = target(folder.path(), true);
    nodes.grow(2).await.unwrap();
    let names = running(&nodes).await;
    let settings = names.iter().map(|name| nodes.inner.options.folder.join(name).join(DATA).join("setting"));
    for setting in settings {
        while fs::read_to_string(&setting).ok().is_none_or(|text| text != "as given\n") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    nodes.stop().await.unwrap();
    nodes.stop().await.unwrap();
    let listing = nodes.list().await.unwrap();
    assert_eq!((listing.expected, listing.instances.len()), (0, 2));
    assert!(listing.instances.iter().all(|one| one.gone.is_some()));
}

#[tokio::test]
async fn a_process_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = target(folder.path(), true);
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let own = nodes.inner.options.folder.join("node-0");
    fs::create_dir(&own).unwrap();
    let id = ProcessId::of(stranger.id()).unwrap().to_string();
    let words: Vec<&str> = id.split(' ').collect();
    fs::write(own.join(PID), format!("{} {} {}", words[0], 1, words[2])).unwrap();
    assert!(running(&nodes).await.is_empty(), "its number is another process's by now");
    nodes.terminate("node-0").await.unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "it lives");
    nodes.terminate("../nodes").await.unwrap();
    assert!(nodes.inner.options.folder.is_dir());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_process_that_ends_is_told_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = target(folder.path(), false);
    nodes.grow(1).await.unwrap();
    let gone = loop {
        let listing = nodes.list().await.unwrap();
        if let Some(gone) = listing.instances[0].gone.clone() {
            break gone;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(gone.contains("no certificates"), "{gone}");
    let listing = nodes.list().await.unwrap();
    assert_eq!((listing.expected, listing.instances[0].shard.as_deref()), (0, Some("00000000000000ab")));
    nodes.terminate(&listing.instances[0].name).await.unwrap();
    assert_eq!(nodes.list().await.unwrap(), Listing::default());
}

#[tokio::test]
async fn what_cannot_be_started_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions {
        folder: folder.path().join("nodes"),
        program: folder.path().join("missing"),
        arguments: Vec::new(),
        settings: Vec::new(),
    };
    let nodes = LocalProcesses::new(options).unwrap();
    let why = nodes.grow(1).await.unwrap_err().to_string();
    assert!(why.contains("missing"), "{why}");
    assert_eq!(nodes.list().await.unwrap(), Listing::default());
}
