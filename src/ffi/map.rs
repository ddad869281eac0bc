//! Files as memory. Not: what is in them.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};

/// A file's bytes, mapped read-only. Empty files are empty slices.
#[derive(Debug)]
pub struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps the whole of `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::io("read", path, source))?;
        let length = file
            .metadata()
            .map_err(|source| Error::io("read", path, source))?
            .len();
        if length == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the map is read-only and private to this process. Another process that shortens the file while it is
        // mapped ends this one with SIGBUS, which no verdict survives: a wrong one is never given.
        let map = unsafe { memmap2::Mmap::map(&file) }
            .map_err(|source| Error::io("map", path, source))?;
        Ok(Self(Some(map)))
    }
}

impl std::ops::Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
