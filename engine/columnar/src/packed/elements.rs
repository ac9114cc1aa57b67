//! The elements of a packed list, array or map, one after the other, from any place on.

use super::value::{len_of, malformed, scalar_of, string_of};
use crate::error::Result;
use crate::scalar::Scalar;
use crate::types::{DataType, Nested};
use std::borrow::Cow;

/// Before an element that is there, before a null, and after the last one.
const PRESENT: u8 = 1;
const NULL: u8 = 2;
const END: u8 = 0;

/// Walks the elements of packed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    kind: Kind,
    place: Place,
}

/// How far a walk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes that are behind.
    at: usize,
    /// Elements that are behind.
    elements: u32,
}

/// Where the bytes of an element lie; `None` for a null. Those of a map's entry are those of a struct of its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a>(pub Option<&'a [u8]>);

#[derive(Clone, Copy, Debug)]
enum Kind {
    List(DataType),
    Array(DataType, u32),
    Map(DataType, DataType),
    /// What has no elements.
    Other,
}

impl<'a> Elements<'a> {
    /// Of a value of that type, from its first element on.
    pub fn new(bytes: &'a [u8], list: DataType) -> Elements<'a> {
        Elements::from(bytes, list, Place::default())
    }

    /// As [`Elements::new`], from a place to which another walk of the same bytes came.
    pub fn from(bytes: &'a [u8], list: DataType, place: Place) -> Elements<'a> {
        let kind = match list {
            DataType::Nested(list) => match list.shape {
                Nested::List(element) => Kind::List(element),
                Nested::Array { element, len } => Kind::Array(element, len),
                Nested::Map { key, value } => Kind::Map(key, value),
                Nested::Struct(_) => Kind::Other,
            },
            _ => Kind::Other,
        };
        Elements { bytes, kind, place }
    }

    /// How far it came.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The next element, or `None` after the last.
    ///
    /// # Errors
    /// Bytes that are no value of the type.
    #[inline]
    pub fn advance(&mut self) -> Result<Option<Element<'a>>> {
        let ended = match self.kind {
            Kind::Array(_, len) => self.place.elements >= len,
            Kind::Other => return Err(malformed()),
            _ => self.marker()? == END,
        };
        if ended {
            return Ok(None);
        }
        let start = self.place.at;
        let element = match self.kind {
            Kind::List(element) | Kind::Array(element, _) => self.part(element)?,
            Kind::Map(key, value) => {
                if self.part(key)?.is_none() {
                    return Err(malformed());
                }
                self.part(value)?;
                Some(&self.bytes[start..self.place.at])
            }
            Kind::Other => None,
        };
        self.place.elements = self.place.elements.checked_add(1).ok_or_else(malformed)?;
        Ok(Some(Element(element)))
    }

    fn marker(&self) -> Result<u8> {
        self.bytes.get(self.place.at).copied().ok_or_else(malformed)
    }

    /// Walks past a marker and what it announces.
    #[inline]
    fn part(&mut self, data_type: DataType) -> Result<Option<&'a [u8]>> {
        let marker = self.marker()?;
        let start = self.place.at + 1;
        match marker {
            NULL => {
                self.place.at = start;
                Ok(None)
            }
            PRESENT => {
                let len = len_of(&self.bytes[start..], data_type)?;
                self.place.at = start + len;
                Ok(Some(&self.bytes[start..start + len]))
            }
            _ => Err(malformed()),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>>;

    fn next(&mut self) -> Option<Result<Element<'a>>> {
        self.advance().transpose()
    }
}

impl<'a> Element<'a> {
    /// The text or bytes of an element that is there, of a type that has such.
    ///
    /// # Errors
    /// Bytes that are no value of the type.
    pub fn string(&self, data_type: DataType) -> Result<Cow<'a, [u8]>> {
        self.0.map_or(Ok(Cow::Borrowed(&[])), |bytes| string_of(bytes, data_type))
    }

    /// The value, which is of that type.
    ///
    /// # Errors
    /// Bytes that are no value of the type.
    pub fn scalar(&self, data_type: DataType) -> Result<Scalar> {
        self.0.map_or(Ok(Scalar::Null), |bytes| scalar_of(bytes, data_type))
    }
}
