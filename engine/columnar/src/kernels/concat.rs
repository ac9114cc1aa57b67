//! Vectors one after the other.

use crate::{
    Bitmap, Buffer, Bytes, Codes, Constant, DataType, DictionaryVector, Flat, PhysicalType, Values, Vector,
    View, Views, bitmap,
};
use std::sync::Arc;

/// The rows of `vectors` in order. All have one logical type and one width. Constants of one value and codes
/// of one dictionary stay what they are; anything else becomes flat. `None` where there is no vector.
pub fn concat(vectors: &[&Vector]) -> Option<Vector> {
    match vectors {
        [] => None,
        [one] => Some((*one).clone()),
        _ => Some(
            concat_constants(vectors)
                .or_else(|| concat_codes(vectors))
                .unwrap_or_else(|| concat_flat(vectors)),
        ),
    }
}

fn concat_constants(vectors: &[&Vector]) -> Option<Vector> {
    let Vector::Constant(first) = vectors[0] else { return None };
    let mut len = 0;
    for vector in vectors {
        match vector {
            Vector::Constant(constant) if constant.value.is_identical(&first.value) => len += constant.len,
            _ => return None,
        }
    }
    Some(Vector::Constant(Constant { len, ..first.clone() }))
}

fn concat_codes(vectors: &[&Vector]) -> Option<Vector> {
    let Vector::Dictionary(first) = vectors[0] else { return None };
    let parts: Option<Vec<&DictionaryVector>> = vectors
        .iter()
        .map(|vector| match vector {
            Vector::Dictionary(part) if part.dictionary.id == first.dictionary.id => Some(part),
            _ => None,
        })
        .collect();
    let parts = parts?;
    macro_rules! same_width {
        ($($width:ident),*) => {
            match &first.codes {
                $(Codes::$width(_) if parts.iter().all(|part| matches!(part.codes, Codes::$width(_))) => {
                    let slices: Vec<_> = parts
                        .iter()
                        .filter_map(|part| if let Codes::$width(codes) = &part.codes { Some(&codes[..]) } else { None })
                        .collect();
                    Codes::$width(slices.concat().into())
                })*
                _ => Codes::U32(parts.iter().flat_map(|part| part.codes.to_indices()).collect()),
            }
        };
    }
    let codes = same_width!(U8, U16, U32);
    let validity =
        concat_validity(parts.iter().map(|part| (part.validity.as_ref(), part.codes.len())), codes.len());
    Some(Vector::Dictionary(DictionaryVector { codes, dictionary: first.dictionary.clone(), validity }))
}

fn concat_flat(vectors: &[&Vector]) -> Vector {
    let flats: Vec<Flat> = vectors.iter().map(|vector| vector.flatten()).collect();
    let data_type: DataType = flats[0].data_type;
    let physical: PhysicalType = flats[0].values.physical();
    debug_assert!(flats.iter().all(|flat| flat.values.physical() == physical));
    let len = flats.iter().map(Flat::len).sum();
    macro_rules! numbers {
        ($width:ident) => {
            Values::$width(
                flats
                    .iter()
                    .filter_map(|flat| {
                        if let Values::$width(values) = &flat.values { Some(&values[..]) } else { None }
                    })
                    .collect::<Vec<_>>()
                    .concat()
                    .into(),
            )
        };
    }
    let values = match physical {
        PhysicalType::Bool => Values::Bool(concat_bits(
            flats.iter().map(|flat| match &flat.values {
                Values::Bool(bits) => (Some(bits), bits.len()),
                _ => (None, 0),
            }),
            len,
        )),
        PhysicalType::I8 => numbers!(I8),
        PhysicalType::I16 => numbers!(I16),
        PhysicalType::I32 => numbers!(I32),
        PhysicalType::I64 => numbers!(I64),
        PhysicalType::I128 => numbers!(I128),
        PhysicalType::F32 => numbers!(F32),
        PhysicalType::F64 => numbers!(F64),
        PhysicalType::Interval => Values::Interval(
            flats
                .iter()
                .flat_map(|flat| if let Values::Interval(values) = &flat.values { &values[..] } else { &[] })
                .copied()
                .collect(),
        ),
        PhysicalType::View => Values::View(concat_views(&flats, len)),
    };
    let validity = concat_validity(flats.iter().map(|flat| (flat.validity.as_ref(), flat.len())), len);
    Flat::new(data_type, values, validity).into()
}

/// Views over the buffers of all parts; parts that share their list of buffers share it in the result.
fn concat_views(flats: &[Flat], len: usize) -> Views {
    let mut buffers: Vec<Bytes> = Vec::new();
    let mut lists: Vec<(&Arc<[Bytes]>, u32)> = Vec::new();
    let mut views: Vec<u128> = Vec::with_capacity(len);
    for flat in flats {
        let Values::View(part) = &flat.values else { continue };
        let known = lists.iter().find(|(list, _)| Arc::ptr_eq(list, part.buffers()));
        let shift = match known {
            Some((_, shift)) => *shift,
            None => {
                let shift = buffers.len() as u32;
                buffers.extend(part.buffers().iter().cloned());
                lists.push((part.buffers(), shift));
                shift
            }
        };
        match shift {
            0 => views.extend_from_slice(part.raw()),
            _ => views.extend(part.raw().iter().map(|&view| View(view).shifted(shift).0)),
        }
    }
    if let [(list, _)] = lists[..] {
        return Views::new(views.into(), list.clone());
    }
    Views::new(Buffer::from(views), buffers.into())
}

fn concat_validity<'a>(
    parts: impl Iterator<Item = (Option<&'a Bitmap>, usize)> + Clone,
    len: usize,
) -> Option<Bitmap> {
    parts.clone().any(|(validity, _)| validity.is_some()).then(|| concat_bits(parts, len))
}

/// The bits of all parts, `None` standing for set ones.
fn concat_bits<'a>(parts: impl Iterator<Item = (Option<&'a Bitmap>, usize)>, len: usize) -> Bitmap {
    let mut words = vec![0_u64; len.div_ceil(64)];
    let mut at = 0;
    for (bits, part_len) in parts {
        let filled;
        let bits = match bits {
            Some(bits) => bits,
            None => {
                filled = bitmap::Bitmap::filled(true, part_len);
                &filled
            }
        };
        // Bits past the end of a bitmap are clear, so whole words can be joined.
        let (first, shift) = (at / 64, at % 64);
        for (index, &word) in bits.words().iter().enumerate() {
            words[first + index] |= word << shift;
            if shift > 0 && first + index + 1 < words.len() {
                words[first + index + 1] |= word >> (64 - shift);
            }
        }
        at += part_len;
    }
    Bitmap::from_words(words, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dictionary, Scalar, Value};

    fn integers(values: &[Option<i128>]) -> Vector {
        let scalars: Vec<Scalar> =
            values.iter().map(|value| value.map_or(Scalar::Null, Scalar::Integer)).collect();
        Vector::from_scalars(DataType::Int32, &scalars)
    }

    fn scalars(vector: &Vector) -> Vec<Scalar> {
        (0..vector.len()).map(|row| vector.scalar(row)).collect()
    }

    #[track_caller]
    fn check(vectors: &[&Vector]) -> Vector {
        let joined = concat(vectors).unwrap();
        let expected: Vec<Scalar> = vectors.iter().flat_map(|vector| scalars(vector)).collect();
        assert_eq!(scalars(&joined), expected);
        joined
    }

    #[test]
    fn rows_follow_each_other_whatever_the_shape() {
        let many: Vec<Option<i128>> = (0..130).map(|i| (i % 7 != 3).then_some(i)).collect();
        let (a, b) = (integers(&many), integers(&[Some(1)]));
        let constant = Vector::constant(Value::int32(5), 70);
        let null = Vector::constant(Value::null(DataType::Int32), 3);
        check(&[&a, &b, &a]);
        check(&[&b, &constant, &a, &null]);
        check(&[&a, &integers(&[]), &b]);
        assert!(matches!(check(&[&constant, &constant]), Vector::Constant(_)));
        assert!(concat(&[]).is_none());
    }

    #[test]
    fn codes_stay_codes_and_views_find_their_buffers() {
        let strings: Vec<Scalar> = ["short", "a string beyond twelve bytes", "another of such"]
            .map(|s| Scalar::Bytes(s.into()))
            .into();
        let flat = Vector::from_scalars(DataType::Varchar, &strings);
        let other =
            Vector::from_scalars(DataType::Varchar, &[Scalar::Bytes(b"yet another long string".into())]);
        check(&[&flat, &other, &flat]);
        let dictionary = Arc::new(Dictionary::new(flat.flatten(), false));
        let codes = |codes: Codes| {
            Vector::Dictionary(DictionaryVector { codes, dictionary: dictionary.clone(), validity: None })
        };
        let (narrow, wide) = (codes(Codes::U8(vec![2, 0].into())), codes(Codes::U16(vec![1, 1].into())));
        assert!(matches!(check(&[&narrow, &wide]), Vector::Dictionary(_)));
        assert!(matches!(check(&[&narrow, &narrow]), Vector::Dictionary(_)));
        check(&[&narrow, &other]);
        let bits: Vec<Scalar> = (0..100).map(|i| Scalar::Boolean(i % 3 == 0)).collect();
        let bits = Vector::from_scalars(DataType::Boolean, &bits);
        check(&[&bits, &bits, &bits]);
    }
}
