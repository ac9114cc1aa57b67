//! Lists that are made, filled up, chosen from by other lists, and ordered as told.

use super::arguments::Arguments;
use super::items::{Item, check_elements, element_or_null, push, scalar_of, write};
use super::{Function, Parameter, Returns};
use columnar::packed::MAX_ELEMENTS;
use columnar::types::{TypeError, list_of, struct_of};
use columnar::{DataType, Error, Result, Scalar, Vector};

const LIST: Parameter = Parameter::List;
const ELEMENT: Parameter = Parameter::Element;
const PLACE: Parameter = Parameter::Exact(DataType::Int64);
const TEXT: Parameter = Parameter::Exact(DataType::Varchar);

fn list_of_first(types: &[DataType]) -> std::result::Result<DataType, TypeError> {
    list_of(types.first().copied().map_or(DataType::Null, element_or_null))
}

pub(super) fn functions() -> Vec<Function> {
    let same = || Returns::Nested(list_of_first);
    vec![
        Function::new(
            "list_zip",
            "Rows of the elements at one place of each list, nulls where one is shorter.",
            "len(list_zip([1, 2], ['a'])) → 2",
        )
        .aliases(&["array_zip"])
        .with_fallible(
            &[Parameter::OtherList],
            Returns::Nested(|types| {
                list_of(struct_of(types.iter().map(|&list| (String::new(), element_or_null(list))))?)
            }),
            zip,
        )
        .variadic()
        .sees_nulls(),
        Function::new(
            "list_resize",
            "A list of so many elements, filled up with a value.",
            "list_resize([1], 3, 0) → [1, 0, 0]",
        )
        .aliases(&["array_resize"])
        .with_fallible(&[LIST, PLACE], same(), resize)
        .sees_nulls()
        .grows()
        .with_fallible(&[LIST, PLACE, ELEMENT], same(), resize)
        .sees_nulls()
        .grows(),
        series(
            "range",
            "The numbers from one on and below another.",
            "range(3) → [0, 1, 2]",
            |args, data_type| count(args, data_type, false),
        ),
        series(
            "generate_series",
            "The numbers from one to another.",
            "list_sum(generate_series(1, 3)) → 6",
            |args, data_type| count(args, data_type, true),
        ),
        Function::new(
            "list_where",
            "The elements at the places where the second list is true.",
            "list_where([1, 2, 3], [true, false, true]) → [1, 3]",
        )
        .aliases(&["array_where"])
        .with(
            &[Parameter::OtherList, Parameter::Exact(list_type(DataType::Boolean))],
            same(),
            |args, data_type| {
                args.map_packed(data_type, |row, out| {
                    let kept = args.items(1, row)?;
                    let items = args.items(0, row)?.into_iter().enumerate();
                    let kept = |place: usize| kept.get(place).is_some_and(|keeps| *keeps == Some(&[1][..]));
                    write(out, items.filter(|(place, _)| kept(*place)).map(|(_, item)| item)).map(|()| true)
                })
            },
        ),
        Function::new(
            "list_select",
            "The elements at the places of the second list.",
            "list_select([4, 5, 6], [3, 1]) → [6, 4]",
        )
        .aliases(&["array_select"])
        .with_fallible(&[Parameter::OtherList, Parameter::OtherList], same(), select),
        Function::new(
            "array_replace",
            "A list with one value in place of another.",
            "array_replace([1, 2], 1, 5) → [5, 2]",
        )
        .with(&[LIST, ELEMENT, ELEMENT], same(), |args, data_type| {
            args.map_packed(data_type, |row, out| {
                if args.is_null(0, row) {
                    return Ok(false);
                }
                let (old, new) = (args.packed(1, row)?, args.packed(2, row)?);
                let changed = |item| if item == old.as_deref() { new.as_deref() } else { item };
                write(out, args.items(0, row)?.into_iter().map(changed)).map(|()| true)
            })
        })
        .sees_nulls(),
        Function::new("trim_array", "A list without its last elements.", "trim_array([1, 2, 3], 2) → [1]")
            .with_fallible(&[LIST, PLACE], same(), |args, data_type| {
                args.map_packed(data_type, |row, out| {
                    let items = args.items(0, row)?;
                    let gone = usize::try_from(args.long(1, row)?).ok().filter(|gone| *gone <= items.len());
                    let gone = gone.ok_or_else(|| {
                        Error::Told(format!("trim_array takes 0 to {} elements away", items.len()))
                    })?;
                    write(out, items[..items.len() - gone].iter().copied()).map(|()| true)
                })
            }),
        Function::new("list_sort", "", "").with_fallible(&[LIST, TEXT], same(), sort).with_fallible(
            &[LIST, TEXT, TEXT],
            same(),
            sort,
        ),
    ]
}

/// A list type that is always there.
fn list_type(element: DataType) -> DataType {
    list_of(element).unwrap_or(DataType::Null)
}

fn series(
    name: &'static str,
    description: &'static str,
    example: &'static str,
    run: super::arguments::Run,
) -> Function {
    let mut function = Function::new(name, description, example);
    for arguments in 1..=3 {
        function = function
            .with_fallible(&vec![PLACE; arguments], Returns::Nested(|_| list_of(DataType::Int64)), run)
            .grows();
    }
    function
}

/// The position behind a place from 1, or from the end.
fn place_of(place: i64, len: usize) -> Option<usize> {
    let place = if place < 0 { place.checked_add(len as i64)? } else { place.checked_sub(1)? };
    usize::try_from(place).ok().filter(|place| *place < len)
}

fn sort(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        let word = |index: usize| args.text(index, row).trim().to_ascii_uppercase();
        let descending = match word(1).as_str() {
            "ASC" | "ASCENDING" => false,
            "DESC" | "DESCENDING" => true,
            other => return Err(Error::Told(format!("a list is sorted ASC or DESC, not {other}"))),
        };
        let nulls_first = match args.len() {
            0..=2 => false,
            _ => match word(2).as_str() {
                "NULLS FIRST" => true,
                "NULLS LAST" => false,
                other => {
                    return Err(Error::Told(format!(
                        "nulls are sorted NULLS FIRST or NULLS LAST, not {other}"
                    )));
                }
            },
        };
        let items = args.items(0, row)?;
        let mut known: Vec<&[u8]> = items.iter().copied().flatten().collect();
        let nulls = items.len() - known.len();
        known.sort_unstable();
        if descending {
            known.reverse();
        }
        let (before, after) = if nulls_first { (nulls, 0) } else { (0, nulls) };
        let null = |count| std::iter::repeat_n(None, count);
        write(out, null(before).chain(known.into_iter().map(Some)).chain(null(after))).map(|()| true)
    })
}

fn zip(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        let lists =
            (0..args.len()).map(|index| args.items_or_none(index, row)).collect::<Result<Vec<_>>>()?;
        for place in 0..lists.iter().map(Vec::len).max().unwrap_or(0) {
            out.push(1);
            lists.iter().for_each(|list| push(out, list.get(place).copied().flatten()));
        }
        out.push(0);
        Ok(true)
    })
}

fn resize(args: &Arguments, data_type: DataType) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        if args.is_null(0, row) || args.is_null(1, row) {
            return Ok(false);
        }
        let wanted = args.long(1, row)?;
        let wanted = usize::try_from(wanted)
            .map_err(|_| Error::Told(format!("a list cannot have {wanted} elements")))?;
        check_elements(wanted)?;
        let filling = if args.len() > 2 { args.packed(2, row)? } else { None };
        let size = filling.as_ref().map_or(1, |bytes| bytes.len() + 1).saturating_mul(wanted);
        if size > super::items::MOST_BYTES {
            return Err(Error::Told(format!("a list of {size} bytes")));
        }
        let items = args.items(0, row)?.into_iter().chain(std::iter::repeat(filling.as_deref()));
        write(out, items.take(wanted)).map(|()| true)
    })
}

/// Numbers with a step; the last one too if `inclusive`.
fn count(args: &Arguments, data_type: DataType, inclusive: bool) -> Result<Vector> {
    args.map_packed(data_type, |row, out| {
        let arg = |index: usize| args.long(index, row).map(i128::from);
        let (start, stop) = if args.len() == 1 { (0, arg(0)?) } else { (arg(0)?, arg(1)?) };
        let step = if args.len() > 2 { arg(2)? } else { 1 };
        if step == 0 {
            return Err(Error::Told("the step of a series is 0".into()));
        }
        // With the end, one more where it is met.
        let reach = if step > 0 { stop - start } else { start - stop } + i128::from(inclusive);
        let numbers = if reach <= 0 { 0 } else { (reach + step.abs() - 1) / step.abs() };
        if numbers > MAX_ELEMENTS as i128 {
            return Err(Error::Told(format!("a list of {numbers} elements; at most {MAX_ELEMENTS}")));
        }
        out.reserve(numbers as usize * 9 + 1);
        for number in 0..numbers {
            super::items::push_scalar(out, &Scalar::Integer(start + number * step), DataType::Int64)?;
        }
        out.push(0);
        Ok(true)
    })
}

fn select(args: &Arguments, data_type: DataType) -> Result<Vector> {
    let places = element_or_null(args.data_type(1));
    if !places.is_integer() && places != DataType::Null {
        return Err(Error::Told(format!(
            "list_select takes a list of integers as its places, not of {places}"
        )));
    }
    args.map_packed(data_type, |row, out| {
        let items = args.items(0, row)?;
        let mut chosen: Vec<Item<'_>> = Vec::new();
        for place in args.items(1, row)? {
            let place = scalar_of(place, places)?.as_integer().and_then(|place| i64::try_from(place).ok());
            chosen.push(
                place
                    .filter(|place| *place > 0)
                    .and_then(|place| place_of(place, items.len()))
                    .and_then(|place| items[place]),
            );
        }
        write(out, chosen).map(|()| true)
    })
}
