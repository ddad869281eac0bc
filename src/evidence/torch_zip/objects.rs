//! Objects inside pickles: Python's own containers, and those that nobody here knows, which are compared by everything
//! that is saved of them.

use super::graph::{Id, Node, Object};
use super::walk::{Done, Walk, below};

impl Walk<'_> {
    /// What is set on an object beside what makes it: its attributes have its name.
    pub(super) fn attributes(&mut self, name: &str, state: Id) -> Done {
        let pickle = self.pickle;
        match pickle.node(state) {
            Node::None => Ok(()),
            Node::Dict(entries) if entries.is_empty() => Ok(()),
            Node::Dict(entries) => {
                self.count(entries.len())?;
                // Version numbers that torch keeps beside a state dict.
                let metadata = |&&(key, _): &&(Id, Id)| pickle.str(key) == Some("_metadata");
                if let [(_, value)] = entries.iter().filter(metadata).collect::<Vec<_>>()[..] {
                    let value = pickle.text(*value);
                    self.found.container(below(name, "_metadata"), value)?;
                }
                let rest: Vec<_> = entries.iter().filter(|e| !metadata(e)).copied().collect();
                if rest.is_empty() {
                    Ok(())
                } else {
                    self.entries(name, &rest)
                }
            }
            // Python writes a pair where a class has slots.
            Node::Tuple(pair)
                if pair.len() == 2
                    && pair
                        .iter()
                        .all(|&id| matches!(pickle.node(id), Node::None | Node::Dict(_))) =>
            {
                self.attributes(name, pair[0])?;
                self.attributes(name, pair[1])
            }
            _ => self.later(state, below(name, "__state__")),
        }
    }

    /// Everything that was done to an object after the call that made it.
    fn afterwards(&mut self, object: &Object, name: &str) -> Done {
        for &state in &object.states {
            self.attributes(name, state)?;
        }
        self.count(object.items.len())?;
        for (index, &id) in object.items.iter().enumerate() {
            self.later(id, below(name, &index.to_string()))?;
        }
        if object.entries.is_empty() {
            return Ok(());
        }
        self.entries(name, &object.entries)
    }

    pub(super) fn object(&mut self, object: &Object, name: &str) -> Done {
        let pickle = self.pickle;
        let args = pickle.seq(object.args).unwrap_or_default();
        let first = args
            .first()
            .and_then(|&list| pickle.seq(list))
            .unwrap_or_default();
        match pickle.global(object.call).unwrap_or_default() {
            ("collections", "OrderedDict" | "defaultdict") => {
                self.count(first.len())?;
                let pair = |&pair: &Id| match pickle.seq(pair) {
                    Some(&[key, value]) => Some((key, value)),
                    _ => None,
                };
                let mut entries: Vec<_> = first.iter().filter_map(pair).collect();
                entries.extend(&object.entries);
                for &state in &object.states {
                    self.attributes(name, state)?;
                }
                return self.entries(name, &entries);
            }
            ("collections", "deque") => {
                let mut ids = first.to_vec();
                ids.extend(&object.items);
                return self.list(args.first().copied().unwrap_or(0), name, &ids);
            }
            ("collections", "Counter")
            | ("builtins" | "__builtin__", "list" | "tuple" | "dict")
                if !args.is_empty() =>
            {
                self.later(args[0], name.to_owned())?;
            }
            ("builtins" | "__builtin__", "set" | "frozenset") => {
                // Its own id is already entered; the list inside it stands for it.
                let id = args.first().copied().unwrap_or(0);
                return self.set(id, name, first);
            }
            _ if self.known(object.call, args, name, 0)? => {}
            _ => self.opaque(object, args, name)?,
        }
        self.afterwards(object, name)
    }

    /// What nobody here knows is compared by all that its pickle says of it.
    fn opaque(&mut self, object: &Object, args: &[Id], name: &str) -> Done {
        let class = match self.pickle.global(object.call) {
            Some(("copy_reg" | "copyreg", "_reconstructor")) => {
                args.first().copied().unwrap_or(object.call)
            }
            _ => object.call,
        };
        let class_name = self.pickle.dotted(class);
        if !(self.script && class_name.starts_with("__torch__.")) {
            self.found.opaque(&class_name, name);
            self.found
                .text(&below(name, "__class__"), "global", &class_name)?;
        }
        if class != object.call {
            return Ok(());
        }
        if self.pickle.global(object.call).is_none() {
            self.later(object.call, below(name, "__call__"))?;
        }
        self.count(args.len())?;
        for (index, &id) in args.iter().enumerate() {
            self.later(id, below(name, &format!("__args__.{index}")))?;
        }
        if self.pickle.seq(object.args).is_none() {
            self.later(object.args, below(name, "__args__"))?;
        }
        if let Some(keywords) = object.keywords {
            self.later(keywords, below(name, "__keywords__"))?;
        }
        Ok(())
    }
}
