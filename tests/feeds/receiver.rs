//! A webhook of the test's own: it verifies each message, and answers as the test wants.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::tls::accepting;

/// What the receiver does with the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Takes it, and says so.
    Confirm,
    /// Takes it, and says so with a long text.
    ConfirmAtLength,
    /// Takes it, and cuts the connection before it says so.
    TakeAndCut,
    /// Cuts the connection without taking it.
    Cut,
    /// An answer with this status, without taking it.
    Status(u16),
    /// No answer.
    Hang,
}

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub position: u64,
    pub previous: u64,
    pub body: String,
}

pub struct Receiver {
    pub port: u16,
    pub taken: Arc<Mutex<Vec<Taken>>>,
    /// The answers to the next messages, the last first; then it confirms.
    pub answers: Arc<Mutex<Vec<Answer>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub async fn start(answers: Vec<Answer>) -> Self {
        Self::start_with(answers, None).await
    }

    /// One with TLS: files of its certificate and its key.
    pub async fn start_with_tls(files: &[String; 2]) -> Self {
        Self::start_with(Vec::new(), Some(accepting(files))).await
    }

    async fn start_with(answers: Vec<Answer>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let answers = Arc::new(Mutex::new(answers));
        let shared = (taken.clone(), answers.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let ((taken, answers), tls) = (shared.clone(), tls.clone());
                tokio::spawn(async move {
                    let _ = match tls {
                        None => serve(stream, &taken, &answers).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &taken, &answers).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { port, taken, answers, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/very-s3cret", self.port)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    taken: &Mutex<Vec<Taken>>,
    answers: &Mutex<Vec<Answer>>,
) -> std::io::Result<()> {
    let mut input = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = input.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8(input[..head].to_vec()).unwrap();
        let header = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned());
            found.collect::<Vec<_>>().pop().unwrap_or_else(|| panic!("{name} is missing: {text}"))
        };
        assert!(text.starts_with("POST /hooks/very-s3cret "), "{text}");
        let length: usize = header("content-length").parse().unwrap();
        while input.len() < head + length {
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        }
        let body = String::from_utf8(input[head..head + length].to_vec()).unwrap();
        input.drain(..head + length);
        verify(&header("webhook-id"), &header("webhook-timestamp"), &header("webhook-signature"), &body);
        assert_eq!(header("content-type"), "application/cloudevents+json");
        let number = |name: &str| header(name).parse().unwrap();
        let message = Taken { position: number("annals-position"), previous: number("annals-previous"), body };
        let answer = answers.lock().unwrap().pop().unwrap_or(Answer::Confirm);
        if matches!(answer, Answer::Confirm | Answer::ConfirmAtLength | Answer::TakeAndCut) {
            taken.lock().unwrap().push(message);
        }
        let status = match answer {
            Answer::Confirm => 204,
            Answer::ConfirmAtLength => 200,
            Answer::Status(status) => status,
            Answer::TakeAndCut | Answer::Cut => return Ok(()),
            Answer::Hang => return std::future::pending().await,
        };
        let elsewhere = if status == 307 { "location: http://127.0.0.1:1/\r\n" } else { "" };
        let text = "x".repeat(if answer == Answer::ConfirmAtLength { 1 << 20 } else { 0 });
        let head = format!("HTTP/1.1 {status} -\r\n{elsewhere}content-length: {}\r\n\r\n", text.len());
        stream.write_all((head + &text).as_bytes()).await?;
    }
}

/// As a receiver does, by the rules of Standard Webhooks.
fn verify(id: &str, time: &str, signature: &str, body: &str) {
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    let signed = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
    mac.verify_slice(&signed).expect("the signature is right");
    let age = jiff::Timestamp::now().as_second() - time.parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "signed {age} s ago");
}
