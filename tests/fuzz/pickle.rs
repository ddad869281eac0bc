//! Pickles, opcode by opcode.

use super::bytes::{LONGEST, Rng, below, changed, mostly, number, pick};

/// Opcodes with arguments, as they may stand anywhere.
const OPCODES: &[&[u8]] = &[
    b"(",
    b"0",
    b"1",
    b"2",
    b"N",
    b"\x88",
    b"\x89",
    b")",
    b"t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"]",
    b"l",
    b"}",
    b"d",
    b"a",
    b"e",
    b"s",
    b"u",
    b"b",
    b"R",
    b"o",
    b"Q",
    b"\x81",
    b"\x8f",
    b"\x90",
    b"\x91",
    b"\x92",
    b"\x93",
    b"\x94",
    b"\x97",
    b"\x98",
    b"K\x01",
    b"K\x00",
    b"M\xff\xff",
    b"J\xff\xff\xff\xff",
    b"h\x00",
    b"h\x01",
    b"q\x00",
    b"q\x01",
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\x8a\x00",
    b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"U\x01a",
    b"C\x02\x00\x1b",
    b"\x8c\x03a.b",
    b"X\x01\x00\x00\x00a",
    b"X\x05\x00\x00\x00\x1b[2Ja",
    b"X\x00\x00\x00\x00",
    b"X\x03\x00\x00\x00\xed\xa0\x80",
    b"I01\n",
    b"I-5\n",
    b"L123456789012345678901234567890L\n",
    b"F1e999\n",
    b"Va\\u0041\\ud800\n",
    b"S'a\\x1b'\n",
    b"P1\n",
    b"p0\n",
    b"g0\n",
    b"\x82\x01",
    b"\x95\x00\x00\x00\x00\x00\x00\x00\x00",
    b"ccollections\nOrderedDict\n",
    b"ccollections\ndefaultdict\n",
    b"ccollections\ndeque\n",
    b"ccollections\nCounter\n",
    b"cbuiltins\nset\n",
    b"cbuiltins\nbytearray\n",
    b"cbuiltins\ncomplex\n",
    b"c_codecs\nencode\n",
    b"ctorch\nSize\n",
    b"ctorch\nFloatStorage\n",
    b"ctorch\nUntypedStorage\n",
    b"ctorch\nfloat32\n",
    b"ctorch\nbfloat16\n",
    b"ctorch\ncomplex128\n",
    b"ctorch\nno_such_type\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_tensor_v3\n",
    b"ctorch._utils\n_rebuild_qtensor\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch._utils\n_rebuild_sparse_tensor\n",
    b"ctorch.serialization\n_get_layout\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"cos\nsystem\n",
    b"c\x1b\n\x1b\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
    b"ccopyreg\n_reconstructor\n",
    b"ios\nsystem\n",
    b"X\x07\x00\x00\x00storage",
    b"X\x09\x00\x00\x00_metadata",
    b"X\x01\x00\x00\x000",
    b".",
];

/// The length of the opcode that this pickle begins with, arguments and all.
fn opcode(code: &[u8]) -> Option<usize> {
    let line = |from: usize| {
        let end = code.get(from..)?.iter().position(|&byte| byte == b'\n')?;
        Some(from + end + 1)
    };
    let announced = |width: usize| {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(code.get(1..=width)?);
        usize::try_from(u64::from_le_bytes(wide))
            .ok()?
            .checked_add(1 + width)
    };
    let length = match code.first()? {
        b'K' | b'h' | b'q' | 0x80 | 0x82 => 2,
        b'M' | 0x83 => 3,
        b'J' | b'r' | b'j' | 0x84 => 5,
        b'G' | 0x95 => 9,
        0x8a | b'U' | b'C' | 0x8c => announced(1)?,
        0x8b | b'T' | b'B' | b'X' => announced(4)?,
        0x8d | 0x8e | 0x96 => announced(8)?,
        b'I' | b'L' | b'F' | b'V' | b'S' | b'P' | b'p' | b'g' => line(1)?,
        b'c' | b'i' => line(line(1)?)?,
        _ => 1,
    };
    (length <= code.len()).then_some(length)
}

/// The opcodes of a pickle, up to where it makes no sense.
pub fn split(mut code: &[u8]) -> Vec<Vec<u8>> {
    let mut opcodes = Vec::new();
    while let Some(length) = opcode(code) {
        opcodes.push(code[..length].to_vec());
        code = &code[length..];
    }
    opcodes
}

/// Another argument, as long as it says it is.
fn argument(rng: &mut Rng, opcode: &mut Vec<u8>) {
    // A change before this one may have left nothing of it.
    if opcode.is_empty() {
        return;
    }
    let width = match opcode[0] {
        0x8a | b'U' | b'C' | 0x8c => 1,
        0x8b | b'T' | b'B' | b'X' => 4,
        0x8d | 0x8e | 0x96 => 8,
        b'K' | b'M' | b'J' => {
            let raw = number(rng, 5).to_le_bytes();
            *opcode = [&[0x8a, 8], &raw[..]].concat();
            return;
        }
        _ => return super::bytes::change(rng, opcode, b"\n0\n", &[b"\n"]),
    };
    let mut body = changed(
        rng,
        opcode.get(1 + width..).unwrap_or_default(),
        b"\x1b[0m.#/",
        &[b"weight", b".", b"\x1b", b"\xff"],
    );
    if width == 1 {
        body.truncate(255);
    }
    opcode.truncate(1);
    opcode.extend_from_slice(&(body.len() as u64).to_le_bytes()[..width]);
    opcode.extend(body);
}

/// A pickle with a few opcodes changed; `other` is another one to take from.
pub fn change(rng: &mut Rng, code: &[u8], other: &[u8]) -> Vec<u8> {
    let mut opcodes = split(code);
    let others = split(other);
    for _ in 0..=mostly(rng, 1, 30, 6) {
        let at = below(rng, opcodes.len() + 1);
        let end = (at + 1 + below(rng, 12)).min(opcodes.len());
        match rng.below(9) {
            0 => drop(opcodes.drain(at..end)),
            1 | 2 => opcodes.insert(at, pick(rng, OPCODES).to_vec()),
            3 if end > at => opcodes[at] = pick(rng, OPCODES).to_vec(),
            4 | 5 if end > at => argument(rng, &mut opcodes[at]),
            6 if end > at => {
                let times = mostly(rng, 6, 15, 3000);
                let again = opcodes[at..end].to_vec();
                let times = times.min(LONGEST / again.concat().len().max(1));
                opcodes.splice(at..at, (0..times).flat_map(|_| again.clone()));
            }
            7 if !others.is_empty() => {
                let from = below(rng, others.len());
                let to = (from + 1 + below(rng, 24)).min(others.len());
                opcodes.splice(at..at, others[from..to].to_vec());
            }
            _ if end > at => {
                let moved: Vec<Vec<u8>> = opcodes.drain(at..end).collect();
                let to = below(rng, opcodes.len() + 1);
                opcodes.splice(to..to, moved);
            }
            _ => {}
        }
    }
    let mut code = opcodes.concat();
    code.truncate(LONGEST);
    code
}
