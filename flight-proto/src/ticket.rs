//! Tickets and handles: what a client holds of a statement between two calls. Typed and versioned; a client
//! cannot read them and need not.

use prost::Message;

/// Says that bytes are a ticket of ours, of the version that this code writes.
const MAGIC: [u8; 4] = *b"TUN1";

/// What a ticket names.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ticket {
    /// Whose: a ticket of one tenant is nothing to another.
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(oneof = "Names", tags = "2, 3")]
    pub names: Option<Names>,
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
    #[error("this ticket was made by a later version of Tundra")]
    LaterVersion,
    #[error("this ticket is damaged")]
    Damaged,
}

impl Ticket {
    pub fn statement(tenant: &str, query_id: u128) -> Ticket {
        let names = Names::Statement(query_id.to_be_bytes().to_vec());
        Ticket { tenant: tenant.into(), names: Some(names) }
    }

    pub fn prepared(tenant: &str, handle: u128) -> Ticket {
        let names = Names::Prepared(handle.to_be_bytes().to_vec());
        Ticket { tenant: tenant.into(), names: Some(names) }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.encode_to_vec());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Ticket, TicketError> {
        let (magic, body) = bytes.split_at_checked(MAGIC.len()).ok_or(TicketError::Foreign)?;
        if magic != MAGIC {
            let later = magic.starts_with(b"TUN") && magic[3] > MAGIC[3];
            return Err(if later { TicketError::LaterVersion } else { TicketError::Foreign });
        }
        Ticket::decode(body).map_err(|_| TicketError::Damaged)
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

    #[test]
    fn round_trip_and_refusals() {
        let ticket = Ticket::statement("default", 7);
        let bytes = ticket.to_bytes();
        assert_eq!(Ticket::from_bytes(&bytes).unwrap().statement_id(), Ok(7));
        assert_eq!(Ticket::from_bytes(&bytes).unwrap().prepared_handle(), Err(TicketError::Damaged));
        assert_eq!(Ticket::from_bytes(b"TUN"), Err(TicketError::Foreign));
        assert_eq!(Ticket::from_bytes(b"abcdef"), Err(TicketError::Foreign));
        assert_eq!(Ticket::from_bytes(b"TUN9...."), Err(TicketError::LaterVersion));
        assert_eq!(Ticket::from_bytes(b"TUN1\xff\xff\xff"), Err(TicketError::Damaged));
        // A ticket once given out stays readable: these bytes are fixed.
        let golden = b"TUN1\n\x07default\x12\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07";
        assert_eq!(bytes, golden);
    }
}
