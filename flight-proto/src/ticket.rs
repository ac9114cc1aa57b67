//! Tickets and handles: what a client holds of a statement between two calls. Typed, versioned and signed; a
//! client cannot read them and need not.
//!
//! The bytes: four that say what they are, the ticket as protobuf, and a code over both that only the server
//! can make.

use prost::Message;

/// Says that bytes are a ticket of ours, of the version that this code writes.
const MAGIC: [u8; 4] = *b"TUN2";
/// Bytes of the code at the end: HMAC-SHA256.
pub const CODE_BYTES: usize = 32;

/// What a ticket names, and for whom.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ticket {
    /// Whose: a ticket of one tenant is nothing to another.
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(oneof = "Names", tags = "2, 3")]
    pub names: Option<Names>,
    /// Who asked.
    #[prost(string, tag = "4")]
    pub principal: String,
    /// The session in which that was.
    #[prost(bytes = "vec", tag = "5")]
    pub session: Vec<u8>,
    /// When it ends, in milliseconds since the server's start; 0: with what it names.
    #[prost(uint64, tag = "6")]
    pub expires_ms: u64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Names {
    /// A statement that was planned or run at GetFlightInfo.
    #[prost(bytes, tag = "2")]
    Statement(Vec<u8>),
    #[prost(bytes, tag = "3")]
    Prepared(Vec<u8>),
}

/// Why bytes are no ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    #[error("this is not a ticket of Tundra")]
    Foreign,
    #[error("this ticket was made by another version of Tundra; run the statement again")]
    OtherVersion,
    #[error("this ticket was not made by this server, or before its last start; run the statement again")]
    Unsigned,
    #[error("this ticket is damaged")]
    Damaged,
}

impl Names {
    pub fn statement(id: u128) -> Names {
        Names::Statement(id.to_be_bytes().to_vec())
    }

    pub fn prepared(handle: u128) -> Names {
        Names::Prepared(handle.to_be_bytes().to_vec())
    }
}

impl Ticket {
    /// The ticket's bytes; `sign` makes the code over those before it.
    pub fn to_bytes(&self, sign: impl FnOnce(&[u8]) -> [u8; CODE_BYTES]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.encode_to_vec());
        let code = sign(&bytes);
        bytes.extend(code);
        bytes
    }

    /// Reads a ticket; `verify` says whether a code is the one over some bytes.
    pub fn from_bytes(
        bytes: &[u8],
        verify: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<Ticket, TicketError> {
        match bytes.strip_prefix(&MAGIC[..3]) {
            None | Some([]) => return Err(TicketError::Foreign),
            Some([version, ..]) if *version != MAGIC[3] => return Err(TicketError::OtherVersion),
            Some(_) => {}
        }
        let end = bytes.len().checked_sub(CODE_BYTES).filter(|end| *end >= MAGIC.len());
        let (signed, code) = bytes.split_at(end.ok_or(TicketError::Damaged)?);
        if !verify(signed, code) {
            return Err(TicketError::Unsigned);
        }
        Ticket::decode(&signed[MAGIC.len()..]).map_err(|_| TicketError::Damaged)
    }

    /// The identity of the statement it names.
    pub fn statement_id(&self) -> Result<u128, TicketError> {
        match &self.names {
            Some(Names::Statement(id)) => id_of(id),
            _ => Err(TicketError::Damaged),
        }
    }

    /// The handle of the prepared statement it names.
    pub fn prepared_handle(&self) -> Result<u128, TicketError> {
        match &self.names {
            Some(Names::Prepared(id)) => id_of(id),
            _ => Err(TicketError::Damaged),
        }
    }
}

fn id_of(bytes: &[u8]) -> Result<u128, TicketError> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| TicketError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No code at all, but one that depends on every byte.
    fn sum(bytes: &[u8]) -> [u8; CODE_BYTES] {
        [bytes.iter().fold(0, |sum, byte| sum ^ byte); CODE_BYTES]
    }

    fn read(bytes: &[u8]) -> Result<Ticket, TicketError> {
        Ticket::from_bytes(bytes, |signed, code| sum(signed) == code)
    }

    #[test]
    fn round_trip_and_refusals() {
        let ticket = Ticket {
            tenant: "default".into(),
            names: Some(Names::statement(7)),
            principal: "ada".into(),
            session: vec![1, 2],
            expires_ms: 300,
        };
        let bytes = ticket.to_bytes(sum);
        assert_eq!(read(&bytes).unwrap(), ticket);
        assert_eq!(ticket.statement_id(), Ok(7));
        assert_eq!(ticket.prepared_handle(), Err(TicketError::Damaged));
        for foreign in [&b"TUN"[..], b"abcdef", b""] {
            assert_eq!(read(foreign), Err(TicketError::Foreign));
        }
        assert_eq!(read(b"TUN9...."), Err(TicketError::OtherVersion));
        assert_eq!(read(b"TUN1...."), Err(TicketError::OtherVersion));
        assert_eq!(read(b"TUN2...."), Err(TicketError::Damaged));
        for at in 4..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(read(&changed), Err(TicketError::Unsigned), "byte {at}");
        }
        // Tickets outlive the code that made them: these bytes are fixed.
        let golden = b"TUN2\n\x07default\x12\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\
            \x22\x03ada*\x02\x01\x020\xac\x02";
        assert_eq!(bytes[..bytes.len() - CODE_BYTES], golden[..], "{}", bytes.escape_ascii());
    }
}
