//! Paths of files, sockets and directories.

use std::path::PathBuf;

use super::{Kind, Refusal};
use crate::config::given::{Given, quoted};

/// A path, with the one to show as an example. Whether something stands there is not judged: it may come later.
pub(crate) struct FilePath(pub(crate) &'static str);

impl Kind for FilePath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        format!("a path, such as {}", quoted(self.0))
    }

    fn read(&self, given: &Given) -> Result<PathBuf, Refusal> {
        let text = given.text().ok_or_else(Refusal::plain)?;
        if text.is_empty() {
            return Err(Refusal::plain());
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::words("leave out line ends, tabs and other control characters"));
        }
        Ok(PathBuf::from(text))
    }

    fn write(&self, value: &PathBuf) -> Option<String> {
        Some(quoted(&value.to_string_lossy()))
    }
}
