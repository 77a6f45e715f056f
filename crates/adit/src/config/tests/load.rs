//! Finding and reading the file.

use std::fs;
use std::path::{Path, PathBuf};

use super::{good, url};
use crate::config::{Config, ConfigErrors, FILE_LENGTH_MAX, Machine};

/// A directory of a test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-config-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("adit")).unwrap();
        Self(path)
    }

    fn write(&self, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join("adit").join("adit.toml");
        fs::write(&path, contents).unwrap();
        path
    }

    fn load(&self, path: Option<&Path>) -> Result<crate::config::Loaded, ConfigErrors> {
        let home = self.0.to_str().unwrap().to_owned();
        Config::load_for(path, [("XDG_CONFIG_HOME".to_owned(), home)].into_iter(), Machine::default())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_are_looked_for_in_the_documented_places() {
    let paths = |env: &[(&'static str, &'static str)]| {
        let paths = Config::search_paths(env.iter().copied());
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        paths(&[("HOME", "/home/m"), ("XDG_CONFIG_HOME", "/cfg")]),
        ["adit.toml", "/cfg/adit/adit.toml", "/etc/adit/adit.toml"]
    );
    assert_eq!(
        paths(&[("HOME", "/home/m"), ("XDG_CONFIG_HOME", "")]),
        ["adit.toml", "/home/m/.config/adit/adit.toml", "/etc/adit/adit.toml"]
    );
    assert_eq!(paths(&[]), ["adit.toml", "/etc/adit/adit.toml"]);
}

#[test]
fn nothing_found_names_the_places() {
    let directory = Directory::new("nothing");
    let error = directory.load(None).unwrap_err();
    let ConfigErrors::NotFound { looked_at } = &error else { panic!("{error}") };
    assert_eq!(looked_at.len(), 3);
    assert!(
        error.to_string().starts_with("no configuration found; looked at:\n    adit.toml\n    "),
        "{error}"
    );
}

#[test]
fn a_file_in_the_configuration_home_is_found() {
    let directory = Directory::new("home");
    let path = directory.write(good().text());
    assert_eq!(directory.load(None).unwrap().path, Some(path));
}

#[test]
fn the_environment_alone_needs_no_file() {
    let (directory, url) = (Directory::new("env"), url());
    let env = [
        ("XDG_CONFIG_HOME", directory.0.to_str().unwrap()),
        ("ADIT__LISTENER__MAIN__LISTEN", "127.0.0.1:3333"),
        ("ADIT__SOURCE__MAIN__URL", url.as_str()),
        ("ADIT__SOURCE__MAIN__USER_IDENTITY", "me"),
        ("ADIT__ROUTE__MAIN__LISTENERS", "main"),
        ("ADIT__ROUTE__MAIN__SOURCES", "main"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let loaded = Config::load(None, env.into_iter()).unwrap();
    assert_eq!(loaded.path, None);
    assert_eq!(loaded.config.sources["main"].user_identity, "me");
}

#[test]
fn a_named_file_must_be_there_and_be_text() {
    let directory = Directory::new("named");
    let missing = directory.0.join("none.toml");
    let error = directory.load(Some(&missing)).unwrap_err();
    assert!(matches!(error, ConfigErrors::Unreadable { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot read the configuration "), "{error}");

    let path = directory.write(b"version = 1\n# \xff\n");
    let error = directory.load(Some(&path)).unwrap_err();
    assert!(matches!(error, ConfigErrors::NotText { at: 14, .. }), "{error}");

    let path = directory.write(vec![b'#'; usize::try_from(FILE_LENGTH_MAX).unwrap() + 1]);
    let error = directory.load(Some(&path)).unwrap_err();
    assert!(matches!(error, ConfigErrors::TooLong { .. }), "{error}");

    let error = directory.load(Some(&directory.0)).unwrap_err();
    assert!(matches!(error, ConfigErrors::Unreadable { .. }), "{error}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let directory = Directory::new("bom");
    let path = directory.write(format!("\u{feff}{}", good().text()));
    assert!(directory.load(Some(&path)).is_ok());
}

#[test]
fn windows_line_ends_are_line_ends() {
    let text = good().listener("vardiff = 1").text().replace('\n', "\r\n");
    let error = Config::from_str_named("adit.toml", &text).unwrap_err().to_string();
    assert!(error.contains("adit.toml:3:11: listener.main.vardiff\n    3 | vardiff = 1\n"), "{error}");
}
