//! The fields of a protobuf message, one after the other. What they mean is the reader's business.

/// A field's value.
#[derive(Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Number(u64),
    Eight(u64),
    Four(u32),
    /// Text, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// Number and value of each field; ends after the first error.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u64, Field<'_>), String>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest).ok_or_else(|| "an event is no protobuf message".to_owned());
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Field::Number(varint(rest)?),
        1 => Field::Eight(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = varint(rest)?;
            Field::Bytes(take(rest, usize::try_from(length).ok()?)?)
        }
        5 => Field::Four(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?)),
        _ => return None,
    };
    (key >> 3 != 0).then_some((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        let bits = u64::from(byte & 127);
        number |= bits << shift;
        if byte < 128 {
            // The tenth byte has one bit left to give.
            return (bits << shift >> shift == bits).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_field_is_read_and_each_cut_is_seen() {
        let message = b"\x08\x96\x01\x11\x01\x02\x03\x04\x05\x06\x07\x08\x1A\x02hi\x25\x01\0\0\0";
        let read: Vec<_> = fields(message).map(Result::unwrap).collect();
        assert_eq!(
            read,
            [
                (1, Field::Number(150)),
                (2, Field::Eight(0x0807_0605_0403_0201)),
                (3, Field::Bytes(b"hi")),
                (4, Field::Four(1)),
            ]
        );
        let whole = [0, 3, 12, 16];
        for cut in (1..message.len()).filter(|cut| !whole.contains(cut)) {
            assert!(
                fields(&message[..cut]).any(|field| field.is_err()),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn numbers_of_more_than_64_bits_and_groups_are_refused() {
        let mut largest = vec![0x08];
        largest.extend([0xFF; 9]);
        largest.push(1);
        assert_eq!(
            fields(&largest).next(),
            Some(Ok((1, Field::Number(u64::MAX))))
        );
        *largest.last_mut().unwrap() = 2;
        assert!(fields(&largest).next().unwrap().is_err());
        for bad in [
            &b"\x0B"[..],
            b"\x0C",
            b"\x0E",
            b"\x0F",
            b"\x00\x01",
            b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
        ] {
            assert!(fields(bad).next().unwrap().is_err(), "{bad:?}");
        }
    }
}
