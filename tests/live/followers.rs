//! [`Followers`]: readers that follow the same by each interface, until their streams end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annals::prelude::*;
use annals::projections::FollowEnd;
use annals::projections::audit::{AuditError, Detail};
use annals::projections::metrics::MetricError;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::in_time;
use crate::rpc::Rpc;
use crate::server::Server;
use crate::sse::Sse;

/// The topic that all of them follow. Neither events about rights nor payments belong to it.
const TOPIC: &str = "bank/transfer";

/// How a reader follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    AuditSse,
    AuditRpc,
    AuditLibrary,
    /// A range with an end, which has a reader of its own.
    RangeSse,
    MetricSse,
    MetricRpc,
    MetricLibrary,
}

impl By {
    pub const ALL: [Self; 7] = [
        Self::AuditSse,
        Self::AuditRpc,
        Self::AuditLibrary,
        Self::RangeSse,
        Self::MetricSse,
        Self::MetricRpc,
        Self::MetricLibrary,
    ];

    /// Those that need no application in this process.
    pub const OVER_HTTP: [Self; 5] =
        [Self::AuditSse, Self::AuditRpc, Self::RangeSse, Self::MetricSse, Self::MetricRpc];

    pub fn is_audit(self) -> bool {
        !matches!(self, Self::MetricSse | Self::MetricRpc | Self::MetricLibrary)
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::RangeSse => "/live/audit?topic=bank/transfer&until=100000",
            Self::MetricSse => "/live/metrics/bank/transfer",
            _ => "/live/audit?topic=bank/transfer",
        }
    }
}

/// The identity of the readers: who they are in the library, and the token that they send.
#[derive(Clone)]
pub struct Identity {
    pub context: Context,
    pub token: Option<String>,
}

/// How a stream ended.
#[derive(Debug)]
pub struct End {
    pub by: By,
    pub at: Instant,
    /// `denied`, `failed`, …; the library has `denied` and `unconfirmed`.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// Where it can be continued.
    pub cursor: Option<String>,
    /// The positions of the received rows, and whether each has contents.
    pub rows: Vec<(u64, bool)>,
}

/// Readers whose streams are open: each has received its first item.
pub struct Followers(Vec<(By, JoinHandle<End>)>);

impl Followers {
    pub async fn open(server: &Server, identity: &Identity) -> Self {
        Self::open_some(server, identity, &By::ALL).await
    }

    pub async fn open_some(server: &Server, identity: &Identity, all: &[By]) -> Self {
        Self::open_at(server.address, &server.annals, identity, all).await
    }

    /// Of a server at this address; those of the library read by `annals`.
    pub async fn open_at(address: SocketAddr, annals: &Annals, identity: &Identity, all: &[By]) -> Self {
        let mut open = Vec::new();
        let mut tasks = Vec::new();
        for by in all {
            let (annals, identity) = (annals.clone(), identity.clone());
            let (opened, is_open) = oneshot::channel();
            open.push(is_open);
            tasks.push((*by, tokio::spawn(follow(*by, address, annals, identity, opened))));
        }
        for is_open in open {
            in_time(is_open).await.expect("each receives something");
        }
        Self(tasks)
    }

    /// Whether all of them are still open.
    pub fn are_open(&self) -> bool {
        self.0.iter().all(|(_, task)| !task.is_finished())
    }

    /// Waits until all of them have ended.
    pub async fn ends(self) -> Vec<End> {
        let mut ends = Vec::new();
        for (by, task) in self.0 {
            let ended = tokio::time::timeout(Duration::from_secs(20), task).await;
            ends.push(ended.unwrap_or_else(|_| panic!("{by:?} does not end")).unwrap());
        }
        ends
    }
}

async fn follow(
    by: By,
    address: SocketAddr,
    annals: Annals,
    identity: Identity,
    opened: oneshot::Sender<()>,
) -> End {
    let mut end = End {
        by,
        at: Instant::now(),
        reason: String::new(),
        detail: String::new(),
        cursor: None,
        rows: Vec::new(),
    };
    let mut opened = Some(opened);
    let notify = |opened: &mut Option<oneshot::Sender<()>>| {
        let _ = opened.take().map(|opened| opened.send(()));
    };
    let url = format!("http://{address}{}", by.path());
    let note = |end: &mut End, last: &Value| {
        end.at = Instant::now();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (end.reason, end.detail) = (text(&last["reason"]), text(&last["problem"]["detail"]));
        end.cursor = last["cursor"].as_str().map(str::to_owned);
    };
    let row = |row: &Value| (row["position"].as_u64().unwrap(), row["payload"].is_object());
    match by {
        By::AuditSse | By::RangeSse | By::MetricSse => {
            let mut stream = match &identity.token {
                Some(token) => Sse::open_with(&url, None, token).await,
                None => Sse::open(&url, None).await,
            };
            loop {
                let event = stream.next_whenever().await.unwrap_or_else(|| panic!("{by:?} has no end"));
                match event.name.as_str() {
                    "end" => {
                        note(&mut end, &event.json());
                        return end;
                    }
                    "row" => end.rows.push(row(&event.json())),
                    _ => {}
                }
                notify(&mut opened);
            }
        }
        By::AuditRpc | By::MetricRpc => {
            let mut rpc = connected(address, identity.token.as_deref()).await;
            let (method, params) = match by {
                By::AuditRpc => ("subscribe_audit", json!({ "topic": [TOPIC] })),
                _ => ("subscribe_metric", json!({ "topic": TOPIC })),
            };
            rpc.call(method, params).await.unwrap();
            loop {
                let item = rpc.notification_whenever().await.unwrap_or_else(|| panic!("{by:?} has no end"));
                let params = &item["params"];
                if params["error"].is_object() {
                    note(&mut end, &params["error"]["data"]);
                    return end;
                }
                if by == By::AuditRpc {
                    end.rows.push(row(&params["result"]["row"]));
                }
                notify(&mut opened);
            }
        }
        By::AuditLibrary => {
            let query = annals.read_as(&identity.context).audit().topic(TOPIC);
            let mut stream = query.follow();
            loop {
                match stream.next().await.expect("the stream has an end") {
                    Ok(row) => end.rows.push((row.position, row.detail == Detail::Full)),
                    Err(error) => {
                        end.at = Instant::now();
                        let (reason, cursor) = match &error {
                            AuditError::Denied { cursor, .. } => ("denied", *cursor),
                            AuditError::Unconfirmed { cursor } => ("unconfirmed", *cursor),
                            other => panic!("{other}"),
                        };
                        (end.reason, end.detail) = (reason.to_owned(), error.to_string());
                        end.cursor = cursor.map(|cursor| cursor.to_string());
                        assert!(stream.next().await.is_none());
                        return end;
                    }
                }
                notify(&mut opened);
            }
        }
        By::MetricLibrary => {
            let mut stream = annals.read_as(&identity.context).metric(TOPIC).await.unwrap().watch();
            loop {
                if let Err(error) = stream.next().await.expect("the stream has an end") {
                    end.at = Instant::now();
                    let reason = match &error {
                        MetricError::Follow(FollowEnd::Unconfirmed) => "unconfirmed",
                        MetricError::Follow(FollowEnd::Denied(_)) => "denied",
                        _ => "failed",
                    };
                    (end.reason, end.detail) = (reason.to_owned(), error.to_string());
                    return end;
                }
                notify(&mut opened);
            }
        }
    }
}

pub async fn connected(address: SocketAddr, token: Option<&str>) -> Rpc {
    let authorized = |request: &mut tokio_tungstenite::tungstenite::handshake::client::Request| {
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
    };
    Rpc::open_with(address, authorized).await.unwrap()
}
