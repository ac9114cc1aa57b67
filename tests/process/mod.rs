//! The `tundra` command as a process.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its part")]

pub mod control;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub const TUNDRA: &str = env!("CARGO_BIN_EXE_tundra");

/// `tundra up` on free ports; killed when dropped.
pub struct Server {
    process: Child,
    /// Of Flight SQL.
    pub url: String,
    /// `HOST:PORT`.
    pub http: String,
    /// URL of the S3 server that it was asked for.
    pub s3: Option<String>,
    /// URL of the control plane that it was asked for.
    pub control: Option<String>,
}

impl Server {
    pub fn start(data: &Path, arguments: &[&str]) -> Server {
        Server::of(&mut up(data, arguments))
    }

    /// Starts what serves as `tundra up` does.
    pub fn of(command: &mut Command) -> Server {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let word =
            |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)).map(str::to_string);
        assert!(line.starts_with("tundra ready "), "{line}");
        let (url, http) = (word("flight=").unwrap(), word("http=http://").unwrap());
        Server { process, url, http, s3: word("s3="), control: word("control=") }
    }

    /// The answer to a request over HTTP.
    pub fn get(&self, path: &str) -> String {
        get(&self.http, path)
    }

    /// Ends the server as a service manager does.
    pub fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `HOST:PORT` answers to a request over HTTP.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// `tundra up` before it is run.
pub fn up(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(TUNDRA);
    command.arg("up").arg("--data").arg(data).args(["--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(arguments);
    command
}
