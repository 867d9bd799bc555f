//! A client of Server-Sent Events.

use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use crate::in_time;

/// One event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: String,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An open stream.
pub struct Sse {
    response: Response,
    buffer: Vec<u8>,
    event: Event,
    pub comments: usize,
}

impl Sse {
    /// Opens a stream. `last` is the `Last-Event-ID` of a browser that reconnects.
    pub async fn open(url: &str, last: Option<&str>) -> Self {
        let response = Self::ask(url, last).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: Vec::new(), event: Event::default(), comments: 0 }
    }

    /// The same with a token.
    pub async fn open_with(url: &str, last: Option<&str>, token: &str) -> Self {
        let response = Self::ask_with(url, last, Some(token)).await;
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, buffer: Vec::new(), event: Event::default(), comments: 0 }
    }

    /// Sends the request, and returns any response.
    pub async fn ask(url: &str, last: Option<&str>) -> Response {
        Self::ask_with(url, last, None).await
    }

    pub async fn ask_with(url: &str, last: Option<&str>, token: Option<&str>) -> Response {
        let request = Client::builder().no_proxy().build().unwrap().get(url);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        let request = match last {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        };
        in_time(request.send()).await.unwrap()
    }

    /// The next event; none when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        in_time(self.next_whenever()).await
    }

    pub async fn next_whenever(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8(line).unwrap();
                match line.trim_end_matches('\n').split_once(':') {
                    None if line == "\n" => {
                        let event = std::mem::take(&mut self.event);
                        if !event.data.is_empty() {
                            return Some(event);
                        }
                    }
                    Some(("", _)) => self.comments += 1,
                    Some((field, value)) => self.take(field, value.strip_prefix(' ').unwrap_or(value)),
                    None => panic!("{line:?} is not a field"),
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    fn take(&mut self, field: &str, value: &str) {
        match field {
            "id" => self.event.id = value.to_owned(),
            "event" => self.event.name = value.to_owned(),
            "data" if self.event.data.is_empty() => self.event.data = value.to_owned(),
            "data" => self.event.data = format!("{}\n{value}", self.event.data),
            "retry" => assert!(value.parse::<u64>().is_ok()),
            other => panic!("unknown field {other}"),
        }
    }
}
