//! [`Dtype`]: the element types of libtorch, with torch's names, codes and sizes. No arithmetic on elements.

use serde::{Deserialize, Serialize};

/// One row of the table below.
struct Row {
    dtype: Dtype,
    /// torch's name, as `str(tensor.dtype)` without the `torch.`.
    name: &'static str,
    /// `c10::ScalarType`.
    code: i32,
    /// Bytes of one element.
    size: usize,
    kind: Kind,
}

/// What the bits of an element mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A truth value in one byte.
    Bool,
    /// An unsigned integer.
    Unsigned,
    /// A two's complement integer.
    Signed,
    /// A floating-point number.
    Float,
    /// Two floating-point numbers, real part first.
    Complex,
}

macro_rules! dtypes {
    ($($variant:ident $name:literal $code:literal $size:literal $kind:ident,)*) => {
        /// The type of a tensor's elements. Quantised types are their integer representation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Dtype {
            $(#[doc = concat!("torch's `", $name, "`.")] #[serde(rename = $name)] $variant,)*
        }
        const TABLE: &[Row] = &[
            $(Row { dtype: Dtype::$variant, name: $name, code: $code, size: $size, kind: Kind::$kind },)*
        ];
    };
}

// In the order of the enum; codes from c10/core/ScalarType.h of 2.11.
dtypes! {
    Uint8 "uint8" 0 1 Unsigned,
    Int8 "int8" 1 1 Signed,
    Int16 "int16" 2 2 Signed,
    Int32 "int32" 3 4 Signed,
    Int64 "int64" 4 8 Signed,
    Float16 "float16" 5 2 Float,
    Float32 "float32" 6 4 Float,
    Float64 "float64" 7 8 Float,
    Complex32 "complex32" 8 4 Complex,
    Complex64 "complex64" 9 8 Complex,
    Complex128 "complex128" 10 16 Complex,
    Bool "bool" 11 1 Bool,
    Qint8 "qint8" 12 1 Signed,
    Quint8 "quint8" 13 1 Unsigned,
    Qint32 "qint32" 14 4 Signed,
    Bfloat16 "bfloat16" 15 2 Float,
    Float8E5m2 "float8_e5m2" 23 1 Float,
    Float8E4m3fn "float8_e4m3fn" 24 1 Float,
    Float8E5m2fnuz "float8_e5m2fnuz" 25 1 Float,
    Float8E4m3fnuz "float8_e4m3fnuz" 26 1 Float,
    Uint16 "uint16" 27 2 Unsigned,
    Uint32 "uint32" 28 4 Unsigned,
    Uint64 "uint64" 29 8 Unsigned,
    Float8E8m0fnu "float8_e8m0fnu" 44 1 Float,
}

impl Dtype {
    /// Every element type, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.dtype)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// torch's name, for example `bfloat16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        self.row().size
    }

    /// What the bits mean.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// libtorch's `ScalarType` number.
    #[must_use]
    pub fn code(self) -> i32 {
        self.row().code
    }

    /// The type with this `ScalarType` number, if samebits knows it.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.code == code)
            .map(|row| row.dtype)
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Dtype {
    type Err = String;

    /// Accepts torch's names, with or without `torch.`, and torch's short names (`float`, `double`, `half`, `long`).
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("torch.").unwrap_or(text);
        let name = match name {
            "float" => "float32",
            "double" => "float64",
            "half" => "float16",
            "long" => "int64",
            "int" => "int32",
            other => other,
        };
        TABLE
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.dtype)
            .ok_or_else(|| {
                format!(
                    "unknown dtype {text}; one of: {}",
                    TABLE.iter().map(|r| r.name).collect::<Vec<_>>().join(", ")
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_enum() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.dtype as usize, index);
            assert_eq!(row.name.parse::<Dtype>().unwrap(), row.dtype);
            assert_eq!(Dtype::from_code(row.code), Some(row.dtype));
            assert_eq!(
                serde_json::to_string(&row.dtype).unwrap(),
                format!("\"{}\"", row.name)
            );
        }
    }
}
