//! The task of a connection: sends what waits, hands out what comes, and notices silence.

use super::TcpOptions;
use super::frame::{Decoder, Frame, Kind, Piece};
use super::handshake::{self, Secured};
use super::link::Link;
use super::pipe::Pipe;
use rustls::Connection as Tls;
use std::future::poll_fn;
use std::io::{self, BufRead, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// What is read from the socket at a time.
const READ_BYTES: usize = 256 << 10;
/// What is encrypted before it is written, and in how many frames at most.
const WRITE_BYTES: usize = 256 << 10;
const WRITE_FRAMES: usize = 64;
/// How often the task goes on before it lets others have their turn.
const ROUNDS: usize = 8;
/// How long the other side may take to hear that the connection is closed.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    socket: TcpStream,
    tls: Tls,
    link: Arc<Link>,
    decoder: Decoder,
    /// The stream of the payload that comes; `None`: it has ended here.
    receiving: Option<Arc<Pipe>>,
    incoming: Box<[u8]>,
    outgoing: Vec<Frame>,
    /// Fires twice in each interval of the keep-alive.
    ticks: Interval,
    idle_timeout: Duration,
    heard: Instant,
    /// Since the last tick.
    sent: bool,
}

impl Driver {
    /// Serves a connection until it is lost.
    pub(super) fn spawn(secured: Secured, link: Arc<Link>, options: &TcpOptions) {
        let Secured { socket, mut tls } = secured;
        // What is given to it is bounded here.
        tls.set_buffer_limit(None);
        let mut ticks = interval(options.keep_alive / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let driver = Driver {
            socket,
            tls,
            link,
            decoder: Decoder::default(),
            receiving: None,
            incoming: vec![0; READ_BYTES].into(),
            outgoing: Vec::new(),
            ticks,
            idle_timeout: options.idle_timeout,
            heard: Instant::now(),
            sent: true,
        };
        tokio::spawn(driver.run());
    }

    async fn run(mut self) {
        let ended = match self.decrypted() {
            // What came with the end of the handshake.
            Ok(()) => poll_fn(|context| self.poll(context)).await,
            Err(why) => why,
        };
        self.link.lose(&ended);
        self.tls.send_close_notify();
        let farewell = async {
            while self.tls.wants_write() && poll_fn(|context| self.poll_flush(context)).await.is_ok() {}
            let _ = self.socket.shutdown().await;
        };
        let _ = tokio::time::timeout(FAREWELL_TIME, farewell).await;
    }

    /// Ready once the connection is lost: why.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<String> {
        self.link.driver.register(context.waker());
        for _ in 0..ROUNDS {
            // First what came: after a pause of this process, it tells that the other side lives.
            let progress = self.receive(context).and_then(|received| Ok(self.send(context)? | received));
            match progress {
                Err(why) => return Poll::Ready(why),
                Ok(_) if self.link.why_lost().is_some() => return Poll::Ready(String::new()),
                Ok(true) => {}
                Ok(false) => match self.tick(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(why)) => return Poll::Ready(why),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says that this node lives where nothing else does, and looks whether the other one does.
    fn tick(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        let now = std::task::ready!(self.ticks.poll_tick(context));
        if now.duration_since(self.heard) >= self.idle_timeout {
            return Poll::Ready(Err("it does not answer".to_string()));
        }
        if !std::mem::take(&mut self.sent) {
            self.link.put_alive();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once; false where nothing is there.
    fn receive(&mut self, context: &mut Context<'_>) -> Result<bool, String> {
        let mut buffer = ReadBuf::new(&mut self.incoming);
        match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(read) => read.map_err(|error| broken(&error))?,
        }
        let count = buffer.filled().len();
        if count == 0 {
            return Err("it closed the connection".to_string());
        }
        self.heard = Instant::now();
        let incoming = std::mem::take(&mut self.incoming);
        let mut rest = &incoming[..count];
        let mut decrypted = Ok(());
        while decrypted.is_ok() && !rest.is_empty() {
            let read = self.tls.read_tls(&mut rest).map_err(|error| error.to_string());
            decrypted = read.and_then(|_| self.decrypted());
        }
        self.incoming = incoming;
        decrypted.map(|()| true)
    }

    /// Hands out what TLS holds.
    fn decrypted(&mut self) -> Result<(), String> {
        self.tls.process_new_packets().map_err(|error| handshake::describe(&error))?;
        loop {
            let mut reader = self.tls.reader();
            let bytes = match reader.fill_buf() {
                Ok([]) => return Err("it closed the connection".to_string()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            let count = bytes.len();
            let not_understood = |why| format!("what it sent is not understood: {why}");
            hand_out(&self.link, &mut self.decoder, &mut self.receiving, bytes).map_err(not_understood)?;
            reader.consume(count);
        }
    }

    /// Writes what waits; false where there is nothing, or no room in the socket.
    fn send(&mut self, context: &mut Context<'_>) -> Result<bool, String> {
        if !self.tls.wants_write() {
            self.link.take(&mut self.outgoing, WRITE_FRAMES, WRITE_BYTES);
            if self.outgoing.is_empty() {
                return Ok(false);
            }
            let parts = self.outgoing.iter().flat_map(|frame| frame.parts()).filter(|part| !part.is_empty());
            let mut parts = parts.map(IoSlice::new).collect::<Vec<_>>();
            let mut parts = &mut parts[..];
            while !parts.is_empty() {
                let count = self.tls.writer().write_vectored(parts).map_err(|error| error.to_string())?;
                IoSlice::advance_slices(&mut parts, count);
            }
            let bytes = self.outgoing.drain(..).map(|frame| frame.payload_bytes()).sum();
            self.link.room.add_permits(bytes);
            self.sent = true;
        }
        match self.poll_flush(context) {
            Poll::Pending => Ok(false),
            Poll::Ready(written) => written.map(|()| true).map_err(|error| broken(&error)),
        }
    }

    /// Writes once what is encrypted.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.tls.write_tls(&mut Socket { socket: &mut self.socket, context }) {
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.link.lose("this node is ending");
    }
}

/// Takes frames out of bytes that came, and gives them to their streams.
fn hand_out(
    link: &Arc<Link>,
    decoder: &mut Decoder,
    receiving: &mut Option<Arc<Pipe>>,
    mut bytes: &[u8],
) -> Result<(), String> {
    while let Some(piece) = decoder.next(&mut bytes)? {
        match piece {
            Piece::Payload(bytes) => receiving.as_ref().map_or(Ok(()), |pipe| pipe.arrived(bytes))?,
            Piece::Frame(header) if header.kind == Kind::Alive => link.greeted.notify_one(),
            Piece::Frame(header) => match (header.kind, link.find(header.stream)?) {
                (Kind::Data, pipe) => *receiving = pipe,
                (_, Some(pipe)) => pipe.told(header)?,
                (_, None) => {}
            },
        }
    }
    Ok(())
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "it closed the connection".to_string(),
        _ => error.to_string(),
    }
}

/// The socket as TLS writes to it.
struct Socket<'a, 'b> {
    socket: &'a mut TcpStream,
    context: &'a mut Context<'b>,
}

impl Socket<'_, '_> {
    fn ready(written: Poll<io::Result<usize>>) -> io::Result<usize> {
        match written {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Socket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Socket::ready(Pin::new(&mut *self.socket).poll_write(self.context, bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Socket::ready(Pin::new(&mut *self.socket).poll_write_vectored(self.context, parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
