//! Items by name, as they are found: every name once, everything counted against limits.

use std::collections::BTreeMap;

use crate::dtype::Dtype;
use crate::evidence::{Content, Item};

/// Items in one archive.
const MOST_ITEMS: usize = 1 << 20;
/// What may be copied out of pickles into memory, in bytes.
const MOST_COPIED: u64 = 1 << 28;

/// What is found.
#[derive(Debug)]
pub struct Named {
    /// By name.
    pub items: BTreeMap<String, Item>,
    /// By key.
    pub container: Vec<(String, String)>,
    /// How many objects of a class nobody here knows, and where the first is.
    opaque: BTreeMap<String, (usize, String)>,
    /// How often a name was wanted again.
    again: BTreeMap<String, usize>,
    order: blake3::Hasher,
    copied: u64,
    spent: u64,
    budget: u64,
}

type Done = Result<(), String>;

impl Named {
    /// Nothing yet. `budget`: how many bytes comparing may read in all, counting shared ones wherever they are.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        Self {
            items: BTreeMap::new(),
            container: Vec::new(),
            opaque: BTreeMap::new(),
            again: BTreeMap::new(),
            order: blake3::Hasher::new(),
            copied: 0,
            spent: 0,
            budget,
        }
    }

    /// Adds an item, under another name where two values have the same (`{"a.b": …, "a": {"b": …}}`).
    ///
    /// # Errors
    /// When there are too many.
    pub fn item(
        &mut self,
        name: &str,
        dtype: Dtype,
        declared: Option<String>,
        shape: Vec<u64>,
        content: Content,
    ) -> Done {
        if self.items.len() >= MOST_ITEMS {
            return Err(format!("more than {MOST_ITEMS} values"));
        }
        let copied = match &content {
            Content::Owned(bytes) => bytes.len(),
            _ => 0,
        };
        let declared_long = declared.as_ref().map_or(0, String::len);
        self.copy(copied + name.len() + declared_long + 16 * shape.len())?;
        // A checkpoint that is one tensor has no name for it.
        let wanted = if name.is_empty() { "value" } else { name };
        let mut free = wanted.to_owned();
        while self.items.contains_key(&free) {
            let count = self.again.entry(wanted.to_owned()).or_insert(1);
            *count += 1;
            free = format!("{wanted}#{count}");
        }
        let item = Item {
            name: free.clone(),
            dtype,
            declared,
            shape,
            content,
        };
        self.items.insert(free, item);
        Ok(())
    }

    /// Adds a number or a few.
    ///
    /// # Errors
    /// When there are too many.
    pub fn owned(&mut self, name: &str, dtype: Dtype, shape: Vec<u64>, bytes: Vec<u8>) -> Done {
        self.item(name, dtype, None, shape, Content::Owned(bytes))
    }

    /// Adds words as bytes; `declared` says what they are.
    ///
    /// # Errors
    /// When there are too many.
    pub fn text(&mut self, name: &str, declared: &str, text: &str) -> Done {
        let shape = vec![text.len() as u64];
        let content = Content::Owned(text.as_bytes().to_vec());
        self.item(
            name,
            Dtype::Uint8,
            Some(declared.to_owned()),
            shape,
            content,
        )
    }

    /// Says something that is no evidence.
    ///
    /// # Errors
    /// When that is too much.
    pub fn container(&mut self, key: String, value: String) -> Done {
        self.copy(key.len() + value.len())?;
        self.container.push((key, value));
        Ok(())
    }

    /// Notes an object of a class nobody here knows.
    pub fn opaque(&mut self, class: &str, name: &str) {
        let entry = self.opaque.entry(class.to_owned());
        entry.or_insert_with(|| (0, name.to_owned())).0 += 1;
    }

    /// Notes a key in the order of the file, and whether it is text: `1` and `"1"` have the same name.
    pub fn seen(&mut self, key: &str, is_text: bool) {
        self.order.update(&[u8::from(is_text)]);
        self.order.update(&(key.len() as u64).to_le_bytes());
        self.order.update(key.as_bytes());
    }

    /// Counts bytes that comparing will read, or that the walk itself makes.
    ///
    /// # Errors
    /// When they are too many.
    pub fn spend(&mut self, bytes: u64) -> Done {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > self.budget {
            return Err(format!(
                "shared values, counted wherever they are, make more than {} bytes",
                self.budget
            ));
        }
        Ok(())
    }

    /// Counts bytes that are kept in memory or made on the way.
    ///
    /// # Errors
    /// When they are too many.
    pub fn copy(&mut self, bytes: usize) -> Done {
        self.copied = self.copied.saturating_add(bytes as u64);
        if self.copied > MOST_COPIED {
            return Err(format!(
                "more than {MOST_COPIED} bytes of names and numbers"
            ));
        }
        Ok(())
    }

    /// A short word for the order of all dicts, and for which of their keys are text.
    #[must_use]
    pub fn order(&self) -> String {
        self.order.finalize().to_hex()[..16].to_owned()
    }

    /// What a person should know of opaque objects.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |(class, (count, name)): (&String, &(usize, String))| {
            let (s, are, them) = if *count == 1 {
                ("", "is", "it")
            } else {
                ("s", "are", "them")
            };
            let name = if name.is_empty() { "the whole" } else { name };
            format!(
                "{count} value{s} of {} {are} compared by all that is saved of {them}; nothing was called. First: {}",
                class.escape_debug(),
                name.escape_debug()
            )
        };
        self.opaque.iter().map(note).collect()
    }
}
