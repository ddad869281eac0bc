//! The members of a zip file, as its central directory tells them. Stored and deflated ones only.

use std::io::Read;
use std::ops::Range;

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// The most that deflate can make of one byte.
const LARGEST_RATIO: u64 = 1032;

const END: usize = 22;
const LONGEST_COMMENT: usize = 65_535;

/// One file in the archive.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    /// Not compressed.
    pub stored: bool,
    /// Where its packed bytes are.
    pub data: Range<usize>,
    /// Bytes when unpacked.
    pub size: u64,
    crc: u32,
    /// How it is packed, for people: date, system, compression.
    pub packing: String,
}

/// The little-endian number of `N` bytes at `offset`.
fn number<const N: usize>(bytes: &[u8], offset: usize) -> Option<u64> {
    let end = offset.checked_add(N)?;
    let digits = bytes.get(offset..end)?.iter().rev();
    Some(digits.fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// All files in the archive, in its order.
pub fn members(bytes: &[u8]) -> Result<Vec<Member>, String> {
    let (start, length, count) =
        directory(bytes).ok_or("no end of a zip file; it may be cut off")?;
    let directory = start
        .checked_add(length)
        .and_then(|end| bytes.get(place(start)..place(end)))
        .ok_or_else(|| {
            format!("the zip directory at offset {start} reaches past the end of the file")
        })?;
    let mut members = Vec::new();
    let mut at = 0;
    let mut entries = 0u64;
    while at < directory.len() {
        let wrong = |what: &str| format!("offset {}: {what}", start + at as u64);
        let (member, next) =
            entry(bytes, directory, at, place(start)).map_err(|what| wrong(&what))?;
        if !member.name.ends_with('/') {
            members.push(member);
        }
        at = next;
        entries += 1;
    }
    if entries != count {
        return Err(format!("a zip directory of {count} entries has {entries}"));
    }
    // Bombs are made of members that share their bytes.
    let mut places: Vec<_> = members.iter().collect();
    places.sort_by_key(|member| (member.data.start, member.data.end));
    for pair in places.windows(2) {
        if pair[0].data.end > pair[1].data.start {
            return Err(format!("{} and {} overlap", pair[0].name, pair[1].name));
        }
    }
    Ok(members)
}

/// Offset and length of the central directory, and the number of its entries.
fn directory(bytes: &[u8]) -> Option<(u64, u64, u64)> {
    let first = bytes.len().saturating_sub(END + LONGEST_COMMENT);
    let end = (first..=bytes.len().checked_sub(END)?).rev().find(|&at| {
        bytes[at..].starts_with(b"PK\x05\x06")
            && number::<2>(bytes, at + 20) == Some((bytes.len() - at - END) as u64)
    })?;
    let locator = end
        .checked_sub(20)
        .filter(|&at| bytes[at..].starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let large = place(number::<8>(bytes, locator + 8)?);
        if !bytes.get(large..)?.starts_with(b"PK\x06\x06") {
            return None;
        }
        let large = &bytes[large..];
        return Some((
            number::<8>(large, 48)?,
            number::<8>(large, 40)?,
            number::<8>(large, 32)?,
        ));
    }
    Some((
        number::<4>(bytes, end + 16)?,
        number::<4>(bytes, end + 12)?,
        number::<2>(bytes, end + 10)?,
    ))
}

/// The entry at `at` of the directory, and where the next one is. Member data must end before `limit`.
fn entry(
    bytes: &[u8],
    directory: &[u8],
    at: usize,
    limit: usize,
) -> Result<(Member, usize), String> {
    let cut = || "an entry is cut off".to_owned();
    if !directory[at..].starts_with(b"PK\x01\x02") {
        return Err("no entry of a zip directory".into());
    }
    let two = |offset| number::<2>(directory, at + offset).ok_or_else(cut);
    let four = |offset| number::<4>(directory, at + offset).ok_or_else(cut);
    let (made_by, flags, method, time, date) = (two(4)?, two(8)?, two(10)?, two(12)?, two(14)?);
    let (crc, packed, size, header) = (four(16)?, four(20)?, four(24)?, four(42)?);
    let (name, extra, comment) = (place(two(28)?), place(two(30)?), place(two(32)?));
    let names = at + 46;
    let next = names + name + extra + comment;
    let name_bytes = directory.get(names..names + name).ok_or_else(cut)?;
    let extras = directory
        .get(names + name..names + name + extra)
        .ok_or_else(cut)?;
    directory.get(..next).ok_or_else(cut)?;
    let [size, packed, header] =
        large_numbers([size, packed, header], extras).ok_or("a member without its size")?;
    let name = std::str::from_utf8(name_bytes)
        .map_err(|_| format!("the name {} is no UTF-8", name_bytes.escape_ascii()))?
        .to_owned();
    let stored = method == 0;
    if flags & 1 != 0 {
        return Err(format!("{name} is encrypted"));
    }
    if !stored && method != 8 {
        return Err(format!(
            "{name} is packed by method {method}; only stored and deflated are read"
        ));
    }
    if (stored && packed != size) || size > packed.saturating_mul(LARGEST_RATIO) {
        return Err(format!(
            "{name}: {packed} bytes cannot be {size} when unpacked"
        ));
    }
    // Twice the name and once the data: the directory and the file's own header must tell the same.
    let lost = || format!("{name}: no file header at offset {header}");
    let header = place(header);
    let own = header.checked_add(30).ok_or_else(lost)?;
    if !bytes
        .get(header..own)
        .is_some_and(|own| own.starts_with(b"PK\x03\x04"))
    {
        return Err(lost());
    }
    let lengths = [26, 28].map(|offset| place(number::<2>(bytes, header + offset).unwrap_or(0)));
    let begin = own + lengths[0] + lengths[1];
    if bytes.get(own..own + lengths[0]) != Some(name_bytes) {
        return Err(format!("{name}: its file header has another name"));
    }
    let end = begin
        .checked_add(place(packed))
        .filter(|&end| end <= limit)
        .ok_or_else(|| format!("{name}: its {packed} bytes reach past the directory"))?;
    let packing = format!(
        "{}, {}-{:02}-{:02} {:02}:{:02}:{:02}, system {}",
        if stored { "stored" } else { "deflated" },
        1980 + (date >> 9),
        date >> 5 & 15,
        date & 31,
        time >> 11,
        time >> 5 & 63,
        (time & 31) * 2,
        made_by >> 8,
    );
    let member = Member {
        name,
        stored,
        data: begin..end,
        size,
        crc: u32::try_from(crc).unwrap_or(0),
        packing,
    };
    Ok((member, next))
}

/// Numbers too large for their field stand in an extra field, in this order.
fn large_numbers(numbers: [u64; 3], mut extras: &[u8]) -> Option<[u64; 3]> {
    if !numbers.contains(&u64::from(u32::MAX)) {
        return Some(numbers);
    }
    loop {
        let length = place(number::<2>(extras, 2)?);
        let field = extras.get(4..4 + length)?;
        if number::<2>(extras, 0)? == 1 {
            let mut at = 0;
            let mut result = numbers;
            for number in &mut result {
                if *number == u64::from(u32::MAX) {
                    *number = self::number::<8>(field, at)?;
                    at += 8;
                }
            }
            return Some(result);
        }
        extras = &extras[4 + length..];
    }
}

/// Whether a stored member's bytes are those that were written.
pub fn check(bytes: &[u8], member: &Member) -> Result<(), String> {
    checked(member, bytes.get(member.data.clone()).unwrap_or_default())
}

fn checked(member: &Member, bytes: &[u8]) -> Result<(), String> {
    let mut crc = Crc::new();
    crc.update(bytes);
    if bytes.len() as u64 != member.size {
        return Err(format!("{} bytes instead of {}", bytes.len(), member.size));
    }
    if crc.sum() != member.crc {
        return Err("its checksum is not that of its bytes".into());
    }
    Ok(())
}

/// The first `most` bytes of a member, or all of it, and then checked.
pub fn unpack(bytes: &[u8], member: &Member, most: usize) -> Result<Vec<u8>, String> {
    let packed = bytes.get(member.data.clone()).unwrap_or_default();
    let mut unpacked = Vec::new();
    let limit = (most as u64).min(member.size.saturating_add(1));
    let reading = if member.stored {
        packed.take(limit).read_to_end(&mut unpacked)
    } else {
        DeflateDecoder::new(packed)
            .take(limit)
            .read_to_end(&mut unpacked)
    };
    reading.map_err(|e| format!("it cannot be unpacked: {e}"))?;
    if (most as u64) > member.size {
        checked(member, &unpacked)?;
    }
    Ok(unpacked)
}
