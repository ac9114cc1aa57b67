//! Errors as gRPC statuses.

use crate::error::Error;
use tonic::{Code, Status};

/// The status that tells a client of an error: the code by whose fault it is, the whole message.
pub(super) fn to_status(error: &Error) -> Status {
    use exec::error::Error as Execution;
    let code = match error {
        Error::Statement(_) => Code::InvalidArgument,
        Error::NotFound(_) => Code::NotFound,
        Error::AlreadyExists(_) => Code::AlreadyExists,
        Error::Denied(_) => Code::PermissionDenied,
        Error::Unauthenticated(_) => Code::Unauthenticated,
        Error::Conflict(_) => Code::Aborted,
        // No client tries such a one again by itself.
        Error::Quarantined(_) => Code::FailedPrecondition,
        Error::Overloaded(_) => Code::ResourceExhausted,
        Error::Environment(_) | Error::Damaged(_) => Code::FailedPrecondition,
        Error::Refused(_) | Error::Unsupported(_) => Code::Unimplemented,
        Error::ShuttingDown | Error::Unavailable(_) => Code::Unavailable,
        Error::Internal(_) => Code::Internal,
        Error::Execution(error) => match error {
            Execution::Value(_) | Execution::SubqueryRows => Code::InvalidArgument,
            Execution::Memory { .. } | Execution::MemoryElsewhere(_) => Code::ResourceExhausted,
            Execution::Cancelled => Code::Cancelled,
            Execution::DeadlineExceeded => Code::DeadlineExceeded,
            Execution::Unsupported(_) => Code::Unimplemented,
            Execution::Internal(_) => Code::Internal,
            Execution::Storage(_) => Code::FailedPrecondition,
            Execution::Exchange(_) => Code::Unavailable,
        },
    };
    Status::new(code, shortened(error.to_string()))
}

/// A status travels in headers, which have little room: a value in a message may be as long as the statement.
fn shortened(mut message: String) -> String {
    const MOST_BYTES: usize = 2_000;
    if message.len() > MOST_BYTES {
        message.truncate(message.floor_char_boundary(MOST_BYTES));
        message.push('…');
    }
    message
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        to_status(&error)
    }
}

/// A defect of ours in making an answer.
pub(super) fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("internal error: {error}"))
}
