//! Tensors gathered by layer, so that a person sees where a model differs before reading names.

use std::collections::BTreeMap;

use crate::compare::Status;
use crate::number::Number;
use crate::report::tensors::{Layer, Place, TensorReport};

/// Layers in a report.
const MOST_LAYERS: usize = 1_000;

/// Layers with a difference, the greatest relative one first, and how many more there are.
pub(super) fn layers(tensors: &[TensorReport]) -> (Vec<Layer>, u64) {
    let mut layers: BTreeMap<&str, Layer> = BTreeMap::new();
    for tensor in tensors {
        let name = layer(&tensor.key);
        let layer = layers.entry(name).or_insert_with(|| Layer {
            name: name.to_owned(),
            tensors: 0,
            differing: 0,
            numel: 0,
            elements: 0,
            greatest_abs: None,
            greatest_rel: None,
            max_ulp: None,
        });
        layer.tensors += 1;
        if tensor.status != Status::Identical {
            layer.differing += 1;
            layer.numel += tensor.numel;
            layer.elements += tensor.differing;
            greater(&mut layer.greatest_abs, tensor.greatest_abs.as_ref());
            greater(&mut layer.greatest_rel, tensor.greatest_rel.as_ref());
            layer.max_ulp = layer.max_ulp.max(tensor.max_ulp);
        }
    }
    let mut layers: Vec<Layer> = layers
        .into_values()
        .filter(|layer| layer.differing > 0)
        .collect();
    // What has no number (another shape, a missing tensor) weighs most, then NaN, then the greatest.
    let weight = |layer: &Layer| {
        let structural = layer.elements == 0 && layer.greatest_abs.is_none();
        let number = layer.greatest_rel.map_or(0.0, |number| number.0);
        let nan = number.is_nan();
        (structural, nan, if nan { 0.0 } else { number })
    };
    layers.sort_by(|a, b| {
        let (a, b) = (weight(a), weight(b));
        (b.0, b.1).cmp(&(a.0, a.1)).then(b.2.total_cmp(&a.2))
    });
    let spare = layers.len().saturating_sub(MOST_LAYERS) as u64;
    layers.truncate(MOST_LAYERS);
    (layers, spare)
}

/// A name up to its last dot, index in brackets or slash; in a folder, with its file.
fn layer(key: &str) -> &str {
    let start = key.rfind(':').map_or(0, |colon| colon + 1);
    match key[start..].rfind(['.', '[', '/']) {
        Some(at) if at > 0 => &key[..start + at],
        _ if start > 0 => &key[..start - 1],
        _ => key,
    }
}

fn greater(greatest: &mut Option<Number>, place: Option<&Place>) {
    if let Some(place) = place
        && greatest.is_none_or(|number| place.value.0 > number.0 || place.value.0.is_nan())
        && !greatest.is_some_and(|number| number.0.is_nan())
    {
        *greatest = Some(place.value);
    }
}
