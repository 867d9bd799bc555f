//! HTTP as bytes, so that a client costs little beside what it measures.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096) })
    }

    /// Sends a request and reads its answer to the end; gives back the status.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let broken = || io::Error::new(io::ErrorKind::InvalidData, text.clone());
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.and_then(|length| length.parse().ok()).ok_or_else(broken)?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        self.buffer.drain(..head + length);
        Ok(status)
    }

    /// Opens a stream of events; what comes is given to `line`, line by line, until it says that it is enough.
    pub async fn follow(mut self, path: &str, mut line: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        self.stream.write_all(get(path).as_bytes()).await?;
        let mut begun = false;
        loop {
            let mut taken = 0;
            while let Some(end) = self.buffer[taken..].iter().position(|byte| *byte == b'\n') {
                let text = &self.buffer[taken..taken + end];
                taken += end + 1;
                if !begun {
                    begun = true;
                    if !text.starts_with(b"HTTP/1.1 200") {
                        let text = String::from_utf8_lossy(text).into_owned();
                        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                    }
                }
                // Chunks are cut between events: their lengths are lines that no event has.
                if line(text) {
                    return Ok(());
                }
            }
            self.buffer.drain(..taken);
            self.read().await?;
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A payment into one of a thousand accounts.
pub fn pay(n: u64) -> String {
    let body = body(n);
    format!(
        "POST /commands/deposit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn body(n: u64) -> String {
    format!(
        r#"{{"account":"{}","payments":[{{"cents":{},"reference":"invoice {n}","memo":"what was agreed upon in advance"}}]}}"#,
        n % 1_000,
        1 + n % 100
    )
}
