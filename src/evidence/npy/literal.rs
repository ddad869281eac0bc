//! The part of Python's literals that npy headers are written in. Nothing is ever run.

use std::fmt;

/// How deep lists, tuples and dicts may stand in each other.
const DEEPEST: usize = 32;

/// A literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Whole(u64),
    Flag(bool),
    Nothing,
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
}

impl Value {
    /// The value of a dict's key, where the key stands in it exactly once.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Dict(entries) = self else {
            return None;
        };
        let mut found = entries
            .iter()
            .filter(|(own, _)| matches!(own, Self::Text(text) if text == key));
        found
            .next()
            .filter(|_| found.next().is_none())
            .map(|(_, value)| value)
    }
}

/// As Python would write it, near enough for people.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: &[Self]| {
            for (index, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
            }
            Ok(())
        };
        match self {
            Self::Text(text) => write!(f, "'{}'", text.escape_debug()),
            Self::Whole(number) => number.fmt(f),
            Self::Flag(flag) => f.write_str(if *flag { "True" } else { "False" }),
            Self::Nothing => f.write_str("None"),
            Self::Tuple(values) => {
                f.write_str("(")?;
                list(f, values)?;
                f.write_str(if values.len() == 1 { ",)" } else { ")" })
            }
            Self::List(values) => {
                f.write_str("[")?;
                list(f, values)?;
                f.write_str("]")
            }
            Self::Dict(entries) => {
                for (key, value) in entries {
                    write!(f, "{{{key}: {value}}}")?;
                }
                Ok(())
            }
        }
    }
}

/// What is wrong, with its offset in the text.
pub type Parsed<T> = std::result::Result<T, (usize, String)>;

/// Reads the literal that is all of `text`.
pub fn parse(text: &str) -> Parsed<Value> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let value = parser.value()?;
    parser.space();
    if parser.at == text.len() {
        Ok(value)
    } else {
        parser.wrong("something after the end of the literal")
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn wrong<T>(&self, what: &str) -> Parsed<T> {
        Err((self.at, what.to_owned()))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Whether `word` stood here; if so it has been read.
    fn took(&mut self, word: &str) -> bool {
        let here = self.text[self.at..].starts_with(word);
        self.at += if here { word.len() } else { 0 };
        here
    }

    fn value(&mut self) -> Parsed<Value> {
        self.space();
        match self.peek() {
            Some(b'{') => self.nested(Self::dict),
            Some(b'[') => {
                self.nested(|parser| parser.list(b']').map(|(list, _)| Value::List(list)))
            }
            Some(b'(') => self.nested(|parser| {
                let (mut values, comma) = parser.list(b')')?;
                if values.len() == 1 && !comma {
                    return Ok(values.remove(0));
                }
                Ok(Value::Tuple(values))
            }),
            Some(b'\'' | b'"') => self.text(),
            Some(byte) if byte.is_ascii_digit() => self.whole(),
            _ if self.took("True") => Ok(Value::Flag(true)),
            _ if self.took("False") => Ok(Value::Flag(false)),
            _ if self.took("None") => Ok(Value::Nothing),
            // Prefixes that Python 2 wrote.
            _ if self.took("u'") || self.took("b'") || self.took("u\"") || self.took("b\"") => {
                self.at -= 1;
                self.text()
            }
            _ => self.wrong("no string, whole number, tuple, list or dict"),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == DEEPEST {
            return self.wrong("nested too deeply");
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Values up to `end`, and whether a comma stood after the last one.
    fn list(&mut self, end: u8) -> Parsed<(Vec<Value>, bool)> {
        let mut values = Vec::new();
        let mut comma = true;
        loop {
            self.space();
            if self.peek() == Some(end) {
                self.at += 1;
                return Ok((values, comma));
            }
            if !comma {
                return self.wrong("no comma between two values");
            }
            values.push(self.value()?);
            self.space();
            comma = self.took(",");
        }
    }

    fn dict(&mut self) -> Parsed<Value> {
        let mut entries = Vec::new();
        let mut comma = true;
        loop {
            self.space();
            if self.took("}") {
                return Ok(Value::Dict(entries));
            }
            if !comma {
                return self.wrong("no comma between two entries");
            }
            let key = self.value()?;
            self.space();
            if !self.took(":") {
                return self.wrong("no colon after a key");
            }
            entries.push((key, self.value()?));
            self.space();
            comma = self.took(",");
        }
    }

    fn whole(&mut self) -> Parsed<Value> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let Ok(number) = self.text[start..self.at].parse() else {
            return self.wrong("a number larger than any size");
        };
        // Python 2 wrote long integers so.
        self.took("L");
        Ok(Value::Whole(number))
    }

    fn text(&mut self) -> Parsed<Value> {
        let quote = self.peek();
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(character) = self.text[self.at..].chars().next() else {
                return self.wrong("a string without an end");
            };
            self.at += character.len_utf8();
            match character {
                '\\' => text.push(self.escape()?),
                '\n' => return self.wrong("a string without an end"),
                _ if quote == u8::try_from(character).ok() => return Ok(Value::Text(text)),
                _ => text.push(character),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let sign = self.peek();
        // A non-ASCII character would be left half read.
        self.at += usize::from(sign.is_some_and(|byte| byte.is_ascii()));
        let digits = match sign {
            Some(byte @ (b'\\' | b'\'' | b'"')) => return Ok(byte.into()),
            Some(b'n') => return Ok('\n'),
            Some(b'r') => return Ok('\r'),
            Some(b't') => return Ok('\t'),
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => return self.wrong("an escape that means nothing"),
        };
        let code = self.text.get(self.at..self.at + digits);
        let character = code
            .filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .and_then(char::from_u32);
        let Some(character) = character else {
            return self.wrong("an escape that is no character");
        };
        self.at += digits;
        Ok(character)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes_is_read_and_written_back() {
        for text in [
            "[('a', '<f4'), ('b', '<i2', (3, 2))]",
            "(1,)",
            "()",
            "'it\\'s \\\\'",
            "((7), 8)",
            "[True, None]",
        ] {
            let back = parse(text).unwrap().to_string();
            assert_eq!(back, text.replace("(7)", "7"));
        }
        let header =
            parse(" {'descr': u'\\x41\\u00e9', \"shape\": (10L, ), 'x': False,} \n").unwrap();
        assert_eq!(header.get("descr"), Some(&Value::Text("Aé".into())));
        assert_eq!(
            header.get("shape"),
            Some(&Value::Tuple(vec![Value::Whole(10)]))
        );
        assert_eq!(parse("{'a': 1, 'a': 2}").unwrap().get("a"), None);
    }

    #[test]
    fn what_is_no_such_literal_is_refused() {
        let deep = "(".repeat(100_000);
        for text in [
            "",
            "(",
            "[1 2]",
            "{'a' 1}",
            "{'a': 1",
            "1 2",
            "-1",
            "1.5",
            "__import__('os')",
            "'a",
            "'\\q'",
            "'\\xé'",
            "'\\é'",
            "'\\ud800'",
            "'\\u00",
            "99999999999999999999",
            "é",
            &deep,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
