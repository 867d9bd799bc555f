//! A minimal HTTP client that uses little processor time.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use annals_bench_driver::BoxError;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The range of the body of the last response.
    body: Range<usize>,
    /// The position of the last payment.
    last: u64,
}

/// The checked fields of a receipt.
#[derive(Debug, Deserialize)]
struct Paid {
    first_position: u64,
    events: u64,
    repeated: bool,
}

/// Maximum number of headers of a response.
const HEADERS: usize = 32;

impl Client {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096), body: 0..0, last: 0 })
    }

    /// Sends a request, reads the response to its end, and returns the status.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let (status, head, length) = loop {
            self.read().await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        self.body = head..head + length;
        while self.buffer.len() < self.body.end {
            self.read().await?;
        }
        match self.buffer.len() == self.body.end {
            true => Ok(status),
            false => Err(broken("more was answered than asked")),
        }
    }

    /// The body of the last response.
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }

    /// Executes a deposit and checks its receipt: one event, after the last one of this connection.
    pub async fn pay(&mut self, request: &[u8]) -> Result<(), BoxError> {
        let status = self.ask(request).await?;
        if status != 200 {
            return Err(format!("an answer of {status}").into());
        }
        let receipt: Paid = serde_json::from_slice(self.body())?;
        if receipt.events != 1 || receipt.repeated || receipt.first_position <= self.last {
            return Err(format!("behind {} came {receipt:?}", self.last).into());
        }
        self.last = receipt.first_position;
        Ok(())
    }

    /// Opens a stream of events and calls `line` for each line until it returns that it is done.
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
                // Chunks end between events: their lengths are lines that differ from those of events.
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

/// The status of a response, the end of its head, and the length of its body; none while the head is incomplete.
fn head(bytes: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = answer.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    let status = answer.code.ok_or_else(|| broken("an answer without a status"))?;
    Ok(Some((status, end, length.ok_or_else(|| broken("an answer without a length"))?)))
}

fn broken(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A deposit into one of a thousand accounts.
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
