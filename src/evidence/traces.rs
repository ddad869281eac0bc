//! Traces of our own as evidence: values where they were kept, digests where not.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::evidence::{Content, Evidence, Item, length};
use crate::trace::Trace;

/// Whether this is the folder of a trace.
#[must_use]
pub fn recognises(path: &Path) -> bool {
    path.join("manifest.json").is_file() && path.join("entries.jsonl").is_file()
}

/// Reads a trace.
///
/// # Errors
/// When the trace is damaged.
pub fn read(path: &Path) -> Result<Evidence> {
    let trace = Arc::new(Trace::open(path)?);
    let mut evidence = Evidence {
        format: "trace",
        ..Evidence::default()
    };
    let mut digests = 0;
    let mut names = BTreeSet::new();
    for (at, entry) in trace.entries.iter().enumerate() {
        let name = entry.key.to_string();
        let needed = length(path, &name, entry.dtype, &entry.shape)?;
        let value = trace.value(entry);
        if let Some(held) = value.as_ref().map(|value| value.len() as u64)
            && held != needed
        {
            let what = format!(
                "{name}: {} {:?} needs {needed} bytes and has {held}",
                entry.dtype, entry.shape
            );
            return Err(Error::damaged(path, what));
        }
        if !names.insert(name.clone()) {
            return Err(Error::damaged(
                path,
                format!("two entries are called {name}"),
            ));
        }
        let content = if value.is_some() {
            let trace = Arc::clone(&trace);
            Content::Lazy(Box::new(move || {
                let value = trace.value(&trace.entries[at]);
                Ok(value.unwrap_or_default().into_owned())
            }))
        } else {
            digests += 1;
            Content::Digest(entry.digest)
        };
        evidence.items.push(Item {
            name,
            dtype: entry.dtype,
            declared: None,
            shape: entry.shape.clone(),
            content,
        });
    }
    if digests > 0 {
        evidence.notes.push(format!(
            "of {digests} of {} entries only digests were kept: whether they are equal is all that can be said",
            trace.entries.len()
        ));
    }
    Ok(evidence)
}
