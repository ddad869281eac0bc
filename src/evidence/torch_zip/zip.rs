//! The zip archive around a checkpoint, from its central directory, over a mapped file. Stored records stay where they
//! are; deflated ones are unpacked when asked for. Not: what is in the records.
//!
//! Strict on purpose: two readers that disagree about an archive would compare different things. What no writer of
//! checkpoints does (overlapping records, two of one name, a prefix before the archive) is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::evidence::LARGEST_UNPACKED;
use crate::ffi::map::Map;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
/// Length of the end record without its comment.
const END_LENGTH: usize = 22;
/// What deflate can at most make of one byte; a record that claims more lies.
const DEFLATE_RATIO: u64 = 1032;

/// An archive: its records by name.
#[derive(Debug, Default)]
pub struct Archive {
    /// By name as written, with the top folder.
    pub records: BTreeMap<String, Record>,
    /// The time stamps of the records, each once, as written.
    pub times: Vec<u32>,
}

/// One file in an archive.
#[derive(Debug, Clone)]
pub struct Record {
    map: Arc<Map>,
    path: Arc<PathBuf>,
    name: Arc<str>,
    /// Its packed bytes in the map.
    place: Range<usize>,
    deflated: bool,
    size: usize,
    crc: u32,
}

/// A row of the central directory, and where its local header is.
struct Row {
    name: String,
    flags: u16,
    method: u16,
    time: u32,
    crc: u32,
    packed: u64,
    size: u64,
    header: u64,
}

/// The name in the first local header, if these bytes begin with one.
#[must_use]
pub fn first_name(bytes: &[u8]) -> Option<&str> {
    if !bytes.starts_with(LOCAL) {
        return None;
    }
    let length = usize::from(u16_at(bytes, 26)?);
    std::str::from_utf8(bytes.get(30..30 + length)?).ok()
}

impl Archive {
    /// Reads the directory of a mapped archive.
    ///
    /// # Errors
    /// When it is cut off or contradicts itself.
    pub fn open(path: &Path, map: &Arc<Map>) -> Result<Self> {
        let (rows, directory) = directory(map).map_err(|what| Error::damaged(path, what))?;
        let shared = Arc::new(path.to_path_buf());
        let mut records = BTreeMap::new();
        let mut places = Vec::new();
        let mut times = Vec::new();
        for row in rows {
            let wrong = |what: String| {
                Error::damaged(path, format!("record {}: {what}", row.name.escape_debug()))
            };
            let place = place(map, &row, directory).map_err(wrong)?;
            places.push((
                usize::try_from(row.header).unwrap_or(usize::MAX),
                place.end,
                row.name.clone(),
            ));
            times.push(row.time);
            let record = Record {
                map: Arc::clone(map),
                path: Arc::clone(&shared),
                name: row.name.as_str().into(),
                place,
                deflated: row.method == 8,
                size: usize::try_from(row.size).unwrap_or(usize::MAX),
                crc: row.crc,
            };
            if records.insert(row.name.clone(), record).is_some() {
                return Err(wrong("is there twice".into()));
            }
        }
        places.sort();
        if let Some(pair) = places.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return Err(Error::damaged(
                path,
                format!("records {} and {} overlap", pair[0].2, pair[1].2),
            ));
        }
        times.sort_unstable();
        times.dedup();
        Ok(Self { records, times })
    }
}

impl Record {
    /// A part of a file as a record, where no archive says so.
    #[must_use]
    pub fn stored(map: &Arc<Map>, path: &Path, name: &str, place: Range<usize>) -> Self {
        Self {
            map: Arc::clone(map),
            path: Arc::new(path.to_path_buf()),
            name: name.into(),
            size: place.len(),
            place,
            deflated: false,
            crc: 0,
        }
    }

    /// Its name as written, with the top folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes when unpacked.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The map and its place there, when it is stored as it is.
    #[must_use]
    pub fn mapped(&self) -> Option<(&Arc<Map>, Range<usize>)> {
        (!self.deflated).then(|| (&self.map, self.place.clone()))
    }

    /// Whether its file still has all of it.
    ///
    /// # Errors
    /// When the file became shorter.
    pub fn check(&self) -> Result<()> {
        self.map.check()
    }

    /// The checksum that the directory says.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// Whether its bytes have the checksum that the directory says. torch can be told to write none.
    #[must_use]
    pub fn checks(&self, bytes: &[u8]) -> bool {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum() == self.crc
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When they cannot be unpacked, or are others than the directory says.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        let packed = self.map.get(self.place.clone()).unwrap_or_default();
        if !self.deflated {
            return Ok(packed.into());
        }
        let wrong =
            |what: String| Error::damaged(&self.path, format!("record {}: {what}", self.name));
        // Grown as it fills: the size is only a claim until the bytes are there.
        let mut bytes = Vec::with_capacity(self.size.min(1 << 20));
        flate2::read::DeflateDecoder::new(packed)
            .take(self.size as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| wrong(format!("does not unpack: {e}")))?;
        if bytes.len() != self.size {
            return Err(wrong(format!("does not unpack to {} bytes", self.size)));
        }
        if !self.checks(&bytes) {
            return Err(wrong("unpacks to other bytes than were packed".into()));
        }
        Ok(bytes.into())
    }
}

/// The rows of the directory, and where it begins.
fn directory(bytes: &[u8]) -> std::result::Result<(Vec<Row>, usize), String> {
    let end = find_end(bytes).ok_or("no directory at the end: no zip archive, or cut off")?;
    let narrow = |at| u32_at(bytes, end + at).map(u64::from);
    let mut count = u16_at(bytes, end + 10).map(u64::from);
    let (mut length, mut start) = (narrow(12), narrow(16));
    let mut after = end;
    let locator = end.checked_sub(20);
    if let Some(locator) = locator.filter(|&at| bytes[at..].starts_with(LOCATOR_64)) {
        let at = u64_at(bytes, locator + 8).and_then(|at| usize::try_from(at).ok());
        after = at
            .filter(|&at| bytes.get(at..).is_some_and(|b| b.starts_with(END_64)) && at < locator)
            .ok_or_else(|| {
                format!("offset {locator}: the zip64 end record is not where it says")
            })?;
        count = u64_at(bytes, after + 32);
        length = u64_at(bytes, after + 40);
        start = u64_at(bytes, after + 48);
    }
    let place = start.zip(length).and_then(|(start, length)| {
        let to = start.checked_add(length)?;
        Some(usize::try_from(start).ok()?..usize::try_from(to).ok()?)
    });
    let place = place
        .filter(|place| place.end == after)
        .ok_or_else(|| format!("offset {end}: the directory is not where the end record says"))?;
    let mut rows = Vec::new();
    let mut at = place.start;
    while at < place.end {
        let (row, next) = row(&bytes[..place.end], at)
            .ok_or_else(|| format!("offset {at}: no entry of a directory"))?
            .map_err(|what| format!("offset {at}: {what}"))?;
        rows.push(row);
        at = next;
    }
    if count != Some(rows.len() as u64) {
        return Err(format!(
            "offset {end}: {} entries in the directory, {} announced",
            rows.len(),
            count.unwrap_or(0)
        ));
    }
    Ok((rows, place.start))
}

/// The end record is the last thing in the file but for a comment of up to 64 KiB.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_LENGTH)?;
    (last.saturating_sub(usize::from(u16::MAX))..=last)
        .rev()
        .find(|&at| {
            bytes[at..].starts_with(END)
                && u16_at(bytes, at + 20).map(usize::from) == Some(last - at)
        })
}

/// One row, and where the next begins. `None` when it is cut off.
fn row(bytes: &[u8], at: usize) -> Option<std::result::Result<(Row, usize), String>> {
    let header = bytes.get(at..at.checked_add(46)?)?;
    if !header.starts_with(CENTRAL) {
        return None;
    }
    let long = |place| u16_at(header, place).map(usize::from);
    let (name_long, extra_long, comment_long) = (long(28)?, long(30)?, long(32)?);
    let name = bytes.get(at + 46..at + 46 + name_long)?;
    let extra = bytes.get(at + 46 + name_long..at + 46 + name_long + extra_long)?;
    let next = at + 46 + name_long + extra_long + comment_long;
    if next > bytes.len() {
        return None;
    }
    let Some(name) = std::str::from_utf8(name).ok().filter(|name| harmless(name)) else {
        let shown = String::from_utf8_lossy(name);
        return Some(Err(format!(
            "the name {shown:?} is none that a checkpoint has"
        )));
    };
    let mut row = Row {
        name: name.to_owned(),
        flags: u16_at(header, 8)?,
        method: u16_at(header, 10)?,
        time: u32_at(header, 12)?,
        crc: u32_at(header, 16)?,
        packed: u64::from(u32_at(header, 20)?),
        size: u64::from(u32_at(header, 24)?),
        header: u64::from(u32_at(header, 42)?),
    };
    if widen(&mut row, extra).is_none() {
        return Some(Err(format!("{name}: its zip64 sizes are missing")));
    }
    Some(Ok((row, next)))
}

/// Fields of 32 bits that are all ones stand in the zip64 extra field instead, in this order.
fn widen(row: &mut Row, mut extra: &[u8]) -> Option<()> {
    let mut wide: &[u8] = &[];
    while let (Some(kind), Some(long)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let body = extra.get(4..4 + usize::from(long))?;
        if kind == 1 {
            wide = body;
        }
        extra = &extra[4 + body.len()..];
    }
    for field in [&mut row.size, &mut row.packed, &mut row.header] {
        if *field == u64::from(u32::MAX) {
            *field = u64_at(wide, 0)?;
            wide = &wide[8..];
        }
    }
    Some(())
}

/// Nothing is ever written under these names, but one that climbs out of a folder is no accident.
fn harmless(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('/')
        && !name.contains(['\\', '\0'])
        && name.split('/').all(|part| part != "..")
}

/// Where the packed bytes of a record are.
fn place(bytes: &[u8], row: &Row, directory: usize) -> std::result::Result<Range<usize>, String> {
    if row.flags & 1 != 0 {
        return Err("is encrypted".into());
    }
    if row.method != 0 && row.method != 8 {
        return Err(format!(
            "is packed by method {}; only stored and deflated are read",
            row.method
        ));
    }
    let place = || {
        let at = usize::try_from(row.header).ok()?;
        let header = bytes.get(at..at.checked_add(30)?)?;
        let name_long = usize::from(u16_at(header, 26)?);
        let extra_long = usize::from(u16_at(header, 28)?);
        let same = header.starts_with(LOCAL)
            && bytes.get(at + 30..at + 30 + name_long)? == row.name.as_bytes();
        let start = at + 30 + name_long + extra_long;
        let end = start.checked_add(usize::try_from(row.packed).ok()?)?;
        (same && end <= directory).then_some(start..end)
    };
    let place = place().ok_or_else(|| {
        format!(
            "{} bytes at offset {} are not there, or another record's",
            row.packed, row.header
        )
    })?;
    let most = match row.method {
        0 => row.packed,
        _ => (row.packed.saturating_mul(DEFLATE_RATIO)).min(LARGEST_UNPACKED),
    };
    if row.size > most || (row.method == 0 && row.size != row.packed) {
        return Err(format!(
            "{} bytes cannot come of {} packed ones",
            row.size, row.packed
        ));
    }
    Ok(place)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let raw = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(raw.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(raw.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let raw = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(raw.try_into().ok()?))
}
