//! [`Writer`]: a trace written entry by entry, and put in its place whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::ffi::map::Map;
use crate::fingerprint::Fingerprint;
use crate::knob::Setting;
use crate::number::Number;
use crate::spec::Spec;
use crate::trace::{ENTRIES, Entry, FORMAT, MANIFEST, Manifest, VALUES, stored_as, stored_name};

/// What the writer is told when a run is over.
#[derive(Debug)]
pub struct Ending {
    /// What was run.
    pub spec: Spec,
    /// Knobs as read back.
    pub settings: Vec<Setting>,
    /// The stack it ran on.
    pub fingerprint: Fingerprint,
    /// Numbers for people.
    pub metrics: BTreeMap<String, Number>,
    /// libtorch's warnings.
    pub warnings: Vec<String>,
}

/// Writes a trace entry by entry.
#[derive(Debug)]
pub struct Writer {
    place: PathBuf,
    work: PathBuf,
    entries: BufWriter<File>,
    hasher: blake3::Hasher,
    count: u64,
    values: BufWriter<File>,
    kept: Vec<(String, safetensors::tensor::TensorInfo)>,
    length: usize,
    done: bool,
}

impl Writer {
    /// Begins a trace that will stand at `place`.
    ///
    /// # Errors
    /// When something stands there already, or the folder cannot be made.
    pub fn new(place: &Path) -> Result<Self> {
        if place.exists() {
            let taken = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(Error::io("create", place, taken));
        }
        let mut work = place.as_os_str().to_owned();
        work.push(".partial");
        let work = PathBuf::from(work);
        if work.exists() {
            fs::remove_dir_all(&work).map_err(|e| Error::io("remove", &work, e))?;
        }
        fs::create_dir_all(&work).map_err(|e| Error::io("create", &work, e))?;
        let create = |name: &str| {
            let path = work.join(name);
            File::create_new(&path)
                .map(BufWriter::new)
                .map_err(|e| Error::io("create", &path, e))
        };
        let (entries, values) = (create(ENTRIES)?, create("values.spool")?);
        Ok(Self {
            place: place.to_path_buf(),
            work,
            entries,
            hasher: blake3::Hasher::new(),
            count: 0,
            values,
            kept: Vec::new(),
            length: 0,
            done: false,
        })
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        self.hasher.update(&line);
        self.count += 1;
        self.entries
            .write_all(&line)
            .map_err(|e| Error::io("write", &self.work.join(ENTRIES), e))
    }

    /// Keeps the content of an entry, unless the entry carries it itself.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn keep(&mut self, entry: &Entry, bytes: &[u8]) -> Result<()> {
        if entry.inline.is_some() {
            return Ok(());
        }
        let (dtype, shape) = match stored_as(entry.dtype) {
            Some(same) => (
                same,
                entry
                    .shape
                    .iter()
                    .map(|&size| usize::try_from(size).unwrap_or(usize::MAX))
                    .collect(),
            ),
            // The format knows no such type: the entry says what the bytes are.
            None => (safetensors::Dtype::U8, vec![bytes.len()]),
        };
        let end = self.length + bytes.len();
        let info = safetensors::tensor::TensorInfo {
            dtype,
            shape,
            data_offsets: (self.length, end),
        };
        self.kept.push((stored_name(&entry.key), info));
        self.length = end;
        self.values
            .write_all(bytes)
            .map_err(|e| Error::io("write", &self.work.join(VALUES), e))
    }

    /// Ends the trace and puts it in its place.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn finish(mut self, ending: Ending) -> Result<()> {
        let entries = self.work.join(ENTRIES);
        self.entries
            .flush()
            .map_err(|e| Error::io("write", &entries, e))?;
        let values_blake3 = self.write_values()?;
        let mut manifest = Manifest {
            format: FORMAT,
            samebits: env!("CARGO_PKG_VERSION").into(),
            spec: ending.spec,
            settings: ending.settings,
            fingerprint: ending.fingerprint,
            metrics: ending.metrics,
            warnings: ending.warnings,
            entries: self.count,
            entries_blake3: self.hasher.finalize().to_string(),
            values_blake3,
            manifest_blake3: String::new(),
        };
        manifest.manifest_blake3 = manifest.seal();
        let path = self.work.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
        fs::rename(&self.work, &self.place).map_err(|e| Error::io("create", &self.place, e))?;
        self.done = true;
        Ok(())
    }

    /// Puts the header, which needs every length, before the values that were spooled.
    fn write_values(&mut self) -> Result<String> {
        let path = self.work.join(VALUES);
        let failed = |e| Error::io("write", &path, e);
        let metadata = safetensors::tensor::Metadata::new(None, std::mem::take(&mut self.kept))
            .map_err(|e| Error::damaged(&path, e.to_string()))?;
        let mut header = serde_json::to_vec(&metadata).unwrap_or_default();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::new(File::create_new(&path).map_err(failed)?);
        file.write_all(&(header.len() as u64).to_le_bytes())
            .map_err(failed)?;
        file.write_all(&header).map_err(failed)?;
        self.values.flush().map_err(failed)?;
        self.values
            .get_mut()
            .seek(SeekFrom::Start(0))
            .map_err(failed)?;
        let spool = self.work.join("values.spool");
        let mut source = File::open(&spool).map_err(|e| Error::io("read", &spool, e))?;
        std::io::copy(&mut source, &mut file).map_err(failed)?;
        file.flush().map_err(failed)?;
        fs::remove_file(&spool).map_err(|e| Error::io("remove", &spool, e))?;
        Ok(blake3::hash(&Map::open(&path)?).to_string())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.done {
            // A trace that was never finished is of no use to anybody; if it cannot be removed, its name says so.
            let _ = fs::remove_dir_all(&self.work);
        }
    }
}
