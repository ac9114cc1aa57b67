//! Requests to the HTTP of a coordinator.

use crate::connection::Failure;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Posts a body to `HOST:PORT`; gives the status and the answer.
pub async fn post(address: &str, path: &str, body: &str) -> Result<(u16, Value), Failure> {
    let mut socket = TcpStream::connect(address).await.map_err(Failure::of)?;
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.map_err(Failure::of)?;
    socket.write_all(body.as_bytes()).await.map_err(Failure::of)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.map_err(Failure::of)?;
    let parts = answer.split_once("\r\n\r\n");
    let (head, body) = parts.ok_or_else(|| Failure(format!("no answer: {answer}")))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Failure(format!("no status: {head}")))?;
    Ok((status, serde_json::from_str(body).map_err(Failure::of)?))
}
