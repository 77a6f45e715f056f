//! A disk in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::storage::{SegmentFile, Storage};

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Debug, Default)]
pub(super) struct Platters {
    files: BTreeMap<String, File>,
    /// So many bytes more fit on it.
    pub(super) room: Option<usize>,
    /// So many calls of `sync` fail from now on.
    pub(super) failing_syncs: u32,
    /// After an error nothing can be cut off either.
    pub(super) cuts_fail: bool,
}

/// Shared by its ledger and its test.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Platters>>);

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl Disk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Platters> {
        self.0.lock().unwrap()
    }

    pub(super) fn storage(&self) -> Arc<dyn Storage + Sync> {
        Arc::new(self.clone())
    }

    /// Of what was not synced any part of each file may be left.
    pub(super) fn lose_power(&self, mut draw: impl FnMut(usize) -> usize) {
        let mut disk = self.lock();
        for file in disk.files.values_mut() {
            let kept = file.synced + draw(file.bytes.len() - file.synced + 1);
            file.bytes.truncate(kept);
            file.synced = kept;
        }
        disk.room = None;
        disk.failing_syncs = 0;
    }

    /// The process is killed: what it has written is there.
    pub(super) fn names(&self) -> Vec<String> {
        self.lock().files.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.lock().files[name].bytes.clone()
    }

    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
        let synced = bytes.len();
        self.lock().files.insert(name.to_owned(), File { bytes, synced });
    }

    pub(super) fn length(&self) -> usize {
        self.lock().files.values().map(|file| file.bytes.len()).sum()
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        Ok(self.lock().files.iter().map(|(name, file)| (name.clone(), file.bytes.len() as u64)).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let disk = self.lock();
        disk.files.get(name).map(|file| file.bytes.clone()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn read_start(&self, name: &str, length: usize) -> io::Result<Vec<u8>> {
        self.read(name).map(|mut bytes| {
            bytes.truncate(length);
            bytes
        })
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        let mut disk = self.lock();
        if disk.room == Some(0) {
            return Err(full());
        }
        let taken = disk.files.insert(name.to_owned(), File::default());
        assert!(taken.is_none(), "{name} is there already");
        Ok(Box::new(Written { disk: self.clone(), name: name.to_owned() }))
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let mut disk = self.lock();
        let file = disk.files.get_mut(name).unwrap();
        file.bytes.truncate(usize::try_from(length).unwrap());
        file.synced = file.bytes.len();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
}

#[derive(Debug)]
struct Written {
    disk: Disk,
    name: String,
}

impl SegmentFile for Written {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let fits = disk.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if let Some(room) = &mut disk.room {
            *room -= fits;
        }
        let file = disk.files.get_mut(&self.name).unwrap();
        file.bytes.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(full()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if disk.failing_syncs > 0 {
            disk.failing_syncs -= 1;
            return Err(io::Error::other("EIO"));
        }
        let file = disk.files.get_mut(&self.name).unwrap();
        file.synced = file.bytes.len();
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if disk.cuts_fail {
            return Err(io::Error::other("EIO"));
        }
        let file = disk.files.get_mut(&self.name).unwrap();
        file.bytes.truncate(usize::try_from(length).unwrap());
        file.synced = file.synced.min(file.bytes.len());
        Ok(())
    }
}
