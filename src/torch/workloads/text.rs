//! A real text as numbers: the Constitution of the United States (public domain), 45 KB inside the binary. Models learn
//! from its first nine tenths to say the next character, and are judged by the rest.

use std::collections::BTreeSet;

use tch::{Kind, Tensor};

use crate::ffi::tch_failure;
use crate::record::Recorder;
use crate::workloads::loss::cross_entropy;
use samebits::error::Result;
use samebits::seed::Stream;

const EMBEDDED: &str = include_str!("constitution.txt");

/// A text, each character replaced by its place in the sorted vocabulary, split into a part to learn from and a part to
/// test on.
pub struct Text {
    train: Vec<i64>,
    test: Vec<i64>,
    vocabulary: usize,
    device: tch::Device,
}

impl Text {
    /// The embedded text.
    #[must_use]
    pub fn load(recorder: &Recorder) -> Self {
        let (mut train, vocabulary) = encode(EMBEDDED);
        let test = train.split_off(train.len() / 10 * 9);
        Self {
            train,
            test,
            vocabulary,
            device: recorder.device(),
        }
    }

    /// Number of different characters, rounded up to an even number: fast matrix products on GPUs want that, and a
    /// workload should take the path that real ones take.
    #[must_use]
    pub fn vocabulary(&self) -> i64 {
        to_i64(self.vocabulary.next_multiple_of(2))
    }

    /// An endless sequence of batches of random windows of `context` characters.
    #[must_use]
    pub fn windows(&self, recorder: &Recorder, context: usize) -> Windows<'_> {
        Windows {
            text: self,
            stream: recorder.stream("data_order"),
            batch: recorder.batch().max(1),
            context,
        }
    }

    /// Windows of `part` that begin at `starts`: characters, and for each the one that follows; `[batch, context]` int64.
    fn tensors(&self, part: &[i64], starts: &[usize], context: usize) -> Result<(Tensor, Tensor)> {
        let cut = |shift: usize| {
            let rows: Vec<i64> = starts
                .iter()
                .flat_map(|&at| &part[at + shift..at + shift + context])
                .copied()
                .collect();
            Tensor::from_slice(&rows)
                .f_view([to_i64(starts.len()), to_i64(context)])
                .and_then(|rows| rows.f_to_device(self.device))
                .map_err(|e| tch_failure("making a batch", &e))
        };
        Ok((cut(0)?, cut(1)?))
    }

    /// Notes the share of the test part's characters that `predict` gets right, and its bits per character.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn accuracy(
        &self,
        recorder: &mut Recorder,
        context: usize,
        predict: impl FnOnce(&Tensor) -> Tensor,
    ) -> Result<()> {
        let starts: Vec<usize> = (0..self.test.len() - context).step_by(context).collect();
        let (x, y) = self.tensors(&self.test, &starts, context)?;
        let logits = tch::no_grad(|| predict(&x));
        let right = logits.argmax(-1, false).eq_tensor(&y).to_kind(Kind::Float);
        recorder.metric("accuracy", right.mean(Kind::Double).double_value(&[]));
        let bits = cross_entropy(&logits, &y).double_value(&[]) / std::f64::consts::LN_2;
        recorder.metric("bits_per_character", bits);
        Ok(())
    }
}

/// See [`Text::windows`].
pub struct Windows<'a> {
    text: &'a Text,
    stream: Stream,
    batch: usize,
    context: usize,
}

impl Windows<'_> {
    /// The next batch: characters, and for each the one that follows; `[batch, context]` int64.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn next(&mut self) -> Result<(Tensor, Tensor)> {
        let places = (self.text.train.len() - self.context) as u64;
        let starts: Vec<usize> = (0..self.batch)
            .map(|_| usize::try_from(self.stream.below(places)).unwrap_or(0))
            .collect();
        self.text.tensors(&self.text.train, &starts, self.context)
    }
}

/// Each character's place among the different ones of the text, sorted; and how many those are.
fn encode(text: &str) -> (Vec<i64>, usize) {
    let different: BTreeSet<char> = text.chars().collect();
    let vocabulary: Vec<char> = different.into_iter().collect();
    let place = |one| vocabulary.binary_search(&one).map_or(0, to_i64);
    (text.chars().map(place).collect(), vocabulary.len())
}

fn to_i64(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_numbered_in_sorted_order() {
        assert_eq!(encode("cab a"), (vec![3, 1, 2, 0, 1], 4));
    }

    #[test]
    fn the_embedded_text_has_71_characters_and_the_test_part_no_unknown_ones() {
        let (mut train, vocabulary) = encode(EMBEDDED);
        assert_eq!((train.len(), vocabulary), (45_345, 71));
        let test = train.split_off(train.len() / 10 * 9);
        let seen: BTreeSet<_> = train.into_iter().collect();
        assert!(test.iter().all(|character| seen.contains(character)));
    }
}
