//! The first mismatch of a comparison, as a report shows it.

use crate::compare::{Comparison, Outline};
use crate::difference::unravel;
use crate::report::Divergence;
use crate::report::tensors::Outside;

/// The first mismatch of one comparison, as a report shows it.
pub(super) fn divergence(run: usize, comparison: &Comparison) -> Option<Divergence> {
    let mismatch = comparison.first()?;
    let mut divergence = Divergence {
        run,
        step: Some(mismatch.key.step),
        phase: Some(mismatch.key.phase),
        name: mismatch.key.name.clone(),
        occurrence: mismatch.key.occurrence,
        rank: None,
        op: None,
        status: mismatch.status,
        outline: mismatch.reference.as_ref().map(outside),
        candidate_outline: mismatch.candidate.as_ref().map(outside),
        index: None,
        position: None,
        reference: None,
        candidate: None,
        ulp: None,
        text: None,
        differing: None,
        repeat: None,
        last_agreed: comparison.last_agreed.clone(),
    };
    fill_values(&mut divergence, comparison);
    Some(divergence)
}

pub(super) fn fill_values(divergence: &mut Divergence, comparison: &Comparison) {
    let Some(mismatch) = comparison.first() else {
        return;
    };
    let Some(elements) = &mismatch.difference else {
        return;
    };
    divergence.differing = Some((elements.bits_differing, elements.numel));
    let Some(pair) = &elements.first else { return };
    divergence.index = Some(pair.index);
    divergence.position = mismatch
        .reference
        .as_ref()
        .map(|outline| unravel(pair.index, &outline.shape));
    divergence.reference = Some(pair.reference.clone());
    divergence.candidate = Some(pair.candidate.clone());
    divergence.ulp = pair.ulp;
}

fn outside(outline: &Outline) -> Outside {
    Outside {
        dtype: outline.dtype.to_string(),
        shape: outline.shape.clone(),
    }
}
