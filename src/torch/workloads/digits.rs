//! Real handwritten digits: 1,797 images of 8x8 pixels inside the binary, or IDX files (as MNIST has them) from a folder.
//!
//! The embedded images are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998),
//! UCI Machine Learning Repository, CC BY 4.0.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use tch::{Kind, Tensor};

use crate::ffi::tch_failure;
use crate::record::Recorder;
use samebits::error::{Error, Result};
use samebits::seed::Stream;

const EMBEDDED: &[u8] = include_bytes!("digits.csv.gz");

/// Images with labels, before they become tensors.
struct Images {
    height: usize,
    width: usize,
    /// One row an image, `height * width` pixels from 0 to 1.
    pixels: Vec<f32>,
    labels: Vec<i64>,
}

/// Digits on the run's device, split into a part to learn from and a part to test on.
pub struct Digits {
    images: Images,
    train: Vec<usize>,
    test: Vec<usize>,
    device: tch::Device,
    kind: Kind,
}

impl Digits {
    /// The embedded digits, or those in the folder of `--data`.
    ///
    /// # Errors
    /// When the folder does not hold IDX files.
    pub fn load(recorder: &Recorder) -> Result<Self> {
        let images = match &recorder.inputs().data {
            None => embedded(),
            Some(folder) => from_idx(folder)?,
        };
        let mut train = recorder
            .stream("train_test_split")
            .permutation(images.labels.len());
        let test = train.split_off(images.labels.len() * 4 / 5);
        if recorder.batch() > train.len() {
            return Err(Error::Usage(format!(
                "--batch {}: there are {} images to train on",
                recorder.batch(),
                train.len()
            )));
        }
        Ok(Self {
            images,
            train,
            test,
            device: recorder.device(),
            kind: recorder.kind()?,
        })
    }

    /// Pixels of one image.
    #[must_use]
    pub fn pixels(&self) -> i64 {
        to_i64(self.images.height * self.images.width)
    }

    /// Number of classes: one more than the greatest label, and at least ten.
    #[must_use]
    pub fn classes(&self) -> i64 {
        self.images
            .labels
            .iter()
            .max()
            .map_or(10, |&label| (label + 1).max(10))
    }

    /// Height and width of an image.
    #[must_use]
    pub fn size(&self) -> (i64, i64) {
        (to_i64(self.images.height), to_i64(self.images.width))
    }

    /// Images as `[batch, 1, height, width]` in the run's dtype, labels as `[batch]` int64.
    fn tensors(&self, rows: &[usize]) -> Result<(Tensor, Tensor)> {
        let size = self.images.height * self.images.width;
        let pixels: Vec<f32> = rows
            .iter()
            .flat_map(|&row| &self.images.pixels[row * size..(row + 1) * size])
            .copied()
            .collect();
        let labels: Vec<i64> = rows.iter().map(|&row| self.images.labels[row]).collect();
        let (height, width) = self.size();
        Tensor::from_slice(&pixels)
            .f_view([to_i64(rows.len()), 1, height, width])
            .and_then(|x| x.f_to_kind(self.kind))
            .and_then(|x| x.f_to_device(self.device))
            .and_then(|x| Ok((x, Tensor::from_slice(&labels).f_to_device(self.device)?)))
            .map_err(|e| tch_failure("making a batch", &e))
    }

    /// An endless sequence of batches; every epoch has an order of its own.
    #[must_use]
    pub fn batches(&self, recorder: &Recorder) -> Batches<'_> {
        Batches {
            digits: self,
            stream: recorder.stream("data_order"),
            order: Vec::new(),
            batch: recorder.batch(),
        }
    }

    /// Notes the share of the test images that `predict` gets right.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn accuracy(
        &self,
        recorder: &mut Recorder,
        predict: impl FnOnce(&Tensor) -> Tensor,
    ) -> Result<()> {
        let (x, y) = self.tensors(&self.test)?;
        let right = tch::no_grad(|| predict(&x))
            .argmax(-1, false)
            .eq_tensor(&y)
            .to_kind(Kind::Float);
        recorder.metric("accuracy", right.mean(Kind::Double).double_value(&[]));
        Ok(())
    }
}

/// See [`Digits::batches`].
pub struct Batches<'a> {
    digits: &'a Digits,
    stream: Stream,
    order: Vec<usize>,
    batch: usize,
}

impl Batches<'_> {
    /// The next batch: images and labels.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn next(&mut self) -> Result<(Tensor, Tensor)> {
        let wanted = self.batch.clamp(1, self.digits.train.len());
        if self.order.len() < wanted {
            let order = self.stream.permutation(self.digits.train.len());
            self.order = order.into_iter().map(|at| self.digits.train[at]).collect();
        }
        let rows = self.order.split_off(self.order.len() - wanted);
        self.digits.tensors(&rows)
    }
}

fn embedded() -> Images {
    let mut text = String::new();
    GzDecoder::new(EMBEDDED)
        .read_to_string(&mut text)
        .expect("the embedded digits are intact: a test reads them");
    let mut images = Images {
        height: 8,
        width: 8,
        pixels: Vec::new(),
        labels: Vec::new(),
    };
    for line in text.lines() {
        let numbers: Vec<u8> = line
            .split(',')
            .filter_map(|number| number.parse().ok())
            .collect();
        if let [pixels @ .., label] = numbers.as_slice() {
            images
                .pixels
                .extend(pixels.iter().map(|&pixel| f32::from(pixel) / 16.0));
            images.labels.push(i64::from(*label));
        }
    }
    images
}

/// Reads `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, gzipped or not, from `folder`.
fn from_idx(folder: &Path) -> Result<Images> {
    let (path, bytes) = read_idx(folder, "train-images-idx3-ubyte")?;
    let [count, height, width] = idx_header(&path, &bytes)?;
    let (label_path, label_bytes) = read_idx(folder, "train-labels-idx1-ubyte")?;
    let [labels] = idx_header(&label_path, &label_bytes)?;
    if labels != count || count * height * width == 0 {
        return Err(Error::input(
            &label_path,
            format!("{labels} labels for {count} images"),
        ));
    }
    let pixels = bytes[16..]
        .iter()
        .map(|&pixel| f32::from(pixel) / 255.0)
        .collect();
    let labels = label_bytes[8..]
        .iter()
        .map(|&label| i64::from(label))
        .collect();
    Ok(Images {
        height,
        width,
        pixels,
        labels,
    })
}

fn read_idx(folder: &Path, name: &str) -> Result<(std::path::PathBuf, Vec<u8>)> {
    let plain = folder.join(name);
    if plain.exists() {
        let bytes = fs::read(&plain).map_err(|e| Error::io("read", &plain, e))?;
        return Ok((plain, bytes));
    }
    let zipped = folder.join(format!("{name}.gz"));
    let file = fs::File::open(&zipped).map_err(|_| {
        Error::input(
            folder,
            format!("it holds neither {name} nor {name}.gz, the IDX files of MNIST"),
        )
    })?;
    let mut bytes = Vec::new();
    GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::input(&zipped, e.to_string()))?;
    Ok((zipped, bytes))
}

/// The sizes in an IDX file of unsigned bytes with `N` dimensions, checked against its length.
fn idx_header<const N: usize>(path: &Path, bytes: &[u8]) -> Result<[usize; N]> {
    let wrong = |what: String| Error::input(path, what);
    let start = 4 + 4 * N;
    if bytes.len() < start || bytes[..3] != [0, 0, 8] || usize::from(bytes[3]) != N {
        return Err(wrong(format!(
            "it is no IDX file of bytes with {N} dimensions"
        )));
    }
    let sizes = std::array::from_fn(|at| {
        let at = 4 + 4 * at;
        u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
    });
    let expected = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if expected != Some(bytes.len() - start) {
        return Err(wrong(format!(
            "its header says {sizes:?}, but it holds {} bytes of data",
            bytes.len() - start
        )));
    }
    Ok(sizes)
}

fn to_i64(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_digits_are_1797_images_of_ten_classes() {
        let images = embedded();
        assert_eq!(images.labels.len(), 1797);
        assert_eq!(images.pixels.len(), 1797 * 64);
        for label in 0..10 {
            assert!(images.labels.iter().filter(|&&one| one == label).count() > 150);
        }
    }

    #[test]
    fn idx_files_are_read_and_damaged_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let images = [
            &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3][..],
            &[0, 255, 0, 51, 0, 0],
        ]
        .concat();
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 4, 9];
        fs::write(folder.path().join("train-images-idx3-ubyte"), &images).unwrap();
        fs::write(folder.path().join("train-labels-idx1-ubyte"), labels).unwrap();
        let read = from_idx(folder.path()).unwrap();
        assert_eq!((read.height, read.width, read.labels), (1, 3, vec![4, 9]));
        assert_eq!(read.pixels, [0.0, 1.0, 0.0, 0.2, 0.0, 0.0]);
        fs::write(folder.path().join("train-images-idx3-ubyte"), &images[..20]).unwrap();
        assert!(matches!(from_idx(folder.path()), Err(Error::Input { .. })));
        fs::write(folder.path().join("train-images-idx3-ubyte"), b"hello").unwrap();
        assert!(matches!(from_idx(folder.path()), Err(Error::Input { .. })));
        assert!(from_idx(&folder.path().join("nowhere")).is_err());
    }
}
