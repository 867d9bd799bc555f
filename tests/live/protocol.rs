//! JSON-RPC as specified, and WebSocket protocol errors.

use annals_test_postgres::Place;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::bank::log;
use crate::rpc::Rpc;
use crate::server::Server;

/// Mission P5: each error has its code, and the problem that HTTP returns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_queries_return_the_same_as_over_http() {
    let place = Place::sqlite();
    let server = Server::start(place.url()).await;
    let mut rpc = Rpc::open(server.address).await;
    let id = uuid::Uuid::now_v7();
    let open = json!({"command": "open_account", "body": {"account": "1"}, "command_id": id});
    let receipt = rpc.call("execute", open.clone()).await.unwrap();
    assert_eq!((&receipt["head"]["position"], &receipt["repeated"]), (&json!(1), &json!(false)));
    assert_eq!(rpc.call("execute", open).await.unwrap()["repeated"], true);
    let head = server.annals.store().head().await.unwrap();
    server.annals.audit().after(head).page().await.unwrap();
    let page = rpc.call("audit", json!({"actor": ["user:reader"], "limit": 3})).await.unwrap();
    let row = &page["rows"][0];
    assert_eq!((page["rows"].as_array().unwrap().len(), &row["event_type"]), (1, &json!("account.opened")));
    let origin = json!({"host": "127.0.0.1", "method": "GET", "path": "/live", "format": "json-rpc"});
    assert_eq!((&row["actor"], &row["origin"]), (&json!("user:reader"), &origin));
    server.annals.metric("").after(head).await.unwrap();
    assert_eq!(rpc.call("metric", json!({"topic": "bank"})).await.unwrap()["total"], 1);
    for (method, params, code, status) in [
        ("execute", json!({"command": "open_account", "body": {"account": "1"}}), -32022, 422),
        ("execute", json!({"command": "close_account", "body": {}}), -32004, 404),
        ("execute", json!({"command": "deposit", "body": {"account": "1", "cents": "x"}}), -32602, 400),
        ("execute", json!({"command": "deposit", "body": {"account": "1", "cents": 1, "more": 1}}), -32602, 400),
        ("audit", json!({"topic": ["nowhere"]}), -32602, 400),
        ("metric", json!({"topic": "nowhere"}), -32602, 400),
    ] {
        let error = rpc.call(method, params.clone()).await.unwrap_err();
        assert_eq!((&error["code"], &error["data"]["status"]), (&json!(code), &json!(status)), "{params}: {error}");
    }
    for (method, params) in [
        ("execute", json!({"command": "deposit"})),
        ("execute", json!({"command": "deposit", "body": {}, "actor": "user:mallory"})),
        ("audit", json!({"actr": ["user:a"]})),
        ("audit", json!({"limit": -1})),
        ("unsubscribe", json!({})),
    ] {
        assert_eq!(rpc.call(method, params).await.unwrap_err()["code"], -32602);
    }
    assert_eq!(rpc.call("exec", json!({})).await.unwrap_err()["code"], -32601);
    server.stop().await;
}

/// Mission P5: the response to a batch leaves out notifications. A batch of notifications gets no response, but is executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_notifications_follow_the_specification() {
    let place = Place::sqlite();
    let server = Server::start(place.url()).await;
    let mut rpc = Rpc::open(server.address).await;
    let pay = |id: Option<u64>| {
        let params = json!({"command": "deposit", "body": {"account": "1", "cents": 1}});
        let mut call = json!({"jsonrpc": "2.0", "method": "execute", "params": params});
        if let Some(id) = id {
            call["id"] = id.into();
        }
        call
    };
    rpc.send(
        json!([pay(Some(1)), pay(None), 1, {"foo": "boo"}, {"jsonrpc": "2.0", "method": "no", "id": "5"}])
            .to_string(),
    )
    .await;
    let responses = rpc.receive().await.unwrap();
    let shown: Vec<(String, Value)> = responses
        .as_array()
        .unwrap()
        .iter()
        .map(|response| {
            (response["id"].to_string(), response.get("error").map_or(Value::Null, |error| error["code"].clone()))
        })
        .collect();
    let null = || "null".to_owned();
    assert_eq!(
        shown,
        [
            ("1".to_owned(), Value::Null),
            (null(), json!(-32600)),
            (null(), json!(-32600)),
            ("\"5\"".to_owned(), json!(-32601))
        ]
    );
    rpc.send(json!([pay(None), pay(None)]).to_string()).await;
    rpc.send(pay(None).to_string()).await;
    rpc.send(json!({"jsonrpc": "2.0", "method": "no"}).to_string()).await;
    rpc.send("[]").await;
    // The next message is the response to the empty batch: the messages before it get none.
    assert_eq!(rpc.receive().await.unwrap()["error"]["code"], -32600);
    let until = std::time::Instant::now() + crate::TIMEOUT;
    while log(&server.annals).await.len() < 5 {
        assert!(std::time::Instant::now() < until, "a notification was not executed");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.stop().await;
}

/// Mission P5: other subscriptions go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_subscription_sends_nothing_more() {
    let place = Place::sqlite();
    let server = Server::start(place.url()).await;
    let mut rpc = Rpc::open(server.address).await;
    let first = rpc.call("subscribe_audit", json!({})).await.unwrap();
    let second = rpc.call("subscribe_audit", json!({"topic": ["bank"]})).await.unwrap();
    server.pay("ann", "1", 1).await;
    let mut rows = [rpc.notification().await.unwrap(), rpc.notification().await.unwrap()];
    rows.sort_by_key(|row| row["params"]["subscription"].as_u64());
    assert_eq!((&rows[0]["params"]["subscription"], &rows[1]["params"]["subscription"]), (&first, &second));
    assert_eq!(rpc.call("unsubscribe", json!({"subscription": first})).await, Ok(json!(true)));
    assert_eq!(rpc.call("unsubscribe", json!([first])).await, Ok(json!(false)));
    server.pay("ann", "1", 2).await;
    server.pay("ann", "1", 3).await;
    for position in [2, 3] {
        let row = rpc.notification().await.unwrap();
        assert_eq!(
            (&row["params"]["subscription"], &row["params"]["result"]["row"]["position"]),
            (&second, &json!(position))
        );
    }
    for _ in 0..63 {
        rpc.call("subscribe_metric", json!({})).await.unwrap();
    }
    assert_eq!(
        rpc.call("subscribe_metric", json!({})).await.unwrap_err()["code"],
        -32029,
        "the number of subscriptions is not limited"
    );
    server.stop().await;
}

/// The connection is closed with the WebSocket code of the error. The next connection works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_frames_close_the_connection_with_the_right_code() {
    let place = Place::sqlite();
    let server = Server::start(place.url()).await;
    for (frame, code) in
        [(Message::binary(vec![1, 2, 3]), 1003), (Message::text("x".repeat(1024 * 1024 + 1)), 1009)]
    {
        let mut rpc = Rpc::open(server.address).await;
        rpc.send_frame(frame).await;
        assert_eq!(rpc.receive().await.unwrap_err().map(|frame| u16::from(frame.code)), Some(code));
    }
    // A close frame is answered.
    let mut rpc = Rpc::open(server.address).await;
    let close = tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 1000.into(), reason: "".into() };
    rpc.send_frame(Message::Close(Some(close))).await;
    assert_eq!(rpc.receive().await.unwrap_err().map(|frame| u16::from(frame.code)), Some(1000));
    // Bytes that no WebSocket client sends: an unmasked text, a masked text that is not UTF-8, a reserved opcode.
    for (frame, code) in [
        (&[0x81_u8, 1, b'x'][..], 1002),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe], 1007),
        (&[0x8f, 0x80, 0, 0, 0, 0], 1002),
    ] {
        assert_eq!(raw(server.address, frame).await, code, "{frame:?}");
    }
    // Invalid or too deeply nested JSON gets an error, and the connection stays open.
    let mut rpc = Rpc::open(server.address).await;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"audit","params":{}{}}}"#,
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    for (text, code) in [("{", -32700), (deep.as_str(), -32602)] {
        rpc.send(text).await;
        assert_eq!(rpc.receive().await.unwrap()["error"]["code"], code);
    }
    assert!(rpc.call("audit", json!({})).await.is_ok());
    server.stop().await;
}

/// Sends raw bytes, and returns the code that the server closes the connection with.
async fn raw(address: std::net::SocketAddr, frame: &[u8]) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let ask = format!(
        "GET /live HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        got.push(crate::in_time(stream.read_u8()).await.unwrap());
    }
    stream.write_all(frame).await.unwrap();
    loop {
        let head = crate::in_time(stream.read_u8()).await.unwrap();
        let length = crate::in_time(stream.read_u8()).await.unwrap();
        let mut body = vec![0; usize::from(length)];
        crate::in_time(stream.read_exact(&mut body)).await.unwrap();
        // Pings may come before the close frame.
        if head == 0x88 {
            return u16::from_be_bytes([body[0], body[1]]);
        }
    }
}
