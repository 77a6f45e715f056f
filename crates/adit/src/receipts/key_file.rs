//! Files with keys that sign receipts and terms.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use receipt::{KeyError, PublicKey, SecretKey};

use super::files::{read_bounded, write_new};

/// Far longer than any.
const LONGEST: u64 = 1_024;
/// Secrets of BIP 340's test vectors that are no small numbers; anybody can sign with them.
const TEST_VECTORS: [&str; 4] = [
    "b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfef",
    "c90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b14e5c9",
    "0b432b2677937381aef05bb02a66ecd012773062cf3fa2549e44f58ed2401710",
    "0340034003400340034003400340034003400340034003400340034003400340",
];

/// Makes a key and writes it into a file that is not there yet. `random` gives fresh randomness.
///
/// # Errors
/// The file is there already, or cannot be written.
pub fn make_key(path: &Path, mut random: impl FnMut() -> [u8; 32]) -> Result<PublicKey, KeyFileError> {
    let secret = loop {
        // Nearly every 32 bytes are a key.
        if let Ok(secret) = SecretKey::from_bytes(random()) {
            break secret;
        }
    };
    let text = secret.to_hex();
    write_new(path, format!("{}\n", *text).as_bytes(), 0o600).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists,
        _ => KeyFileError::Io(error),
    })?;
    Ok(secret.public())
}

/// Reads a key.
///
/// # Errors
/// It is none, is no secret, or others may read the file.
pub fn read_key(path: &Path) -> Result<SecretKey, KeyFileError> {
    let mode = std::fs::metadata(path)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { mode });
    }
    let bytes = read_bounded(path, LONGEST)?;
    let secret: SecretKey = String::from_utf8_lossy(&bytes).trim().parse()?;
    if is_published(&secret) { Err(KeyFileError::Published) } else { Ok(secret) }
}

/// Whether everybody knows this secret: a key of examples and test vectors, one byte over and over, or a number so small that it
/// is guessed.
fn is_published(secret: &SecretKey) -> bool {
    let text = secret.to_hex();
    let repeated = text.as_bytes().as_chunks::<2>().0.windows(2).all(|pair| pair[0] == pair[1]);
    let small = text.bytes().take(48).all(|digit| digit == b'0');
    // Keys of Noise are points of the same curve.
    let of_examples = noise::AuthorityPublicKey::from_bytes(secret.public().to_bytes())
        .is_ok_and(|key| noise::is_published_example_key(&key));
    repeated || small || of_examples || TEST_VECTORS.contains(&text.as_str())
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Something is there.
    #[error("it is there already, and a key is not overwritten: choose another name, or move it away")]
    Exists,
    /// Others may read it.
    #[error(
        "others than its owner may read or write it (mode {mode:03o}): chmod 600, or make another key with adit keys --receipt"
    )]
    Open {
        /// The file's mode.
        mode: u32,
    },
    /// Everybody has it.
    #[error("a published example key, with which anybody can sign: make one with adit keys --receipt")]
    Published,
    /// It is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system's.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_read_back() {
        let folder = std::env::temp_dir().join(format!("adit-key-{:x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("key");
        let public = make_key(&path, rand::random).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_key(&path).unwrap().public(), public);
        assert!(matches!(make_key(&path, rand::random), Err(KeyFileError::Exists)));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_key(&path), Err(KeyFileError::Open { mode: 0o640 })));
        for published in [&"01".repeat(32), &format!("{:064x}", 3), &TEST_VECTORS[0].to_uppercase()] {
            std::fs::remove_file(&path).unwrap();
            write_new(&path, published.as_bytes(), 0o600).unwrap();
            assert!(matches!(read_key(&path), Err(KeyFileError::Published)), "{published}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
