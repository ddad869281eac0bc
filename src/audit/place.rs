//! Where the traces of one workload go.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where the traces of one workload go.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// Removes the folder when the verdict is there.
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    pub(super) fn new(keep: Option<&Path>, name: &str) -> Result<Self> {
        let Some(folder) = keep else {
            let parent = std::env::temp_dir();
            let made = tempfile::Builder::new().prefix("samebits-").tempdir();
            let temporary = made.map_err(|e| Error::io("create a folder in", &parent, e))?;
            return Ok(Self {
                path: temporary.path().to_path_buf(),
                _temporary: Some(temporary),
            });
        };
        // Children may change their folder.
        let folder = std::path::absolute(folder).map_err(|e| Error::io("find", folder, e))?;
        let path = folder.join(name);
        if path.exists() {
            let taken = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(Error::io("create", &path, taken));
        }
        std::fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, e))?;
        Ok(Self {
            path,
            _temporary: None,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // An empty folder helps nobody and would be in the way of the next try; one that holds traces stays.
        let _ = std::fs::remove_dir(&self.path);
    }
}
