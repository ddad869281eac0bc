//! The frame around each event: length, its checksum, data, its checksum.

/// A record and where the next one begins.
pub struct Record<'a> {
    pub data: &'a [u8],
    pub end: usize,
}

/// The record at `at`, checked.
pub fn next(bytes: &[u8], at: usize) -> Result<Record<'_>, String> {
    let rest = bytes.get(at..).unwrap_or_default();
    let cut = || {
        format!(
            "a record is cut off: the file ends {} bytes further on",
            rest.len()
        )
    };
    let head = rest.first_chunk::<8>().ok_or_else(cut)?;
    if number(rest, 8).ok_or_else(cut)? != masked(head) {
        return Err("the checksum of a record's length does not hold".into());
    }
    let length = usize::try_from(u64::from_le_bytes(*head)).map_err(|_| cut())?;
    let end = length.checked_add(12).ok_or_else(cut)?;
    let data = rest.get(12..end).ok_or_else(cut)?;
    if number(rest, end).ok_or_else(cut)? != masked(data) {
        return Err("the checksum of a record does not hold".into());
    }
    Ok(Record {
        data,
        end: at + end + 4,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As TensorFlow writes checksums, so that data that holds checksums does not upset them.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// Castagnoli's polynomial, lowest bit first.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    let mut byte = 0u32;
    while index < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82F6_3B78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        byte += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        crc >> 8 ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b""), 0);
    }

    fn frame(data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u64).to_le_bytes();
        let sums = [masked(&length).to_le_bytes(), masked(data).to_le_bytes()];
        [&length[..], &sums[0], data, &sums[1]].concat()
    }

    #[test]
    fn a_record_that_is_cut_off_or_altered_is_seen_wherever_it_is() {
        let whole = frame(b"event");
        assert_eq!(next(&whole, 0).unwrap().data, b"event");
        assert_eq!(next(&whole, 0).unwrap().end, whole.len());
        for at in 0..whole.len() {
            assert!(
                next(&whole[..at], 0).err().unwrap().contains("cut off"),
                "cut at {at}"
            );
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(
                next(&altered, 0).err().unwrap().contains("checksum"),
                "altered at {at}"
            );
        }
        let endless = u64::MAX.to_le_bytes();
        let lie = [&endless[..], &masked(&endless).to_le_bytes(), b"event"].concat();
        assert!(next(&lie, 0).is_err());
    }
}
