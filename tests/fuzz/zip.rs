//! Zip archives taken apart and put together again with the right checksums, sizes and offsets, so that changes inside of
//! them get past the checks of the archive.

use std::io::{Read, Write};

use flate2::{Compression, Crc, read::DeflateDecoder, write::DeflateEncoder};

use super::bytes::{Rng, below, chance, changed, pick};

#[derive(Clone)]
pub struct Member {
    pub name: Vec<u8>,
    pub data: Vec<u8>,
    pub deflated: bool,
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}

/// The members of a small archive; `None` where it is none, or not a plain one.
pub fn unpack(bytes: &[u8]) -> Option<Vec<Member>> {
    let end = bytes.windows(4).rposition(|four| four == b"PK\x05\x06")?;
    let mut at = number(bytes, end + 16, 4)?;
    let mut members = Vec::new();
    while bytes.get(at..)?.starts_with(b"PK\x01\x02") {
        let [name, extra, comment] = [28, 30, 32].map(|field| number(bytes, at + field, 2));
        let (name, next) = (name?, at + 46 + name? + extra? + comment?);
        let header = number(bytes, at + 42, 4)?;
        let start = header + 30 + number(bytes, header + 26, 2)? + number(bytes, header + 28, 2)?;
        let packed = bytes.get(start..start.checked_add(number(bytes, at + 20, 4)?)?)?;
        let deflated = number(bytes, at + 10, 2)? == 8;
        let mut data = Vec::new();
        if deflated {
            let most = super::bytes::LONGEST as u64;
            DeflateDecoder::new(packed)
                .take(most)
                .read_to_end(&mut data)
                .ok()?;
        } else {
            data.extend_from_slice(packed);
        }
        members.push(Member {
            name: bytes.get(at + 46..at + 46 + name)?.to_vec(),
            data,
            deflated,
        });
        at = next;
    }
    Some(members)
}

fn le(number: usize, width: usize) -> Vec<u8> {
    (number as u64).to_le_bytes()[..width].to_vec()
}

/// An archive of these members.
pub fn pack(members: &[Member]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let mut crc = Crc::new();
        crc.update(&member.data);
        let packed = if member.deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&member.data).unwrap();
            encoder.finish().unwrap()
        } else {
            member.data.clone()
        };
        let about = [
            &[
                20,
                0,
                0,
                0,
                if member.deflated { 8 } else { 0 },
                0,
                0,
                0,
                0,
                0,
            ][..],
            &crc.sum().to_le_bytes(),
            &le(packed.len(), 4),
            &le(member.data.len(), 4),
            &le(member.name.len(), 2),
            &[0, 0],
        ]
        .concat();
        let header = le(archive.len(), 4);
        archive.extend([b"PK\x03\x04", &about[..], &member.name, &packed].concat());
        let row = [
            b"PK\x01\x02\x14\x00",
            &about[..],
            &[0; 10],
            &header,
            &member.name,
        ];
        directory.extend(row.concat());
    }
    let end = [
        b"PK\x05\x06\0\0\0\0",
        &le(members.len(), 2)[..],
        &le(members.len(), 2),
        &le(directory.len(), 4),
        &le(archive.len(), 4),
        &[0, 0],
    ];
    [archive, directory.clone(), end.concat()].concat()
}

/// Changes one member, or which there are. `inside` changes the content of a member that is no plain data.
pub fn change(
    rng: &mut Rng,
    bytes: &[u8],
    other: &[u8],
    words: &[&[u8]],
    inside: impl Fn(&mut Rng, &Member, &[Member]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut members = unpack(bytes)?;
    let others = unpack(other).unwrap_or_default();
    let at = below(rng, members.len());
    if members.is_empty() {
        return None;
    }
    match rng.below(12) {
        0 => drop(members.remove(at)),
        1 => members.push(members[at].clone()),
        2 => members[at].deflated ^= true,
        3 => members[at].name = changed(rng, &members[at].name, b"/..\\\0\x1b[2J", words),
        4 => members[at].data = changed(rng, &members[at].data, other, words),
        5 if !others.is_empty() => {
            members[at] = Member {
                name: members[at].name.clone(),
                ..others[below(rng, others.len())].clone()
            }
        }
        6 if !others.is_empty() => members.push(others[below(rng, others.len())].clone()),
        7 => {
            let name = pick(rng, words).to_vec();
            members[at].name = name;
        }
        _ => {
            let worth: Vec<usize> = (0..members.len())
                .filter(|&at| inside(&mut rng.clone(), &members[at], &others).is_some())
                .collect();
            let at = worth.get(below(rng, worth.len())).copied()?;
            members[at].data = inside(rng, &members[at], &others)?;
        }
    }
    if chance(rng, 10) {
        members.reverse();
    }
    Some(pack(&members))
}
