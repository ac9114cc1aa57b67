//! Requests to the HTTP of a coordinator.

use crate::connection::Failure;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Posts a body to `HOST:PORT`; gives the status and the answer.
pub async fn post(address: &str, path: &str, body: &str) -> Result<(u16, Value), Failure> {
    let (status, body) = request(address, "POST", path, "", body).await?;
    Ok((status, serde_json::from_str(&body).map_err(Failure::of)?))
}

/// Status and body of a request to `HOST:PORT`; `headers` are lines that end.
pub async fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<(u16, String), Failure> {
    let mut socket = TcpStream::connect(address).await.map_err(Failure::of)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    socket.write_all(head.as_bytes()).await.map_err(Failure::of)?;
    socket.write_all(body.as_bytes()).await.map_err(Failure::of)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.map_err(Failure::of)?;
    let answer = String::from_utf8_lossy(&answer);
    let parts = answer.split_once("\r\n\r\n");
    let (head, body) = parts.ok_or_else(|| Failure(format!("no answer: {answer}")))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Failure(format!("no status: {head}")))?;
    Ok((status, body.to_string()))
}
