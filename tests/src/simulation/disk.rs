//! The disk of a coordinator: what was not synced is lost with a crash.

use crate::random::Random;
use coordinator::catalog::Device;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// What a disk writes as a whole, or not at all.
const SECTOR_BYTES: usize = 512;
/// A disk that lies keeps what was written with every such sync.
const LIES: u64 = 200;

/// A disk, which outlives the node.
#[derive(Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    synced: Vec<u8>,
    /// With what was written since.
    current: Vec<u8>,
    unsynced: Vec<Change>,
    /// How often its node was started.
    life: u64,
    /// So many syncs fail from now on.
    failing: u32,
    /// It acknowledges all syncs and makes one of [`LIES`]: the fault that the checkers must find.
    lies: bool,
    syncs: u64,
}

enum Change {
    Resize(u64),
    Write(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Resize(length) => bytes.resize(*length as usize, 0),
            Change::Write(offset, data) => {
                // A write may be there without the growth that made room for it.
                let end = offset + data.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

/// A disk as one life of its node has it.
pub struct OpenDisk {
    disk: Disk,
    life: u64,
}

impl std::fmt::Debug for OpenDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("of the simulated disk")
    }
}

impl Disk {
    /// The disk for a node that starts.
    pub fn open(&self) -> Box<dyn Device> {
        let mut state = self.state.lock();
        state.life += 1;
        Box::new(OpenDisk { disk: self.clone(), life: state.life })
    }

    /// The node dies: of what it had not synced, each write is there, in part, or not.
    pub fn crash(&self, random: &mut Random) {
        let mut state = self.state.lock();
        state.life += 1;
        let mut unsynced = std::mem::take(&mut state.unsynced);
        if state.lies {
            // What is left is what a sync left.
            unsynced.clear();
        }
        let survive = random.below(4);
        for change in unsynced {
            match change {
                _ if survive == 0 || random.below(4) < survive => change.apply(&mut state.synced),
                Change::Write(offset, data) if random.one_in(8) => {
                    let torn = random.below(data.len() / SECTOR_BYTES + 1) * SECTOR_BYTES;
                    Change::Write(offset, data[..torn].to_vec()).apply(&mut state.synced);
                }
                _ => {}
            }
        }
        state.current = state.synced.clone();
        state.failing = 0;
    }

    /// From now on a crash takes what was synced lately, too.
    pub fn lie(&self) {
        self.state.lock().lies = true;
    }

    /// Lets the next syncs fail.
    pub fn fail(&self, syncs: u32) {
        self.state.lock().failing = syncs;
    }
}

impl OpenDisk {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state.lock();
        match state.life == self.life {
            true => act(&mut state),
            false => Err(io::Error::other("the node has died")),
        }
    }
}

impl Device for OpenDisk {
    fn bytes(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.current.len() as u64))
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        self.with(|state| state.change(Change::Resize(bytes)))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            let offset = offset as usize;
            let found = state.current.get(offset..offset + out.len());
            out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|state| state.change(Change::Write(offset as usize, data.to_vec())))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            if state.failing > 0 {
                state.failing -= 1;
                return Err(io::Error::other("the disk does not answer"));
            }
            state.syncs += 1;
            if state.lies && !state.syncs.is_multiple_of(LIES) {
                return Ok(());
            }
            let State { synced, unsynced, .. } = state;
            unsynced.drain(..).for_each(|change| change.apply(synced));
            Ok(())
        })
    }
}

impl State {
    fn change(&mut self, change: Change) -> io::Result<()> {
        change.apply(&mut self.current);
        self.unsynced.push(change);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(device: &dyn Device) -> Vec<u8> {
        let mut bytes = vec![0; device.bytes().unwrap() as usize];
        device.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_synced_outlives_a_crash() {
        let (disk, mut lost) = (Disk::default(), false);
        for seed in 0..32 {
            let device = disk.open();
            device.resize(4).unwrap();
            device.write(0, &[seed, 1, 2, 3]).unwrap();
            device.sync().unwrap();
            device.write(0, &[seed, 9, 9, 9]).unwrap();
            disk.crash(&mut Random::new(seed.into()));
            assert!(device.sync().is_err(), "the node is dead");
            let found = content(&*disk.open());
            assert!(found == [seed, 1, 2, 3] || found == [seed, 9, 9, 9], "{found:?}");
            lost |= found[1] == 1;
        }
        assert!(lost);
    }
}
