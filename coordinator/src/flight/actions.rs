//! Actions of plain Flight that arrow-flight has no messages for: session options and closing.
//! Field numbers are those of `Flight.proto`; the prepared statement's answer has one more field than the
//! crate's, `is_update` of `FlightSql.proto`.

use std::collections::HashMap;

pub(super) const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
pub(super) const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
pub(super) const CLOSE_SESSION: &str = "CloseSession";
pub(super) const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
pub(super) const CREATE_PREPARED_STATEMENT: &str = "CreatePreparedStatement";
pub(super) const PREPARED_STATEMENT_RESULT: &str =
    "type.googleapis.com/arrow.flight.protocol.sql.ActionCreatePreparedStatementResult";

/// What CreatePreparedStatement answers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PreparedStatementResult {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) handle: bytes::Bytes,
    /// IPC-encapsulated.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) dataset_schema: bytes::Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) parameter_schema: bytes::Bytes,
    /// Whether DoPut, not GetFlightInfo, runs it.
    #[prost(bool, optional, tag = "4")]
    pub(super) is_update: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OptionValue {
    #[prost(oneof = "OptionKind", tags = "1, 2, 3, 4, 5")]
    pub(super) kind: Option<OptionKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum OptionKind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, OptionError>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "OptionFault", tag = "1")]
    pub(super) value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum OptionFault {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, OptionValue>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct CloseSessionResult {
    /// 1: closed.
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

pub(super) const SESSION_CLOSED: i32 = 1;

impl OptionValue {
    pub(super) fn text(text: impl Into<String>) -> OptionValue {
        OptionValue { kind: Some(OptionKind::Text(text.into())) }
    }

    /// As `SET` would write it; `None`: back to the default.
    pub(super) fn to_text(&self) -> Option<String> {
        match self.kind.as_ref()? {
            OptionKind::Text(text) => Some(text.clone()),
            OptionKind::Boolean(value) => Some(value.to_string()),
            OptionKind::Integer(value) => Some(value.to_string()),
            OptionKind::Float(value) => Some(value.to_string()),
            OptionKind::Texts(texts) => Some(texts.values.join(",")),
        }
    }
}
