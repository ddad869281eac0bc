//! From the values of a pickle to named items. The path to a value is its name: keys and indices joined by dots.
//!
//! Values may be shared, so a small pickle can stand for endless work, and may contain themselves. The walk keeps no
//! recursion, knows the values it is inside of, and stops at limits.

use std::collections::BTreeMap;

use super::graph::{Blob, Id, Node, Pickle, decimal};
use super::names::Named;
use super::numpy;
use super::storages::Storages;
use super::tensor::Made;
use crate::dtype::Dtype;
use crate::evidence::Content;

/// Values visited, more than any checkpoint has.
const MOST_VISITS: usize = 1 << 22;
/// Containers inside each other; Python's own pickler gives up earlier.
const DEEPEST: usize = 1000;
/// Lists of more numbers than this, all of one type, are one tensor: a history of losses, the state of a generator.
const LONGEST_LIST_OF_ITEMS: usize = 64;

/// A walk through one pickle.
pub struct Walk<'a> {
    /// What is walked.
    pub pickle: &'a Pickle,
    /// Where its tensors are.
    pub storages: Storages<'a>,
    /// What is found.
    pub found: &'a mut Named,
    /// Whether this is `TorchScript`, where the code that belongs to a class is an item of its own.
    pub script: bool,
    steps: Vec<Step>,
    inside: BTreeMap<Id, String>,
    visits: usize,
}

enum Step {
    Visit(Id, String),
    Leave(Id),
}

pub(super) type Done = Result<(), String>;

/// The name of what is under `key` in what is called `parent`.
pub(super) fn below(parent: &str, key: &str) -> String {
    match parent {
        "" => key.to_owned(),
        _ => format!("{parent}.{key}"),
    }
}

impl<'a> Walk<'a> {
    /// A walk that has not begun.
    pub fn new(
        pickle: &'a Pickle,
        storages: Storages<'a>,
        found: &'a mut Named,
        script: bool,
    ) -> Self {
        Self {
            pickle,
            storages,
            found,
            script,
            steps: Vec::new(),
            inside: BTreeMap::new(),
            visits: 0,
        }
    }

    /// Walks everything, beginning with the name `name`.
    ///
    /// # Errors
    /// When a tensor is not what it says, or a limit is reached.
    pub fn all(mut self, name: &str) -> Done {
        self.steps
            .push(Step::Visit(self.pickle.graph.root, name.to_owned()));
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Leave(id) => drop(self.inside.remove(&id)),
                Step::Visit(id, name) => {
                    self.count(1)?;
                    self.visit(id, &name)
                        .map_err(|what| format!("{}: {what}", name.escape_debug()))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn count(&mut self, more: usize) -> Done {
        self.visits = self.visits.saturating_add(more);
        if self.visits > MOST_VISITS {
            return Err(format!(
                "more than {MOST_VISITS} values, counting shared ones wherever they are"
            ));
        }
        Ok(())
    }

    /// A value to be visited later.
    pub(super) fn later(&mut self, id: Id, name: String) -> Done {
        self.found.copy(name.len())?;
        self.count(1)?;
        self.steps.push(Step::Visit(id, name));
        Ok(())
    }

    fn visit(&mut self, id: Id, name: &str) -> Done {
        let pickle = self.pickle;
        match pickle.node(id) {
            Node::None => self.found.text(name, "None", ""),
            &Node::Bool(value) => {
                self.found
                    .owned(name, Dtype::Bool, vec![], vec![u8::from(value)])
            }
            Node::Int(value) => {
                self.found
                    .owned(name, Dtype::Int64, vec![], value.to_le_bytes().into())
            }
            Node::Float(value) => {
                self.found
                    .owned(name, Dtype::Float64, vec![], value.to_le_bytes().into())
            }
            Node::Long(place) => {
                let digits = decimal(&pickle.source.bytes()[place.clone()]);
                self.found.text(name, "int", &digits)
            }
            Node::Digits(_) => self.found.text(name, "int", &pickle.text(id)),
            Node::Text(text) => self.found.text(name, "str", text),
            Node::Str(place, _) => self.blob(name, "str", &Blob::Plain(place.clone())),
            Node::Bytes(place) => self.blob(name, "bytes", &Blob::Plain(place.clone())),
            Node::Global(..) => self.found.text(name, "global", &pickle.dotted(id)),
            Node::Outside(what) => {
                self.found.opaque(what, name);
                self.found.text(name, "outside", what)
            }
            Node::Persistent(of) => match self.storages.storage(pickle, id).cloned() {
                Ok(storage) => {
                    let made = self.storages.whole(&storage, name)?;
                    self.made(name, made)
                }
                // TorchScript and checkpoints only know storages; something else is compared by its id.
                Err(what)
                    if pickle
                        .seq(*of)
                        .is_some_and(|ids| pickle.str_at(ids, 0) == Some("storage")) =>
                {
                    Err(what)
                }
                Err(_) => {
                    self.found.opaque("a persistent id", name);
                    self.later(*of, name.to_owned())
                }
            },
            Node::Tuple(ids) | Node::List(ids) => self.list(id, name, ids),
            Node::Set(ids) => self.set(id, name, ids),
            Node::Dict(entries) => {
                if self.enter(id, name)? {
                    self.entries(name, entries)?;
                }
                Ok(())
            }
            Node::Object(object) => {
                if let Some(made) = numpy::made(pickle, id) {
                    return self.made(name, made?);
                }
                if let Some(blob) = pickle.blob(id) {
                    return self.blob(name, "bytes", &blob);
                }
                if self.enter(id, name)? {
                    self.object(object, name)?;
                }
                Ok(())
            }
        }
    }

    /// Goes inside a container; not when already inside of it.
    pub(super) fn enter(&mut self, id: Id, name: &str) -> Result<bool, String> {
        if let Some(first) = self.inside.get(&id) {
            let first = first.clone();
            self.found.text(name, "reference", &first)?;
            return Ok(false);
        }
        if self.inside.len() >= DEEPEST {
            return Err(format!("more than {DEEPEST} containers inside each other"));
        }
        self.inside.insert(id, name.to_owned());
        self.steps.push(Step::Leave(id));
        Ok(true)
    }

    pub(super) fn made(&mut self, name: &str, made: Made) -> Done {
        self.found.spend(made.cost)?;
        self.found
            .item(name, made.dtype, made.declared, made.shape, made.content)
    }

    fn blob(&mut self, name: &str, declared: &str, blob: &Blob) -> Done {
        let (length, content) = (blob.length() as u64, self.pickle.source.content(blob));
        self.found.spend(length)?;
        self.found.item(
            name,
            Dtype::Uint8,
            Some(declared.to_owned()),
            vec![length],
            content,
        )
    }

    pub(super) fn list(&mut self, id: Id, name: &str, ids: &[Id]) -> Done {
        if ids.is_empty() {
            return self.found.text(name, "empty list", "");
        }
        self.count(ids.len())?;
        if ids.len() > LONGEST_LIST_OF_ITEMS
            && let Some((dtype, bytes)) = self.numbers(ids)
        {
            return self.found.owned(name, dtype, vec![ids.len() as u64], bytes);
        }
        if self.enter(id, name)? {
            for (index, &id) in ids.iter().enumerate() {
                self.later(id, below(name, &index.to_string()))?;
            }
        }
        Ok(())
    }

    fn numbers(&self, ids: &[Id]) -> Option<(Dtype, Vec<u8>)> {
        let mut bytes = Vec::new();
        let dtype = match self.pickle.node(*ids.first()?) {
            Node::Int(_) => Dtype::Int64,
            Node::Float(_) => Dtype::Float64,
            _ => return None,
        };
        for &id in ids {
            match (dtype, self.pickle.node(id)) {
                (Dtype::Int64, Node::Int(value)) => bytes.extend(value.to_le_bytes()),
                (Dtype::Float64, Node::Float(value)) => bytes.extend(value.to_le_bytes()),
                _ => return None,
            }
        }
        Some((dtype, bytes))
    }

    /// Sets have no order of their own: Python's differs from process to process.
    pub(super) fn set(&mut self, id: Id, name: &str, ids: &[Id]) -> Done {
        if ids.is_empty() {
            return self.found.text(name, "empty set", "");
        }
        self.count(ids.len())?;
        if self.enter(id, name)? {
            let mut sorted = Vec::with_capacity(ids.len());
            for &id in ids {
                let text = self.pickle.text(id);
                self.found.copy(text.len())?;
                sorted.push((text, id));
            }
            sorted.sort();
            for (index, (_, id)) in sorted.into_iter().enumerate() {
                self.later(id, below(name, &index.to_string()))?;
            }
        }
        Ok(())
    }

    /// Entries of a dict. In the order of their keys, so that another order of insertion gives the same names.
    pub(super) fn entries(&mut self, name: &str, entries: &[(Id, Id)]) -> Done {
        if entries.is_empty() {
            return self.found.text(name, "empty dict", "");
        }
        self.count(entries.len())?;
        let mut sorted: BTreeMap<(String, u32), Id> = BTreeMap::new();
        for &(key, value) in entries {
            let text = self.pickle.text(key);
            self.found.copy(text.len())?;
            // Equal plain keys are one key, and the last value counts, as in Python.
            let other = match self.pickle.node(key) {
                Node::Str(..) | Node::Text(_) => 0,
                Node::Int(_) | Node::Bool(_) | Node::None => 1,
                _ => key.saturating_add(2),
            };
            self.found.seen(&text, other == 0);
            sorted.insert((text, other), value);
        }
        for ((text, _), value) in sorted {
            self.later(value, below(name, &text))?;
        }
        Ok(())
    }

    pub(super) fn content(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: Vec<u64>,
        bytes: Vec<u8>,
    ) -> Done {
        self.found
            .item(name, dtype, None, shape, Content::Owned(bytes))
    }
}
