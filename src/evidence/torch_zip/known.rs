//! The calls in pickles that are given a meaning: torch's own ways to make tensors again. Everything else is opaque.

use super::graph::{Id, Node};
use super::tensor::{Flips, View, view};
use super::walk::{Walk, below};
use crate::dtype::Dtype;

/// Wrappers around one call that may be inside each other.
const DEEPEST: usize = 16;

type Done = Result<(), String>;

impl Walk<'_> {
    /// Items of a call that has a meaning; `false` for others.
    pub(super) fn known(
        &mut self,
        call: Id,
        args: &[Id],
        name: &str,
        depth: usize,
    ) -> Result<bool, String> {
        let pickle = self.pickle;
        let Some((module, called)) = pickle.global(call) else {
            return Ok(false);
        };
        match (module, called, args) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2", [_, _, _, _, ..]) => {
                self.tensor(args, None, args.get(6).copied(), name)?;
            }
            ("torch._utils", "_rebuild_tensor_v3", [_, _, _, _, _, _, dtype, ..]) => {
                self.tensor(args, Some(*dtype), args.get(7).copied(), name)?;
            }
            ("torch._utils", "_rebuild_qtensor", [_, _, _, _, quantizer, ..]) => {
                self.tensor(args, None, None, name)?;
                self.quantizer(*quantizer, name)?;
            }
            (
                "torch._utils",
                "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor",
                &[layout, data],
            ) => {
                self.sparse(layout, data, name)?;
            }
            ("torch._utils", "_rebuild_parameter_with_state", &[data, _, _, state]) => {
                self.later(data, name.to_owned())?;
                self.attributes(name, state)?;
            }
            (
                "torch._utils",
                "_rebuild_parameter"
                | "_rebuild_device_tensor_from_cpu_tensor"
                | "_rebuild_device_tensor_from_numpy"
                | "_rebuild_xla_tensor",
                [inner, ..],
            )
            | ("torch.jit._pickle" | "torch.jit", _, [inner, ..]) => {
                self.later(*inner, name.to_owned())?;
            }
            ("torch._tensor", "_rebuild_from_type_v2", &[inner, class, inner_args, state]) => {
                if depth >= DEEPEST {
                    return Err(format!("more than {DEEPEST} calls inside each other"));
                }
                let inner_args = pickle.seq(inner_args).ok_or("a call without arguments")?;
                if !self.known(inner, inner_args, name, depth + 1)? {
                    for (index, &id) in inner_args.iter().enumerate() {
                        self.later(id, below(name, &format!("__args__.{index}")))?;
                    }
                }
                let class = pickle.dotted(class);
                if ![
                    "torch._tensor.Tensor",
                    "torch.Tensor",
                    "torch.nn.parameter.Parameter",
                ]
                .contains(&class.as_str())
                {
                    self.found.opaque(&class, name);
                    self.found
                        .text(&below(name, "__class__"), "global", &class)?;
                }
                self.attributes(name, state)?;
            }
            ("torch", "Size", &[sizes]) => {
                let sizes = pickle.sizes(sizes).ok_or("a torch.Size of no sizes")?;
                let bytes = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
                self.content(name, Dtype::Int64, vec![sizes.len() as u64], bytes)?;
            }
            ("torch", "device", [kind, index @ ..]) => {
                let mut text = pickle.text(*kind);
                if let [index] = index {
                    text = format!("{text}:{}", pickle.text(*index));
                }
                self.found.text(name, "device", &text)?;
            }
            ("numpy", "dtype", [code, ..]) => {
                self.found.text(name, "dtype", &pickle.text(*code))?;
            }
            ("torch.serialization", "_get_layout", &[layout]) => {
                self.found.text(name, "layout", &pickle.text(layout))?;
            }
            ("builtins" | "__builtin__", "complex", &[real, imaginary]) => {
                let part = |id| match *pickle.node(id) {
                    Node::Float(value) => Ok(value.to_le_bytes()),
                    _ => Err("a complex number of no floats"),
                };
                let bytes = [part(real)?, part(imaginary)?].concat();
                self.content(name, Dtype::Complex128, vec![], bytes)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `(storage, offset, size, stride, …)`.
    fn tensor(&mut self, args: &[Id], dtype: Option<Id>, metadata: Option<Id>, name: &str) -> Done {
        let pickle = self.pickle;
        let storage = self.storages.storage(pickle, args[0])?.clone();
        let offset = pickle
            .int(args[1])
            .and_then(|offset| offset.try_into().ok());
        let sizes = |id, what| {
            pickle
                .sizes(id)
                .ok_or_else(|| format!("its {what} are no list of up to 64 sizes"))
        };
        let strided = View {
            offset: offset.ok_or("its offset is none")?,
            shape: sizes(args[2], "sizes")?,
            strides: sizes(args[3], "strides")?,
        };
        let (dtype, declared) = match dtype {
            None => (
                storage.dtype.filter(|_| !storage.untyped),
                storage.declared.clone(),
            ),
            Some(id) => {
                let (_, named) = pickle.global(id).ok_or("its dtype is none")?;
                (named.parse::<Dtype>().ok(), format!("torch.{named}"))
            }
        };
        let mut flips = Flips::default();
        if let Some(Node::Dict(entries)) = metadata.map(|id| pickle.node(id)) {
            for &(key, value) in entries {
                let set = matches!(pickle.node(value), Node::Bool(true));
                match pickle.str(key) {
                    Some("conj") => flips.conjugate = set,
                    Some("neg") => flips.negative = set,
                    _ => {}
                }
            }
        }
        let made = view(&storage, dtype, &declared, &strided, flips)?;
        self.storages.used(&storage, name);
        self.made(name, made)
    }

    /// `(torch.per_tensor_affine, scale, zero point)` or `(torch.per_channel_…, scales, zero points, axis)`.
    fn quantizer(&mut self, quantizer: Id, name: &str) -> Done {
        let parts = self.pickle.seq(quantizer).ok_or("its quantizer is none")?;
        let names: &[&str] = match parts.len() {
            3 => &["qscheme", "scale", "zero_point"],
            4 => &["qscheme", "scales", "zero_points", "axis"],
            _ => return Err("its quantizer has other parts than torch's".into()),
        };
        for (&id, part) in parts.iter().zip(names) {
            self.later(id, below(name, part))?;
        }
        Ok(())
    }

    /// Indices and values as they are stored.
    fn sparse(&mut self, layout: Id, data: Id, name: &str) -> Done {
        let args = self
            .pickle
            .call(layout, "torch.serialization", "_get_layout");
        let layout_name = args.and_then(|args| self.pickle.str(*args.first()?));
        let layout_name = layout_name.ok_or("its layout is none")?;
        let names: &[&str] = match layout_name {
            "torch.sparse_coo" => &["indices", "values", "size", "is_coalesced"],
            "torch.sparse_csr" | "torch.sparse_bsr" => {
                &["crow_indices", "col_indices", "values", "size"]
            }
            "torch.sparse_csc" | "torch.sparse_bsc" => {
                &["ccol_indices", "row_indices", "values", "size"]
            }
            other => return Err(format!("its layout {other:?} is not known")),
        };
        self.later(layout, below(name, "layout"))?;
        let parts = self
            .pickle
            .seq(data)
            .filter(|parts| parts.len() <= names.len());
        for (&id, part) in parts.ok_or("its parts are none")?.iter().zip(names) {
            self.later(id, below(name, part))?;
        }
        Ok(())
    }
}
