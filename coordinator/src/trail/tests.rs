use super::verify::{VerifiedChain, verify_trail};
use super::*;
use shard::Stores;
use std::fs;
use std::path::{Path, PathBuf};

fn deed(text: &str) -> Deed {
    Deed {
        principal: "ann".into(),
        action: Action::Statement,
        subject: "7".into(),
        text: text.into(),
        detail: String::new(),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

fn whole(chains: &[VerifiedChain]) -> Vec<(&str, u64, Option<&str>)> {
    chains.iter().map(|chain| (&*chain.tenant, chain.rows, chain.broken.as_deref())).collect()
}

#[tokio::test]
async fn what_is_written_is_verified_and_what_was_changed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = Stores::new().open(&format!("file://{}", folder.path().display())).unwrap();
    let trail = Trail::new(1, 0xab, true);
    for number in 0..5 {
        trail.add("acme", deed(&format!("SELECT {number}")));
        trail.add("zenith", deed("SELECT 'é'"));
        if number % 2 == 0 {
            export::write(&trail, &root).await.unwrap();
        }
    }
    // What does not follow on a write that is repeated is written once.
    export::write(&trail, &root).await.unwrap();
    let all = files(folder.path());
    assert_eq!(all.len(), 6, "{all:?}");
    assert_eq!(whole(&verify_trail(&all).unwrap()), [("acme", 5, None), ("zenith", 5, None)]);
    // Later files alone stand by themselves; a hole is found.
    let acme: Vec<PathBuf> =
        all.iter().filter(|path| path.to_str().unwrap().contains("acme")).cloned().collect();
    assert_eq!(whole(&verify_trail(&acme[1..]).unwrap()), [("acme", 4, None)]);
    let holed = verify_trail(&[acme[0].clone(), acme[2].clone()]).unwrap();
    assert_eq!(whole(&holed), [("acme", 3, Some("row 1 is missing"))]);
    let twice = verify_trail(&[acme[0].clone(), acme[0].clone()]).unwrap();
    assert_eq!(whole(&twice), [("acme", 2, Some("row 0 is there twice"))]);

    // A file that somebody wrote anew: of another trail that had another text at this place.
    let forged = Trail::new(1, 0xab, true);
    forged.add("acme", deed("SELECT 0"));
    forged.take();
    forged.add("acme", deed("SELECT 100"));
    forged.add("acme", deed("SELECT 2"));
    fs::remove_file(&acme[1]).unwrap();
    export::write(&forged, &root).await.unwrap();
    let found = verify_trail(&acme).unwrap();
    let [chain] = &found[..] else { panic!("{found:?}") };
    let why = chain.broken.as_deref().unwrap();
    assert!(why.starts_with("row ") && why.contains("was changed"), "{why}");
    fs::write(&acme[0], b"PAR1").unwrap();
    assert!(verify_trail(&acme).unwrap_err().contains(acme[0].to_str().unwrap()));
}

#[tokio::test]
async fn rows_of_a_write_that_was_not_acknowledged_are_not_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let root = Stores::new().open(&format!("file://{}", folder.path().display())).unwrap();
    let trail = Trail::new(1, 2, true);
    trail.add("acme", deed("SELECT 1"));
    trail.add("acme", deed("SELECT 2"));
    let waiting = trail.take().pop().unwrap();
    let again = Waiting { tenant: waiting.tenant.clone(), rows: waiting.rows.clone() };
    trail.give_back(waiting);
    export::write(&trail, &root).await.unwrap();
    // It came through, and was told as failed: its rows wait once more, and others behind them.
    trail.add("acme", deed("SELECT 3"));
    trail.give_back(again);
    export::write(&trail, &root).await.unwrap();
    let all = files(folder.path());
    assert_eq!((all.len(), whole(&verify_trail(&all).unwrap())), (2, vec![("acme", 3, None)]));
}

#[tokio::test]
async fn a_store_that_is_away_loses_nothing_but_what_has_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let root = Stores::new().open(&format!("file://{}", folder.path().display())).unwrap();
    let trail = Trail::new(1, 2, true);
    let long = "x".repeat(TEXT_BYTES + 10);
    let count = WAITING_BYTES / TEXT_BYTES + 10;
    for _ in 0..count {
        trail.add("acme", deed(&long));
    }
    let lost = trail.lost();
    assert!((1..30).contains(&lost), "{lost}");
    export::write(&trail, &root).await.unwrap();
    let chains = verify_trail(&files(folder.path())).unwrap();
    assert_eq!(whole(&chains), [("acme", count as u64 - lost, None)]);
    assert_eq!(chains[0].first, lost as i64, "what is lost is seen by its numbers");
    let (_, last) = trail.recent("acme").pop().unwrap();
    assert!(last.deed.text.len() < TEXT_BYTES + 40 && last.deed.text.ends_with("(65546 bytes)"));
    let bytes: usize = trail.recent("acme").iter().map(|(_, entry)| bytes(entry)).sum();
    assert!(bytes <= RECENT.1);
}

#[test]
fn a_tenant_sees_its_own_rows_and_failed_logins_do_not_fill_it() {
    let trail = Trail::new(1, 2, false);
    trail.add("acme", deed("SELECT 1"));
    for _ in 0..1_000 {
        trail.add_failed_login("mallory", "the password is wrong".into());
    }
    let seen = |tenant| trail.recent(tenant).len();
    assert_eq!((seen("acme"), seen("zenith")), (1, 0));
    assert!(seen(DEFAULT_TENANT) <= 2 * (FAILURES_A_SECOND as usize + 1));
    assert!(trail.take().is_empty(), "nobody wants it written");
}
