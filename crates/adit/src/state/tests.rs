//! What the state directory promises.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory of a test's own, removed at its end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-state-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where state is to be kept: it does not exist yet.
    fn state(&self) -> PathBuf {
        self.0.join("state").join("adit")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_number_stays_the_same_from_start_to_start() {
    let home = Home::new("same");
    let first = StateDirectory::open(&home.state()).unwrap().instance();
    assert_eq!(StateDirectory::open(&home.state()).unwrap().instance(), first);
    let text = fs::read_to_string(home.state().join(INSTANCE)).unwrap();
    assert_eq!(text, format!("{:08x}\n", u32::from_be_bytes(first)));
    assert!(!home.state().join(INSTANCE_NEW).exists());
}

#[test]
fn two_adits_have_two_numbers() {
    let homes = ["a", "b", "c"].map(Home::new);
    let numbers = homes.each_ref().map(|home| StateDirectory::open(&home.state()).unwrap().instance());
    // Three random numbers of 32 bits that are all the same are a mistake, not chance.
    assert!(numbers[0] != numbers[1] || numbers[1] != numbers[2]);
}

#[test]
fn what_is_made_is_for_this_user_alone() {
    let home = Home::new("mode");
    let state = StateDirectory::open(&home.state()).unwrap();
    for (path, mode) in [
        (home.state(), 0o700),
        (state.blocks_directory(), 0o700),
        (home.state().join(INSTANCE), 0o600),
        (home.state().join(LOCK), 0o600),
    ] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn a_damaged_number_is_replaced_and_a_half_written_one_does_no_harm() {
    let home = Home::new("damaged");
    let first = StateDirectory::open(&home.state()).unwrap().instance();
    let file = home.state().join(INSTANCE);
    // The power went while a new file was being written.
    fs::write(home.state().join(INSTANCE_NEW), "12").unwrap();
    assert_eq!(StateDirectory::open(&home.state()).unwrap().instance(), first);
    for damaged in
        ["", "1234567", "123456789", "+1234567", "1234 678", "\u{0}\u{0}\u{0}\u{0}", &"0".repeat(1_000)]
    {
        fs::write(&file, damaged).unwrap();
        let new = StateDirectory::open(&home.state()).unwrap().instance();
        assert_eq!(StateDirectory::open(&home.state()).unwrap().instance(), new, "{damaged:?}");
        assert_eq!(fs::read_to_string(&file).unwrap().len(), 9);
    }
}

#[test]
fn a_number_that_somebody_wrote_by_hand_is_taken() {
    let home = Home::new("hand");
    fs::create_dir_all(home.state()).unwrap();
    fs::write(home.state().join(INSTANCE), "  00C0FFEE\r\n").unwrap();
    assert_eq!(StateDirectory::open(&home.state()).unwrap().instance(), [0x00, 0xc0, 0xff, 0xee]);
}

#[test]
fn a_directory_serves_one_adit_at_a_time() {
    let home = Home::new("lock");
    let first = StateDirectory::open(&home.state()).unwrap();
    let error = StateDirectory::open(&home.state()).unwrap_err();
    assert!(matches!(error, StateError::InUse { .. }), "{error}");
    drop(first);
    assert!(StateDirectory::open(&home.state()).is_ok());
}

#[test]
fn what_cannot_be_made_or_read_is_said_with_what_to_do() {
    let home = Home::new("errors");
    let file = home.0.join("file");
    fs::write(&file, "").unwrap();
    let error = StateDirectory::open(&file.join("adit")).unwrap_err();
    assert!(matches!(&error, StateError::Directory { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("cannot make the directory ") && text.contains("directory in [state]"),
        "{text}"
    );

    fs::create_dir_all(home.state().join(INSTANCE)).unwrap();
    let error = StateDirectory::open(&home.state()).unwrap_err();
    assert!(matches!(&error, StateError::File { what: "read", .. }), "{error}");
}
