//! JSON to values, as Python writes JSON: `NaN`, `Infinity` and `-Infinity` are numbers. Keys that occur twice, which other
//! parsers quietly drop, are refused. Object keys come out in order, since theirs is no evidence.

use super::Cell;

/// How deep lists and objects may stand in each other.
const DEEPEST: usize = 128;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Cell(Cell),
    /// Not empty.
    List(Vec<Value>),
    /// Not empty, sorted by key.
    Object(Vec<(String, Value)>),
}

/// What is wrong, with its offset in the text.
pub(super) type Parsed<T> = std::result::Result<T, (usize, String)>;

/// Reads the value that is all of `text`.
pub(super) fn parse(text: &str) -> Parsed<Value> {
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
        parser.wrong("something after the end of the JSON value")
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn wrong<T>(&self, what: &str) -> Parsed<T> {
        if self.at == self.text.len() {
            return Err((self.at, format!("the JSON ends too early: {what}")));
        }
        Err((self.at, what.to_owned()))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether `word` stood here; if so it has been read.
    fn took(&mut self, word: &str) -> bool {
        let here = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if here { word.len() } else { 0 };
        here
    }

    fn value(&mut self) -> Parsed<Value> {
        self.space();
        Ok(Value::Cell(match self.peek() {
            Some(b'{') => return self.nested(Self::object),
            Some(b'[') => return self.nested(Self::list),
            Some(b'"') => Cell::Text(self.string()?.into()),
            _ if self.took("null") => Cell::Null,
            _ if self.took("true") => Cell::Flag(true),
            _ if self.took("false") => Cell::Flag(false),
            _ if self.took("NaN") => Cell::Float(f64::NAN),
            _ if self.took("Infinity") => Cell::Float(f64::INFINITY),
            _ if self.took("-Infinity") => Cell::Float(f64::NEG_INFINITY),
            _ => self.number()?,
        }))
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == DEEPEST {
            return self.wrong(&format!("nested more than {DEEPEST} deep"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Parsed<Value> {
        self.space();
        if self.took("]") {
            return Ok(Value::Cell(Cell::Empty("[]")));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            self.space();
            if self.took("]") {
                return Ok(Value::List(values));
            }
            if !self.took(",") {
                return self.wrong("no comma or ] after a value");
            }
        }
    }

    fn object(&mut self) -> Parsed<Value> {
        self.space();
        if self.took("}") {
            return Ok(Value::Cell(Cell::Empty("{}")));
        }
        let mut entries = Vec::new();
        loop {
            self.space();
            let place = self.at;
            if self.peek() != Some(b'"') {
                return self.wrong("no key in quotes");
            }
            let key = self.string()?;
            self.space();
            if !self.took(":") {
                return self.wrong("no colon after a key");
            }
            entries.push((key, place, self.value()?));
            self.space();
            if self.took("}") {
                break;
            }
            if !self.took(",") {
                return self.wrong("no comma or } after a value");
            }
        }
        entries.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err((pair[1].1, format!("the key {:?} occurs twice", pair[1].0)));
        }
        Ok(Value::Object(
            entries
                .into_iter()
                .map(|(key, _, value)| (key, value))
                .collect(),
        ))
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Parsed<Cell> {
        let start = self.at;
        self.took("-");
        if !self.took("0") && !self.digits() {
            self.at = start;
            return self.wrong("no JSON value");
        }
        let mut whole = true;
        if self.took(".") {
            whole = false;
            if !self.digits() {
                return self.wrong("no digit after the point");
            }
        }
        if self.took("e") || self.took("E") {
            whole = false;
            let _ = self.took("+") || self.took("-");
            if !self.digits() {
                return self.wrong("no digit in the exponent");
            }
        }
        let digits = &self.text[start..self.at];
        if whole {
            let number = digits.parse().map(Cell::Whole);
            return Ok(number.unwrap_or_else(|_| Cell::Large(digits.into())));
        }
        digits
            .parse()
            .map(Cell::Float)
            .map_err(|_| (start, "no number".to_owned()))
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .find(|c: char| c == '"' || c == '\\' || c < ' ')
                .unwrap_or(rest.len());
            string.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                Some(_) => return self.wrong("a control character in a string"),
                None => return self.wrong("a string without an end"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        let sign = self.text.as_bytes().get(start + 1).copied();
        let character = match sign {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(),
            _ => return self.wrong("an escape that means nothing"),
        };
        self.at += 2;
        Ok(character)
    }

    /// `\u` and four digits; twice for characters beyond the first 65536.
    fn code_point(&mut self) -> Parsed<char> {
        let start = self.at;
        let mut unit = || -> Option<u16> {
            let digits = self.text.get(self.at..self.at + 6)?.strip_prefix("\\u")?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let unit = u16::from_str_radix(digits, 16).ok().filter(|_| plain)?;
            self.at += 6;
            Some(unit)
        };
        let first = unit();
        let units = match first {
            Some(0xD800..=0xDBFF) => [first, unit()],
            _ => [first, None],
        };
        char::decode_utf16(units.into_iter().flatten())
            .next()
            .and_then(std::result::Result::ok)
            .ok_or((start, "an escape that is no character".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_grammar_is_read_and_pythons_too() {
        let cell = |text: &str| match parse(text) {
            Ok(Value::Cell(cell)) => cell,
            other => panic!("{text}: {other:?}"),
        };
        for (text, expected) in [
            (" 0 ", Cell::Whole(0)),
            ("-0", Cell::Whole(0)),
            ("-9223372036854775808", Cell::Whole(i64::MIN)),
            (
                "9223372036854775808",
                Cell::Large("9223372036854775808".into()),
            ),
            ("1.0", Cell::Float(1.0)),
            ("0.1e-2", Cell::Float(0.001)),
            ("1E+2", Cell::Float(100.0)),
            ("1e999", Cell::Float(f64::INFINITY)),
            ("-Infinity", Cell::Float(f64::NEG_INFINITY)),
            (r#""\u0041\ud83d\ude00\n\/""#, Cell::Text("A😀\n/".into())),
            ("[ ]", Cell::Empty("[]")),
            ("{ }", Cell::Empty("{}")),
            ("null", Cell::Null),
        ] {
            assert_eq!(cell(text), expected, "{text}");
        }
        assert!(matches!(cell("NaN"), Cell::Float(number) if number.is_nan()));
        assert!(matches!(cell("-0.0"), Cell::Float(number) if number.is_sign_negative()));
        let sorted = parse(r#"{"b":1,"a":[true]}"#).unwrap();
        assert_eq!(sorted, parse(r#"{"a":[true],"b":1}"#).unwrap());
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_is_wrong() {
        for (text, offset) in [
            ("", 0),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{\"a\" 1}", 5),
            ("{\"a\":1,\"b\":2,\"a\":3}", 13),
            ("01", 1),
            ("1.", 2),
            (".5", 0),
            ("+1", 0),
            ("1e", 2),
            ("- 1", 0),
            ("nan", 0),
            ("\"a", 2),
            ("\"\n\"", 1),
            ("\"\\q\"", 1),
            ("\"\\ud800\"", 1),
            ("\"\\ud800\\u0041\"", 1),
            ("\"\\u00é\"", 1),
            ("\"\\u+041\"", 1),
            ("1 x", 2),
            ("tru", 0),
        ] {
            assert_eq!(parse(text).unwrap_err().0, offset, "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(DEEPEST)).is_ok());
        assert!(parse(&nested(DEEPEST + 1)).is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        assert!(parse(&"{\"a\":".repeat(1_000_000)).is_err());
    }
}
