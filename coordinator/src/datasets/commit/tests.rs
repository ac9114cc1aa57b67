//! `rebase` against statements that run one after the other.

use super::*;
use std::collections::BTreeSet;

/// A version in memory: its manifest, and what is deleted of its files.
#[derive(Clone, Debug)]
struct Version {
    manifest: Manifest,
    gone: Rows,
}

impl Version {
    /// The rows that are seen, as file and row.
    fn rows(&self) -> BTreeSet<(String, u64)> {
        let of_file = |file: &File| {
            let (url, gone) = (file.url.clone(), self.gone.get(&file.url).cloned().unwrap_or_default());
            let rows = (0..file.rows).filter(move |&row| !gone.contains(row));
            rows.map(move |row| (url.clone(), row)).collect::<Vec<_>>()
        };
        self.manifest.files.iter().flat_map(of_file).collect()
    }

    fn held(&self, marked: &Rows) -> Rows {
        let held = self.gone.iter().filter(|(url, _)| marked.contains_key(*url));
        held.map(|(url, rows)| (url.clone(), rows.clone())).collect()
    }

    /// What `commit` of the module makes, without a store.
    fn with(&self, base: &Version, write: &Write) -> Option<Version> {
        let gone = rebase(&base.manifest, &self.manifest, &write.marked, &self.held(&write.marked)).ok()?;
        let mut next = self.clone();
        let told = gone.iter().map(|(url, rows)| {
            (url.clone(), Deletes { rows: rows.len(), inline: vec![1], ..Deletes::default() })
        });
        take_away(&mut next.manifest, &gone, &told.collect());
        next.gone.extend(gone);
        next.gone.retain(|url, _| next.manifest.files.iter().any(|file| file.url == *url));
        next.manifest.files.extend(write.added.clone());
        next.manifest.version += 1;
        for file in &next.manifest.files {
            let told = file.deletes.as_ref().map_or(0, |deletes| deletes.rows);
            assert_eq!(told, next.gone.get(&file.url).map_or(0, RowSet::len), "the manifest says so");
        }
        Some(next)
    }
}

/// What a statement wants: rows that it read go, and others come.
#[derive(Clone, Debug)]
struct Write {
    marked: Rows,
    added: Vec<File>,
}

fn file(url: &str, rows: u64) -> File {
    File { url: url.into(), rows, ..File::default() }
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn write(&mut self, base: &Version, name: &str) -> Write {
        let mut marked = Rows::new();
        let kind = self.below(5);
        for (url, row) in base.rows() {
            let takes = match kind {
                0 => false,
                1 => true,
                2 => url.ends_with('0'),
                _ => self.below(6) == 0,
            };
            if takes {
                marked.entry(url).or_default().insert(row);
            }
        }
        let added = (self.below(3) > 0).then(|| file(name, 1 + self.below(4)));
        Write { marked, added: added.into_iter().collect() }
    }
}

/// Two or three statements that read one version commit in a drawn order: each takes away rows that were there and that
/// nobody else takes away, or is told to run again; and nothing comes back.
#[test]
fn what_is_committed_is_as_if_statements_ran_one_after_the_other() {
    let (mut done, mut overtaken) = (0, 0);
    for seed in 0..3_000 {
        let mut draw = Draw(seed);
        let files =
            (0..1 + draw.below(3)).map(|number| file(&number.to_string(), 1 + draw.below(9))).collect();
        let first =
            Version { manifest: Manifest { files, version: 1, ..Manifest::default() }, gone: Rows::new() };
        let before = draw.write(&first, "before");
        let base = first.with(&first, &before).unwrap();
        let writes: Vec<Write> =
            (0..2 + draw.below(2)).map(|number| draw.write(&base, &format!("new {number}"))).collect();
        let mut head = base.clone();
        let mut order: Vec<&Write> = writes.iter().collect();
        while !order.is_empty() {
            let write = order.remove(draw.below(order.len() as u64) as usize);
            let seen = head.rows();
            let own: BTreeSet<(String, u64)> = write
                .marked
                .iter()
                .flat_map(|(url, rows)| rows.iter().map(move |row| (url.clone(), row)))
                .collect();
            let next = head.with(&base, write);
            // It goes through if and only if every row that it is about is still there.
            assert_eq!(next.is_some(), own.is_subset(&seen), "seed {seed}");
            let Some(next) = next else {
                overtaken += 1;
                continue;
            };
            let added = write.added.iter().flat_map(|file| (0..file.rows).map(|row| (file.url.clone(), row)));
            let expected: BTreeSet<_> = seen.difference(&own).cloned().chain(added).collect();
            assert_eq!(next.rows(), expected, "seed {seed}");
            let full = |file: &File| next.gone.get(&file.url).is_some_and(|rows| rows.len() == file.rows);
            assert!(!next.manifest.files.iter().any(full), "a file without rows stayed");
            (head, done) = (next, done + 1);
        }
    }
    assert!(done > 1_000 && overtaken > 300, "{done} {overtaken}");
}

#[test]
fn other_columns_and_dropped_tables_are_not_changed() {
    let base = Manifest { files: vec![file("a", 3)], ..Manifest::default() };
    let marked = Rows::from([("a".to_string(), [1].into_iter().collect())]);
    assert!(rebase(&base, &base, &marked, &Rows::new()).is_ok());
    let dropped = Manifest { tombstone: true, ..base.clone() };
    assert_eq!(rebase(&base, &dropped, &marked, &Rows::new()), Err(Overtaken));
    let column = flight_proto::schema::Column { name: "x".into(), ..Default::default() };
    let altered = Manifest { columns: vec![column], ..base.clone() };
    assert_eq!(rebase(&base, &altered, &marked, &Rows::new()), Err(Overtaken));
    let emptied = Manifest { files: Vec::new(), ..base.clone() };
    assert_eq!(rebase(&base, &emptied, &marked, &Rows::new()), Err(Overtaken));
}
