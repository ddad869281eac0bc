//! Numbers and texts out of a stream's bytes. Every step may meet the end; none goes past it.

/// What is wrong at a place, or what was there.
pub(super) type Parsed<T> = std::result::Result<T, &'static str>;

/// A place in a file, and the end that must not be passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// From `at` to the end of `bytes`; both count from the file's beginning.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        let at = at.min(bytes.len());
        Self { bytes, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        if count > self.left() {
            return Err("it ends in the middle of a record");
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    pub(super) fn byte(&mut self) -> Parsed<u8> {
        self.take(1).map(|taken| taken[0])
    }

    pub(super) fn short(&mut self) -> Parsed<u16> {
        let taken = self.take(2)?;
        Ok(u16::from_le_bytes([taken[0], taken[1]]))
    }

    pub(super) fn word(&mut self) -> Parsed<u64> {
        let taken = self.take(8)?;
        Ok(u64::from_le_bytes(taken.try_into().unwrap_or_default()))
    }

    /// Unsigned LEB128.
    pub(super) fn number(&mut self) -> Parsed<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number does not fit into 64 bits")
    }

    /// Zigzag LEB128.
    pub(super) fn signed(&mut self) -> Parsed<i64> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number that counts from 1, where 0 stands for none.
    pub(super) fn optional(&mut self) -> Parsed<Option<u64>> {
        Ok(self.number()?.checked_sub(1))
    }

    /// A number that lies in memory, or counts what does.
    pub(super) fn length(&mut self) -> Parsed<usize> {
        usize::try_from(self.number()?).map_err(|_| "a number does not fit into memory")
    }
}

/// One number out of two, which depends on both and on their order: the finaliser of splitmix64 in a chain. It guards
/// against accidents, not against somebody who wants two streams to look alike.
pub(super) fn chain(so_far: u64, next: u64) -> u64 {
    let mut z = (so_far ^ next).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).rotate_left(17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_to_their_edges_and_not_beyond() {
        let read = |bytes: &[u8]| Cursor::new(bytes, 0).number();
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[0x80, 1]), Ok(128));
        let most = [[0xFF; 9].as_slice(), &[1]].concat();
        assert_eq!(read(&most), Ok(u64::MAX));
        let more = [[0xFF; 9].as_slice(), &[2]].concat();
        assert!(read(&more).is_err() && read(&[0x80; 11]).is_err() && read(&[0x80]).is_err());
        let signed = |bytes: &[u8]| Cursor::new(bytes, 0).signed();
        assert_eq!(
            [signed(&[0]), signed(&[1]), signed(&[2]), signed(&[3])],
            [Ok(0), Ok(-1), Ok(1), Ok(-2)]
        );
        assert_eq!(signed(&most), Ok(i64::MIN));
    }

    #[test]
    fn a_chain_depends_on_order() {
        let of = |numbers: &[u64]| numbers.iter().fold(0, |hash, &next| chain(hash, next));
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1, 1]), of(&[1]));
        assert_ne!(of(&[0, 0]), of(&[0]));
    }
}
