//! How connections begin: TLS by which both sides know each other.

use crate::tls;
use rustls::{AlertDescription, Connection as Tls, Error};
use std::io::{self, Read, Write};
use tokio::net::TcpStream;

/// A connection that both sides have agreed to, as far as this one knows.
pub(super) struct Secured {
    pub(super) socket: TcpStream,
    pub(super) tls: Tls,
}

/// Agrees with the other side, or tells why not.
pub(super) async fn secure(socket: TcpStream, mut tls: Tls) -> Result<Secured, String> {
    // What is sent is complete; nobody waits for more.
    socket.set_nodelay(true).map_err(|error| error.to_string())?;
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "it closed the connection".to_string()
        }
        _ => error.to_string(),
    };
    while tls.is_handshaking() || tls.wants_write() {
        if tls.wants_write() {
            socket.writable().await.map_err(io)?;
            again(tls.write_tls(&mut Socket(&socket))).map_err(io)?;
            continue;
        }
        socket.readable().await.map_err(io)?;
        match again(tls.read_tls(&mut Socket(&socket))).map_err(io)? {
            None => continue,
            Some(0) => return Err(io(io::ErrorKind::UnexpectedEof.into())),
            Some(_) => {}
        }
        if let Err(error) = tls.process_new_packets() {
            // The other side is told why, if it can be.
            let _ = tls.write_tls(&mut Socket(&socket));
            return Err(describe(&error));
        }
    }
    Ok(Secured { socket, tls })
}

/// Nothing where it must be tried again.
fn again(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

/// Why TLS ended a connection, in words.
pub(super) fn describe(error: &Error) -> String {
    let words = match error {
        Error::AlertReceived(alert) => tls::why_refusing(u8::from(*alert)),
        Error::InvalidCertificate(why) => tls::why_refused(u8::from(AlertDescription::from(why.clone())))
            .or(Some("its certificate is not that of a node")),
        Error::NoCertificatesPresented => Some("it showed no certificate"),
        Error::NoApplicationProtocol => Some("it speaks another protocol"),
        _ => None,
    };
    match words {
        Some(words) => format!("{words} ({error})"),
        None => error.to_string(),
    }
}

/// A socket that is ready, as TLS takes it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
