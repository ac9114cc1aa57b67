//! The arguments of a call as typed columns, and the ways to make a result of them row by row.

use columnar::bitmap::both_valid;
use columnar::kernels::cast::{integer_at, integers_to_double, to_width};
use columnar::view::ViewsBuilder;
use columnar::{Bitmap, DataType, Flat, Interval, PhysicalType, Result, Values, Vector, View, Views};

/// What the texts of one result may take: a batch of long texts must not take the machine's memory.
pub(crate) const MOST_TEXT_BYTES: usize = 512 << 20;

/// The code of an overload.
pub(super) type Run = fn(&Arguments, DataType) -> Result<Vector>;

/// Flat arguments and the rows to compute.
pub(super) struct Arguments {
    pub(super) flats: Vec<Flat>,
    /// The rows whose result is not null from the start; `None`: all.
    pub(super) validity: Option<Bitmap>,
    pub(super) rows: usize,
}

impl Arguments {
    pub(super) fn new(args: &[Vector], rows: usize, strict: bool) -> Arguments {
        let flats: Vec<Flat> = args.iter().map(Vector::flatten).collect();
        let validity = if strict {
            flats.iter().fold(None, |valid, flat| both_valid(valid.as_ref(), flat.validity.as_ref()))
        } else {
            None
        };
        Arguments { flats, validity, rows }
    }

    pub(super) fn len(&self) -> usize {
        self.flats.len()
    }

    /// How many arguments are null in a row.
    pub(super) fn nulls(&self, row: usize) -> usize {
        self.flats.iter().filter(|flat| flat.is_null(row)).count()
    }

    /// An integral argument as 64-bit integers (for types of at most that width).
    pub(super) fn longs(&self, index: usize) -> Vec<i64> {
        match to_width(&self.flats[index].values, PhysicalType::I64) {
            Values::I64(values) => values.to_vec(),
            _ => vec![0; self.rows],
        }
    }

    /// An integral argument at full width.
    pub(super) fn integers(&self, index: usize) -> Vec<i128> {
        match &self.flats[index].values {
            Values::F32(_) | Values::F64(_) => vec![0; self.rows],
            values => (0..self.rows).map(|row| integer_at(values, row)).collect(),
        }
    }

    pub(super) fn floats(&self, index: usize) -> Vec<f64> {
        match &self.flats[index].values {
            Values::F32(values) => values.iter().map(|&value| value.into()).collect(),
            Values::F64(values) => values.to_vec(),
            values => integers_to_double(values, 1.0).unwrap_or_else(|| vec![0.0; self.rows]),
        }
    }

    pub(super) fn intervals(&self, index: usize) -> Vec<Interval> {
        match &self.flats[index].values {
            Values::Interval(values) => values.to_vec(),
            _ => vec![Interval::default(); self.rows],
        }
    }

    /// The text of one row of an argument.
    pub(super) fn text(&self, index: usize, row: usize) -> &str {
        // Text is checked where it enters; a view that is not UTF-8 can only come from a damaged segment.
        std::str::from_utf8(self.bytes(index, row)).unwrap_or("\u{fffd}")
    }

    /// The short text that an argument is in all rows, if it is.
    pub(super) fn constant_text(&self, index: usize) -> Option<&str> {
        match &self.flats[index].values {
            Values::View(views) => {
                let first = views.raw().first().filter(|first| View(**first).is_inline())?;
                views.raw().iter().all(|view| view == first).then(|| self.text(index, 0))
            }
            _ => None,
        }
    }

    pub(super) fn bytes(&self, index: usize, row: usize) -> &[u8] {
        match &self.flats[index].values {
            Values::View(views) => views.get(row),
            _ => &[],
        }
    }

    pub(super) fn data_type(&self, index: usize) -> DataType {
        self.flats[index].data_type
    }

    pub(super) fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|validity| validity.get(row))
    }

    fn finish(&self, data_type: DataType, values: Values) -> Vector {
        Flat::new(data_type, values, self.validity.clone()).into()
    }

    /// A result of integers, computed for the rows that are not null.
    pub(super) fn map_integers(
        &self,
        data_type: DataType,
        mut compute: impl FnMut(usize) -> Result<i128>,
    ) -> Result<Vector> {
        let compute = |row| if self.is_valid(row) { compute(row) } else { Ok(0) };
        Ok(self.finish(data_type, integers((0..self.rows).map(compute), data_type.physical())?))
    }

    /// A result of integers of 64 bits out of the first argument, whose strings `compute` gets with their rows.
    pub(super) fn map_views(&self, data_type: DataType, compute: impl Fn(&Views, usize) -> usize) -> Vector {
        let values: Vec<i64> = match &self.flats[0].values {
            Values::View(views) => (0..self.rows)
                .map(|row| if self.is_valid(row) { compute(views, row) as i64 } else { 0 })
                .collect(),
            _ => vec![0; self.rows],
        };
        self.finish(data_type, Values::I64(values.into()))
    }

    pub(super) fn map_floats(
        &self,
        data_type: DataType,
        mut compute: impl FnMut(usize) -> Result<f64>,
    ) -> Result<Vector> {
        let mut compute = |row| if self.is_valid(row) { compute(row) } else { Ok(0.0) };
        let values = if data_type.physical() == PhysicalType::F32 {
            Values::F32(
                (0..self.rows).map(|row| Ok(compute(row)? as f32)).collect::<Result<Vec<_>>>()?.into(),
            )
        } else {
            Values::F64((0..self.rows).map(compute).collect::<Result<Vec<_>>>()?.into())
        };
        Ok(self.finish(data_type, values))
    }

    pub(super) fn map_booleans(&self, mut compute: impl FnMut(usize) -> bool) -> Result<Vector> {
        let bits = Bitmap::from_fn(self.rows, |row| self.is_valid(row) && compute(row));
        Ok(self.finish(DataType::Boolean, Values::Bool(bits)))
    }

    /// What the code says of each row that is not null; `false` of the others.
    pub(super) fn each(&self, mut compute: impl FnMut(usize) -> Result<bool>) -> Result<Vec<bool>> {
        (0..self.rows).map(|row| if self.is_valid(row) { compute(row) } else { Ok(false) }).collect()
    }

    pub(super) fn map_intervals(&self, mut compute: impl FnMut(usize) -> Result<Interval>) -> Result<Vector> {
        let compute = |row| if self.is_valid(row) { compute(row) } else { Ok(Interval::default()) };
        let values = (0..self.rows).map(compute).collect::<Result<Vec<_>>>()?;
        Ok(self.finish(DataType::Interval, Values::Interval(values.into())))
    }

    /// A result of text: the code appends a row's text to the buffer it is given.
    pub(super) fn map_text(&self, compute: impl FnMut(usize, &mut Vec<u8>) -> Result<()>) -> Result<Vector> {
        self.map_bytes(DataType::Varchar, compute)
    }

    /// As [`Arguments::map_text`], of text or bytes.
    pub(super) fn map_bytes(
        &self,
        data_type: DataType,
        mut compute: impl FnMut(usize, &mut Vec<u8>) -> Result<()>,
    ) -> Result<Vector> {
        let (mut builder, mut buffer, mut bytes) = (ViewsBuilder::default(), Vec::new(), 0);
        for row in 0..self.rows {
            buffer.clear();
            if self.is_valid(row) {
                compute(row, &mut buffer)?;
            }
            bytes += buffer.len();
            if bytes > MOST_TEXT_BYTES {
                return Err(out_of_range("the texts that a function makes at once"));
            }
            builder.push(&buffer);
        }
        Ok(self.finish(data_type, Values::View(builder.finish())))
    }

    /// A result with nulls in the rows for which the code gives nothing.
    pub(super) fn or_null<T: Default>(
        &self,
        mut compute: impl FnMut(usize) -> Result<Option<T>>,
        finish: impl FnOnce(&Arguments, Vec<T>) -> Result<Vector>,
    ) -> Result<Vector> {
        let mut found = Vec::with_capacity(self.rows);
        let mut values = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            let value = if self.is_valid(row) { compute(row)? } else { None };
            found.push(value.is_some());
            values.push(value.unwrap_or_default());
        }
        let validity = (!found.iter().all(|&found| found))
            .then(|| Bitmap::from_fn(self.rows, |row| found.get(row).copied().unwrap_or(false)));
        finish(&Arguments { flats: Vec::new(), validity, rows: self.rows }, values)
    }

    /// The rows in which an argument is not null, for functions that see the nulls of others.
    pub(super) fn where_valid(&self, index: usize) -> Arguments {
        Arguments { flats: Vec::new(), validity: self.flats[index].validity.clone(), rows: self.rows }
    }
}

/// What was made of the text of the row before: constants are looked at once a batch.
pub(super) struct Memo<T> {
    last: Option<(String, T)>,
}

impl<T> Memo<T> {
    pub(super) fn new() -> Memo<T> {
        Memo { last: None }
    }

    pub(super) fn get(&mut self, text: &str, make: impl FnOnce(&str) -> Result<T>) -> Result<&T> {
        let known = self.last.take().filter(|(known, _)| known == text);
        let entry = match known {
            Some(entry) => entry,
            None => (text.to_owned(), make(text)?),
        };
        Ok(&self.last.insert(entry).1)
    }
}

fn integers(values: impl Iterator<Item = Result<i128>>, physical: PhysicalType) -> Result<Values> {
    Ok(match physical {
        PhysicalType::I8 => Values::I8(values.map(|v| Ok(v? as i8)).collect::<Result<Vec<_>>>()?.into()),
        PhysicalType::I16 => Values::I16(values.map(|v| Ok(v? as i16)).collect::<Result<Vec<_>>>()?.into()),
        PhysicalType::I32 => Values::I32(values.map(|v| Ok(v? as i32)).collect::<Result<Vec<_>>>()?.into()),
        PhysicalType::I64 => Values::I64(values.map(|v| Ok(v? as i64)).collect::<Result<Vec<_>>>()?.into()),
        _ => Values::I128(values.collect::<Result<Vec<_>>>()?.into()),
    })
}

/// The value, or an error that names the operation if it leaves the bounds of its type.
pub(super) fn in_range(value: i128, data_type: DataType, what: &str) -> Result<i128> {
    match data_type.integer_bounds() {
        Some((low, high)) if value < low || value > high => Err(out_of_range(what)),
        _ => Ok(value),
    }
}

pub(super) fn out_of_range(what: &str) -> columnar::Error {
    columnar::Error::OutOfRange { what: what.to_owned() }
}
