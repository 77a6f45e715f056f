//! Where segments are kept. Behind a trait, so that tests can have a disk that fills up, fails and loses its power.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest file that is read: segments are much shorter.
pub const FILE_MAX: u64 = 128 << 20;

/// A directory of segments.
pub trait Storage: Debug + Send {
    /// The names and lengths of its files.
    ///
    /// # Errors
    /// The system's.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// A file's bytes, at most [`FILE_MAX`].
    ///
    /// # Errors
    /// The system's.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// A file's first bytes, at most so many.
    ///
    /// # Errors
    /// The system's.
    fn read_start(&self, name: &str, length: usize) -> io::Result<Vec<u8>>;

    /// A file's bytes from one on, at most so many.
    ///
    /// # Errors
    /// The system's.
    fn read_from(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(length).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    /// Makes a file, which is empty and whose name lasts.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>>;

    /// Cuts a file off at a length, lastingly.
    ///
    /// # Errors
    /// The system's.
    fn cut(&self, name: &str, length: u64) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A segment that is being written.
pub trait SegmentFile: Debug + Send {
    /// Appends. After an error nobody knows how much of it is there.
    ///
    /// # Errors
    /// The system's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything appended will outlive a loss of power.
    ///
    /// # Errors
    /// The system's; what was appended since the last time may be lost then.
    fn sync(&mut self) -> io::Result<()>;

    /// Takes back what stands behind a length.
    ///
    /// # Errors
    /// The system's.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// A directory that exists already; for readers.
    #[must_use]
    pub fn existing(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the directory, for this user alone, where there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn make(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self::existing(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read_at_most(&self, name: &str, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path.join(name))?.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // Evicted meanwhile, perhaps.
            let Ok(metadata) = entry.metadata() else { continue };
            if let Ok(name) = entry.file_name().into_string()
                && metadata.is_file()
            {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.read_at_most(name, FILE_MAX)
    }

    fn read_start(&self, name: &str, length: usize) -> io::Result<Vec<u8>> {
        self.read_at_most(name, length as u64)
    }

    fn read_from(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(self.path.join(name))?;
        // The name lasts once the directory is written.
        File::open(&self.path)?.sync_all()?;
        Ok(Box::new(OnDisk(file)))
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}

#[derive(Debug)]
struct OnDisk(File);

impl SegmentFile for OnDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
