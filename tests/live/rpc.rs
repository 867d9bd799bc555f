//! A client of JSON-RPC over WebSocket.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::in_time;

/// An open connection.
pub struct Rpc {
    socket: WebSocketStream<TcpStream>,
    next: u64,
    /// Notifications that came while a response was awaited.
    notifications: std::collections::VecDeque<Value>,
}

impl Rpc {
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, |_| {}).await.unwrap()
    }

    pub async fn open_with(address: SocketAddr, change: impl FnOnce(&mut Request)) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/live").into_client_request().unwrap();
        change(&mut request);
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = in_time(tokio_tungstenite::client_async(request, stream)).await?;
        Ok(Self { socket, next: 0, notifications: std::collections::VecDeque::new() })
    }

    pub async fn send(&mut self, text: impl Into<String>) {
        in_time(self.socket.send(Message::text(text.into()))).await.unwrap();
    }

    pub async fn send_frame(&mut self, message: Message) {
        in_time(self.socket.send(message)).await.unwrap();
    }

    /// The next message; the close frame, if any, when the connection is closed.
    pub async fn receive(&mut self) -> Result<Value, Option<CloseFrame>> {
        in_time(self.receive_whenever()).await
    }

    async fn receive_whenever(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(text.as_str()).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Calls a method, and returns its result or error.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.next += 1;
        let id = self.next;
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params, "id": id}).to_string()).await;
        loop {
            let mut message = self.receive().await.expect("a response");
            assert_eq!(message["jsonrpc"], "2.0");
            if message.get("id").is_none() {
                self.notifications.push_back(message);
                continue;
            }
            assert_eq!(message["id"], id);
            return match message.get("error") {
                Some(error) => Err(error.clone()),
                None => Ok(message["result"].take()),
            };
        }
    }

    /// The next notification; none when the connection is closed.
    pub async fn notification(&mut self) -> Option<Value> {
        in_time(self.notification_whenever()).await
    }

    pub async fn notification_whenever(&mut self) -> Option<Value> {
        if let Some(waiting) = self.notifications.pop_front() {
            return Some(waiting);
        }
        let message = self.receive_whenever().await.ok()?;
        assert!(message.get("id").is_none(), "{message}");
        Some(message)
    }
}
