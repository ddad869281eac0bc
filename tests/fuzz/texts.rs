//! Changes that know a text format.

#![expect(
    clippy::unnecessary_wraps,
    reason = "their type is that of all changes"
)]

use super::bytes::{Rng, below, chance, pick};

/// JSON: a value of its grammar in the place of the whole, or of a line.
pub fn json(rng: &mut Rng, bytes: &[u8], _: &[u8], _: &[&[u8]]) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = bytes
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let at = below(rng, lines.len());
    let mut text = String::new();
    value(rng, 4, &mut text);
    if chance(rng, 50) {
        lines = vec![text.into_bytes()];
    } else {
        lines[at] = text.into_bytes();
    }
    Some(lines.join(&b'\n'))
}

fn value(rng: &mut Rng, depth: usize, text: &mut String) {
    let scalars = [
        "0",
        "-0",
        "1",
        "-1.5e-3",
        "1e400",
        "NaN",
        "-Infinity",
        "true",
        "null",
        "\"a\"",
        "\"\\u001b[0m\"",
        "\"\"",
        "9007199254740993",
        "9223372036854775808",
        "[]",
        "{}",
        "\"\\ud83d\\ude00\"",
        "01",
    ];
    if depth == 0 || chance(rng, 40) {
        text.push_str(pick(rng, &scalars));
        return;
    }
    let list = chance(rng, 50);
    text.push(if list { '[' } else { '{' });
    let alike = chance(rng, 50).then(|| pick(rng, &scalars));
    for index in 0..below(rng, 5) {
        if index > 0 {
            text.push(',');
        }
        if !list {
            let key = pick(rng, &["a", "b", "", "a.b", "\\u001b", "#", "step", "loss"]);
            text.extend(["\"", key, "\":"]);
        }
        match alike {
            Some(one) => text.push_str(one),
            None => value(rng, depth - 1, text),
        }
    }
    text.push(if list { ']' } else { '}' });
}

/// A table: a few rows of cells, mostly as many as the first has.
pub fn csv(rng: &mut Rng, _: &[u8], _: &[u8], _: &[&[u8]]) -> Option<Vec<u8>> {
    let cells = [
        "1",
        "0.5",
        "-0",
        "007",
        "nan",
        "inf",
        "",
        "a",
        "\"a,b\"",
        "\"a\"\"b\"",
        "\"\n\"",
        "9223372036854775808",
        "step",
        "loss",
        " 1 ",
        "\x1b[0m",
        "é",
        "a (2)",
        "a#rows",
        "true",
    ];
    let columns = below(rng, 5) + 1;
    let separator = pick(rng, &[",", ",", ";", "\t"]);
    let mut text = String::new();
    for _ in 0..below(rng, 8) {
        let count = if chance(rng, 95) {
            columns
        } else {
            below(rng, 6)
        };
        let row: Vec<&str> = (0..count).map(|_| pick(rng, &cells)).collect();
        text.push_str(&row.join(separator));
        text.push_str(if chance(rng, 90) { "\n" } else { "\r\n" });
    }
    Some(text.into_bytes())
}

/// A file of exceptions.
pub fn toml(rng: &mut Rng, _: &[u8], _: &[u8], _: &[&[u8]]) -> Option<Vec<u8>> {
    let mut text = String::new();
    for _ in 0..below(rng, 4) {
        text.push_str("[[override]]\n");
        for (key, values) in [
            (
                "name",
                &["'*'", "'**'", "\"\\u001b[0m\"", "'a*'", "''", "3"][..],
            ),
            ("reason", &["'noise'", "''", "' '", "\"\\u001b\""]),
            ("ignore", &["true", "false", "1"]),
            ("close", &["true", "false"]),
            ("rtol", &["0.1", "nan", "inf", "-1.0", "-0.0", "1"]),
            ("atol", &["0.1", "0.0", "1e400", "-inf"]),
            (
                "max_ulp",
                &[
                    "0",
                    "4",
                    "-1",
                    "9223372036854775807",
                    "18446744073709551615",
                ],
            ),
            ("equal_nan", &["true"]),
            (
                "expires",
                &[
                    "2099-01-01",
                    "1999-01-01",
                    "07:32:00",
                    "1979-05-27T07:32:00Z",
                    "'soon'",
                ],
            ),
        ] {
            let wanted = if ["name", "reason"].contains(&key) {
                95
            } else {
                30
            };
            if chance(rng, wanted) {
                text.extend([key, " = ", pick(rng, values), "\n"]);
            }
        }
    }
    Some(text.into_bytes())
}
