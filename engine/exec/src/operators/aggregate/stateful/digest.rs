//! Quantiles, about: a t-digest (Dunning and Ertl, "Computing Extremely Accurate Quantiles Using t-Digests", 2019). Values
//! are merged into centroids, the more the farther they are from both ends; up to [`BUFFER`] values are kept as they are.

use super::folded::Fold;
use super::{integer, out_of_range};
use crate::Result;
use columnar::{DataType, Flat, Scalar, Values};

/// `approx_quantile`; the fraction is that of the rows, which states carry along.
pub(super) struct Quantile {
    pub(super) fraction: Option<f64>,
}

/// Values held before they are merged.
const BUFFER: usize = 512;
/// About half as many centroids are left, and never more.
const COMPRESSION: f64 = 400.0;

/// Some neighbouring values.
#[derive(Clone, Copy)]
struct Centroid {
    mean: f64,
    weight: f64,
}

#[derive(Clone, Default)]
pub(super) struct Digest {
    fraction: f64,
    /// By their means, unless `open` ones follow.
    centroids: Vec<Centroid>,
    /// How many at the end are not merged yet.
    open: usize,
    least: f64,
    most: f64,
}

impl Digest {
    fn add(&mut self, centroid: Centroid) {
        self.centroids.push(centroid);
        self.open += 1;
        if self.open > BUFFER {
            self.compress();
        }
    }

    fn widen(&mut self, least: f64, most: f64) {
        let first = self.centroids.is_empty();
        let order = columnar::scalar::compare_floats;
        if first || order(least, self.least).is_lt() {
            self.least = least;
        }
        if first || order(most, self.most).is_gt() {
            self.most = most;
        }
    }

    /// Merges neighbours as far as the scale function `k(q) = δ/2π · asin(2q − 1)` lets them grow.
    fn compress(&mut self) {
        let mut centroids = std::mem::take(&mut self.centroids);
        centroids.sort_by(|a, b| columnar::scalar::compare_floats(a.mean, b.mean));
        let total: f64 = centroids.iter().map(|centroid| centroid.weight).sum();
        let scale = COMPRESSION / std::f64::consts::TAU;
        let limit_after = |before: f64| {
            let k = scale * (2.0 * before / total - 1.0).clamp(-1.0, 1.0).asin() + 1.0;
            let angle = (k / scale).min(std::f64::consts::FRAC_PI_2);
            total * (angle.sin() + 1.0) / 2.0
        };
        let mut merged: Vec<Centroid> = Vec::with_capacity(centroids.len().min(COMPRESSION as usize));
        let (mut before, mut limit) = (0.0, limit_after(0.0));
        for centroid in centroids {
            match merged.last_mut() {
                Some(last) if before + last.weight + centroid.weight <= limit => {
                    let weight = last.weight + centroid.weight;
                    if last.mean != centroid.mean {
                        last.mean += (centroid.mean - last.mean) * (centroid.weight / weight);
                    }
                    last.weight = weight;
                }
                last => {
                    before += last.map_or(0.0, |last| last.weight);
                    limit = limit_after(before);
                    merged.push(centroid);
                }
            }
        }
        (self.centroids, self.open) = (merged, 0);
    }

    /// The value below which about that part of the values lies.
    fn quantile(&self) -> f64 {
        let mut centroids = self.centroids.clone();
        centroids.sort_by(|a, b| columnar::scalar::compare_floats(a.mean, b.mean));
        let total: f64 = centroids.iter().map(|centroid| centroid.weight).sum();
        let wanted = self.fraction * total;
        // Half of a centroid lies on each side of its mean; between two means values lie evenly.
        let (mut place, mut value) = (0.0, self.least);
        let mut before = 0.0;
        for centroid in &centroids {
            let middle = before + centroid.weight / 2.0;
            if wanted <= middle {
                return between(value, centroid.mean, (wanted - place) / (middle - place));
            }
            (place, value) = (middle, centroid.mean);
            before += centroid.weight;
        }
        match total > place {
            true => between(value, self.most, (wanted - place) / (total - place)),
            false => self.most,
        }
    }

    fn bytes(&self) -> isize {
        (self.centroids.capacity() * size_of::<Centroid>()) as isize
    }
}

/// The value that lies that part of the way from one to another.
fn between(from: f64, to: f64, part: f64) -> f64 {
    if from == to || part <= 0.0 || part.is_nan() {
        return from;
    }
    if part >= 1.0 { to } else { from * (1.0 - part) + to * part }
}

/// The most centroids that are held at a time.
const MOST_CENTROIDS: usize = 2 * (COMPRESSION as usize + BUFFER + 1);

impl Fold for Quantile {
    type State = Digest;

    fn update(&self, states: &mut [Digest], groups: &[u32], args: &[Flat]) -> Result<isize> {
        let fraction = self.fraction.unwrap_or(0.5);
        let mut grown = 0;
        for (row, &group) in groups.iter().enumerate() {
            let value = match &args[0].values {
                Values::F64(values) => values[row],
                Values::F32(values) => values[row].into(),
                values => integer(values, row)? as f64,
            };
            let state = &mut states[group as usize];
            grown -= state.bytes();
            state.fraction = fraction;
            state.widen(value, value);
            state.add(Centroid { mean: value, weight: 1.0 });
            grown += state.bytes();
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut Digest, other: &Digest) -> Result<isize> {
        let before = state.bytes();
        state.fraction = other.fraction;
        state.widen(other.least, other.most);
        other.centroids.iter().for_each(|&centroid| state.add(centroid));
        Ok(state.bytes() - before)
    }

    fn is_empty(&self, state: &Digest) -> bool {
        state.centroids.is_empty()
    }

    fn finish(&self, state: &Digest, data_type: DataType) -> Result<Scalar> {
        let value = state.quantile();
        if data_type.is_float() {
            return Ok(Scalar::Float(value));
        }
        let (least, most) = data_type.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
        match value.is_finite() {
            true => Ok(Scalar::Integer((value.round() as i128).clamp(least, most))),
            false => Err(out_of_range("approx_quantile", data_type)),
        }
    }

    fn write(&self, state: &Digest) -> Vec<u8> {
        let numbers = [state.fraction, state.least, state.most];
        let centroids = state.centroids.iter().flat_map(|centroid| [centroid.mean, centroid.weight]);
        numbers.into_iter().chain(centroids).flat_map(f64::to_le_bytes).collect()
    }

    fn read(&self, bytes: &[u8]) -> Option<Digest> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (numbers, odd) = (numbers.iter().map(|&number| f64::from_le_bytes(number)), rest.is_empty());
        let numbers: Vec<f64> = numbers.collect();
        let [fraction, least, most, centroids @ ..] = numbers.as_slice() else { return None };
        let (pairs, rest) = centroids.as_chunks::<2>();
        if !odd || !rest.is_empty() || !(0.0..=1.0).contains(fraction) || pairs.len() > MOST_CENTROIDS {
            return None;
        }
        let centroids: Vec<Centroid> =
            pairs.iter().map(|&[mean, weight]| Centroid { mean, weight }).collect();
        let sound = centroids.iter().all(|centroid| centroid.weight >= 1.0 && centroid.weight.is_finite());
        let open = centroids.len();
        sound.then_some(Digest { fraction: *fraction, centroids, open, least: *least, most: *most })
    }

    fn most_growth(&self, args: &[Flat]) -> usize {
        // A list doubles as it grows, from four on.
        args.first().map_or(0, |flat| flat.len() * 4 * size_of::<Centroid>() * 2)
            + MOST_CENTROIDS * size_of::<Centroid>()
    }

    fn most_read(&self, bytes: usize) -> usize {
        2 * bytes + MOST_CENTROIDS * size_of::<Centroid>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(values: impl IntoIterator<Item = f64>) -> Digest {
        let mut digest = Digest::default();
        for value in values {
            digest.widen(value, value);
            digest.add(Centroid { mean: value, weight: 1.0 });
        }
        digest
    }

    fn asked(digest: &Digest, fraction: f64) -> f64 {
        Digest { fraction, ..digest.clone() }.quantile()
    }

    #[test]
    fn few_values_give_themselves() {
        let three = digest([3.0, 1.0, 2.0]);
        assert_eq!([0.0, 0.5, 1.0].map(|fraction| asked(&three, fraction)), [1.0, 2.0, 3.0]);
        assert_eq!(asked(&digest([7.0]), 0.3), 7.0);
    }

    #[test]
    fn ranks_are_right_to_a_hundredth_however_values_come_together() {
        let count = 200_000_u32;
        let values: Vec<f64> =
            (0..count).map(|value| f64::from(value.wrapping_mul(2_654_435_761) % count)).collect();
        let whole = digest(values.iter().copied());
        let mut merged = Digest::default();
        for part in values.chunks(31_337) {
            let fold = Quantile { fraction: Some(0.5) };
            let part = fold.read(&fold.write(&digest(part.iter().copied()))).unwrap();
            fold.merge(&mut merged, &part).unwrap();
        }
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        for digest in [whole, merged] {
            for fraction in [0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0] {
                let found = asked(&digest, fraction);
                let rank = sorted.partition_point(|&value| value < found) as f64 / f64::from(count);
                let allowed = 0.0005 + 0.02 * fraction * (1.0 - fraction);
                assert!((rank - fraction).abs() <= allowed, "{fraction}: {rank}");
            }
            assert!(digest.centroids.len() <= MOST_CENTROIDS);
        }
    }
}
