//! Functions that evaluate a lambda for the elements of lists: the body is an ordinary expression over the
//! elements of many rows at once, beside their places and what it captured of their rows.

use super::Compiled;
use super::node::{Input, Node, Operation, plain_shape};
use crate::functions::items::{Item, check_elements, element_of, items_of, push, push_scalar, scalar_of};
use crate::{Error, Expr, Result, Shape};
use columnar::kernels::take;
use columnar::view::ViewsBuilder;
use columnar::{Batch, DataType, Flat, Scalar, Values, Vector};

/// Elements that a body is evaluated for at once.
const CHUNK: usize = 2_048;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Transform,
    Filter,
    Any,
    All,
    Reduce,
}

/// Whether a function of that name takes a lambda, and by which name plans know it.
pub fn function(name: &str) -> Option<&'static str> {
    Some(match name {
        "list_transform" | "array_transform" | "list_apply" | "array_apply" | "apply" => "list_transform",
        "list_filter" | "array_filter" | "filter" => "list_filter",
        "list_reduce" | "array_reduce" | "reduce" => "list_reduce",
        "list_any" | "any_match" => "list_any",
        "list_all" | "all_match" => "list_all",
        _ => return None,
    })
}

/// The call of such a function: a list, a lambda, and for `list_reduce` perhaps a first value.
pub(super) fn compile(
    function: &str,
    args: &[Expr],
    data_type: DataType,
    compile: impl Fn(&Expr) -> Result<Node>,
) -> Result<Node> {
    let kind = match function {
        "list_transform" => Kind::Transform,
        "list_filter" => Kind::Filter,
        "list_reduce" => Kind::Reduce,
        "list_any" => Kind::Any,
        "list_all" => Kind::All,
        other => return Err(Error::Internal(format!("{other} takes no lambda"))),
    };
    let (list, params, captures, body, first) = match args {
        [list, Expr::Lambda { params, captures, body, .. }, first @ ..] if first.len() <= 1 => {
            (list, params, captures, body, first.first())
        }
        _ => return Err(Error::Internal(format!("{function} of other than a list and a lambda"))),
    };
    let mut children = vec![compile(list)?];
    children.extend(first.map(&compile).transpose()?);
    let captured = children.len();
    for capture in captures {
        children.push(compile(capture)?);
    }
    let mut shapes = Shape::of_types(params);
    // Bounds hold for the whole column, so that captures stay narrow.
    shapes.extend(children[captured..].iter().map(|child| child.shape().clone()));
    let body = Compiled::compile(body, &shapes)?;
    let volatile = body.root.is_volatile();
    let fallible = body.is_fallible() || kind == Kind::Reduce;
    let shape = plain_shape(data_type, true);
    let element = element_of(children[0].data_type())
        .ok_or_else(|| Error::Internal(format!("{function} of {}", children[0].data_type())))?;
    let node = Node::unfolded(children, shape, fallible, volatile, |children| {
        Box::new(Lambda {
            kind,
            children,
            captured,
            params: params.clone(),
            body,
            element,
            returns: data_type,
        })
    });
    Ok(node.costly())
}

#[derive(Debug)]
struct Lambda {
    kind: Kind,
    /// The list, perhaps the first value, and what the body captured.
    children: Vec<Node>,
    /// The first child that is captured.
    captured: usize,
    params: Vec<DataType>,
    body: Compiled,
    element: DataType,
    returns: DataType,
}

/// An element on its way into the body.
struct Element<'a> {
    row: usize,
    /// From 1.
    place: usize,
    item: Item<'a>,
}

impl Operation for Lambda {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let columns = self.children.iter().map(|child| child.evaluate(input)).collect::<Result<Vec<_>>>()?;
        let list = columns[0].flatten();
        let Values::View(views) = &list.values else {
            return Err(Error::Internal("a list that is no bytes".into()));
        };
        let mut lists: Vec<Option<Vec<Item<'_>>>> = Vec::with_capacity(input.rows);
        for row in 0..input.rows {
            lists.push(match list.is_null(row) {
                true => None,
                false => Some(items_of(views.get(row), list.data_type)?),
            });
        }
        match self.kind {
            Kind::Reduce => self.reduce(&lists, &columns),
            Kind::Transform | Kind::Filter => self.rebuild(&lists, &columns),
            Kind::Any | Kind::All => self.test(&lists, &columns),
        }
    }
}

impl Lambda {
    /// The body's values for some elements, which are of ascending rows.
    fn body_of(
        &self,
        elements: &[Element<'_>],
        before: Option<(&[Scalar], DataType)>,
        columns: &[Vector],
    ) -> Result<Flat> {
        let scalars = elements.iter().map(|one| scalar_of(one.item, self.element));
        let scalars = scalars.collect::<columnar::Result<Vec<_>>>()?;
        let mut inputs = Vec::with_capacity(self.params.len() + columns.len());
        if let Some((before, data_type)) = before {
            inputs.push(Vector::from_scalars(data_type, before));
        }
        inputs.push(Vector::from_scalars(self.element, &scalars));
        if inputs.len() < self.params.len() {
            let places: Vec<i64> = elements.iter().map(|one| one.place as i64).collect();
            inputs.push(Flat::new(DataType::Int64, Values::I64(places.into()), None).into());
        }
        let rows: Vec<u32> = elements.iter().map(|one| one.row as u32).collect();
        inputs.extend(columns[self.captured..].iter().map(|column| take::take(column, &rows)));
        Ok(self.body.evaluate(&Batch::of_rows(inputs, elements.len()))?.flatten())
    }

    /// Gives the body's values, a chunk of elements after the other.
    fn each<'a>(
        &self,
        lists: &[Option<Vec<Item<'a>>>],
        columns: &[Vector],
        mut take: impl FnMut(&Element<'a>, Scalar) -> Result<()>,
    ) -> Result<()> {
        let mut chunk = Vec::new();
        let mut flush = |chunk: &mut Vec<Element<'a>>| -> Result<()> {
            if !chunk.is_empty() {
                let values = self.body_of(chunk, None, columns)?;
                for (at, element) in chunk.drain(..).enumerate() {
                    take(&element, values.scalar(at))?;
                }
            }
            Ok(())
        };
        for (row, list) in lists.iter().enumerate() {
            for (at, &item) in list.iter().flatten().enumerate() {
                chunk.push(Element { row, place: at + 1, item });
                if chunk.len() == CHUNK {
                    flush(&mut chunk)?;
                }
            }
        }
        flush(&mut chunk)
    }

    fn rebuild(&self, lists: &[Option<Vec<Item<'_>>>], columns: &[Vector]) -> Result<Vector> {
        let mut out: Vec<Vec<u8>> = vec![Vec::new(); lists.len()];
        let mut bytes = 0_usize;
        let made = element_of(self.returns).unwrap_or(DataType::Null);
        self.each(lists, columns, |element, value| {
            let list = &mut out[element.row];
            let before = list.len();
            match self.kind {
                Kind::Filter if value != Scalar::Boolean(true) => {}
                Kind::Filter => push(list, element.item),
                _ => push_scalar(list, &value, made)?,
            }
            bytes += list.len() - before;
            if bytes > crate::functions::items::MOST_BYTES {
                let what = "the size of the lists that a lambda makes at once".to_owned();
                return Err(columnar::Error::OutOfRange { what }.into());
            }
            Ok(())
        })?;
        let mut builder = ViewsBuilder::default();
        for (list, mut bytes) in lists.iter().zip(out) {
            if let Some(items) = list {
                check_elements(items.len())?;
                bytes.push(0);
            }
            builder.push(&bytes);
        }
        Ok(Flat::new(self.returns, Values::View(builder.finish()), known(lists)).into())
    }

    /// Three-valued: null where no element decides and the body is null for one.
    fn test(&self, lists: &[Option<Vec<Item<'_>>>], columns: &[Vector]) -> Result<Vector> {
        let decides = self.kind == Kind::Any;
        let undecided = Scalar::Boolean(!decides);
        let mut found: Vec<Scalar> =
            lists.iter().map(|list| if list.is_some() { undecided.clone() } else { Scalar::Null }).collect();
        self.each(lists, columns, |element, value| {
            match value {
                Scalar::Boolean(value) if value == decides => found[element.row] = Scalar::Boolean(decides),
                Scalar::Null if found[element.row] == undecided => found[element.row] = Scalar::Null,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Vector::from_scalars(DataType::Boolean, &found))
    }

    /// Step by step over all lists that are long enough.
    fn reduce(&self, lists: &[Option<Vec<Item<'_>>>], columns: &[Vector]) -> Result<Vector> {
        let has_first = self.captured > 1;
        let mut values: Vec<Scalar> = Vec::with_capacity(lists.len());
        for (row, list) in lists.iter().enumerate() {
            values.push(match list.as_deref() {
                None => Scalar::Null,
                Some(_) if has_first => columns[1].scalar(row),
                Some([first, ..]) => scalar_of(*first, self.element)?,
                Some([]) => {
                    let message = "list_reduce of an empty list needs a first value as its third argument";
                    return Err(columnar::Error::Told(message.into()).into());
                }
            });
        }
        let longest = lists.iter().flatten().map(Vec::len).max().unwrap_or(0);
        for at in usize::from(!has_first)..longest {
            let all: Vec<Element<'_>> = lists
                .iter()
                .enumerate()
                .filter_map(|(row, list)| {
                    Some(Element { row, place: at + 1, item: *list.as_ref()?.get(at)? })
                })
                .collect();
            for chunk in all.chunks(CHUNK) {
                let before: Vec<Scalar> = chunk.iter().map(|one| values[one.row].clone()).collect();
                let after = self.body_of(chunk, Some((&before, self.returns)), columns)?;
                for (at, one) in chunk.iter().enumerate() {
                    values[one.row] = after.scalar(at);
                }
            }
        }
        Ok(Vector::from_scalars(self.returns, &values))
    }
}

/// Which lists are not null; nothing where all are.
fn known(lists: &[Option<Vec<Item<'_>>>]) -> Option<columnar::Bitmap> {
    lists
        .iter()
        .any(Option::is_none)
        .then(|| columnar::Bitmap::from_fn(lists.len(), |row| lists[row].is_some()))
}
