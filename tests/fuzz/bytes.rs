//! Changes to bytes that know nothing of what the bytes mean.

pub use samebits::seed::Stream as Rng;

/// Inputs grow no further: what goes wrong with a large file goes wrong with a small one, only slower.
pub const LONGEST: usize = 256 << 10;

/// Numbers at the edges of what fields and arithmetic hold.
pub const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    8,
    63,
    64,
    65,
    127,
    128,
    255,
    256,
    1000,
    0x7FFF,
    0xFFFF,
    0x1_0000,
    1 << 20,
    1 << 28,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
    1 << 32,
    1 << 40,
    (1 << 61) - 1,
    1 << 61,
    1 << 62,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// A number in `0..bound`; 0 where there is none.
pub fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound.max(1) as u64)).unwrap()
}

pub fn chance(rng: &mut Rng, percent: u64) -> bool {
    rng.below(100) < percent
}

/// A number below `usual`; in so many cases of a hundred, below `rare`.
pub fn mostly(rng: &mut Rng, usual: usize, percent: u64, rare: usize) -> usize {
    let bound = if chance(rng, percent) { rare } else { usual };
    below(rng, bound)
}

pub fn pick<'a, T: ?Sized>(rng: &mut Rng, from: &[&'a T]) -> &'a T {
    from[below(rng, from.len())]
}

/// A number that is likely to be trouble, or near one that was there.
pub fn number(rng: &mut Rng, was: u64) -> u64 {
    match rng.below(6) {
        0 => was.wrapping_add(1),
        1 => was.wrapping_sub(1),
        2 => rng.below(300),
        3 => rng.bits(),
        _ => NUMBERS[below(rng, NUMBERS.len())],
    }
}

/// A random part, of up to `most` bytes.
fn part(rng: &mut Rng, length: usize, most: usize) -> std::ops::Range<usize> {
    let from = below(rng, length + 1);
    let long = below(rng, most.min(length - from) + 1);
    from..from + long
}

/// Writes a number of one, two, four or eight bytes over what is there.
fn overwrite_number(rng: &mut Rng, bytes: &mut [u8]) {
    let width = 1 << rng.below(4);
    let Some(last) = bytes.len().checked_sub(width) else {
        return;
    };
    let at = below(rng, last + 1);
    let mut was = [0; 8];
    was[..width].copy_from_slice(&bytes[at..at + width]);
    let large = chance(rng, 20);
    let new = number(rng, u64::from_le_bytes(was)).to_le_bytes();
    bytes[at..at + width].copy_from_slice(&new[..width]);
    if large {
        bytes[at..at + width].reverse();
    }
}

/// Puts another number in the place of decimal digits.
fn replace_digits(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let from = below(rng, bytes.len());
    let Some(start) = bytes[from..]
        .iter()
        .position(u8::is_ascii_digit)
        .map(|at| at + from)
    else {
        return;
    };
    let long = bytes[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let was = std::str::from_utf8(&bytes[start..start + long]).unwrap();
    let new = match rng.below(8) {
        0 => "-1".to_owned(),
        1 => "1e400".to_owned(),
        2 => "0.1".to_owned(),
        3 => "9".repeat(40),
        _ => number(rng, was.parse().unwrap_or(7)).to_string(),
    };
    bytes.splice(start..start + long, new.into_bytes());
}

/// One change. `other` is another file of the kind, `words` are what its readers look for.
pub fn change(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8], words: &[&[u8]]) {
    let length = bytes.len();
    match rng.below(14) {
        0 | 1 if length > 0 => {
            let at = below(rng, length);
            bytes[at] ^= 1 << rng.below(8);
        }
        2 if length > 0 => {
            let at = below(rng, length);
            let own = u8::try_from(rng.below(256)).unwrap();
            bytes[at] = [0, 255, 127, 128, b'\n', 0x1B, b'"', own][below(rng, 8)];
        }
        3 => bytes.truncate(below(rng, length + 1)),
        4 => {
            let tail = &other[below(rng, other.len() + 1)..];
            bytes.truncate(below(rng, length + 1));
            bytes.extend_from_slice(tail);
        }
        5 | 6 => overwrite_number(rng, bytes),
        7 => {
            let part = part(rng, length, 64);
            let times = mostly(rng, 8, 10, 4096);
            let times = times.min(LONGEST / part.len().max(1));
            let again = bytes[part.clone()].repeat(times);
            bytes.splice(part.end..part.end, again);
        }
        8 | 9 if !words.is_empty() => {
            let word = pick(rng, words);
            let at = below(rng, length + 1);
            let over = if chance(rng, 50) { word.len() } else { 0 };
            bytes.splice(at..(at + over).min(length), word.iter().copied());
        }
        10 => {
            let part = part(rng, length, 64);
            bytes.drain(part);
        }
        11 => {
            let taken = bytes[part(rng, length, 64)].to_vec();
            let at = below(rng, length + 1);
            bytes.splice(at..at, taken);
        }
        12 => {
            let taken = other[part(rng, other.len(), 256)].to_vec();
            let at = below(rng, length + 1);
            bytes.splice(at..at, taken);
        }
        _ if length > 0 => replace_digits(rng, bytes),
        _ => bytes.push(u8::try_from(rng.below(256)).unwrap()),
    }
    bytes.truncate(LONGEST);
}

/// A few changes.
pub fn changed(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=mostly(rng, 2, 20, 8) {
        change(rng, &mut bytes, other, words);
    }
    bytes
}
