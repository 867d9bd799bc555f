//! What a connection leaves behind: nothing.

use std::time::Duration;

use annals_test_postgres::{Place, both_stores};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::in_time;
use crate::rpc::Rpc;
use crate::server::Server;

both_stores! { the_tasks_of_a_connection_end_with_what_they_were_for }

/// The tasks of this runtime, in which the server runs too.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until there are so many tasks as there were.
async fn back_to(before: usize, what: &str) {
    let mut now = tasks();
    for _ in 0..1_000 {
        now = tasks();
        if now <= before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: {now} tasks, {before} before");
}

/// P5: a real client follows and cancels; the task of the server that served it ends, however the client goes.
async fn the_tasks_of_a_connection_end_with_what_they_were_for(place: &Place) {
    let server = Server::start(place.url()).await;
    server.pay("ann", "1", 1).await;
    // What is made once for all is there after the first.
    drop(Rpc::open(server.address).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let nobody = tasks();
    for how in ["unsubscribes", "says goodbye", "is gone"] {
        let mut rpc = Rpc::open(server.address).await;
        let page = rpc.call("audit", json!({"limit": 1})).await.unwrap();
        assert_eq!(page["rows"].as_array().unwrap().len(), 1);
        let connected = tasks();
        assert!(connected > nobody, "a connection has a task");
        let mut subscriptions = Vec::new();
        for (method, params) in [
            ("subscribe_audit", json!({})),
            ("subscribe_metric", json!({"topic": "bank"})),
            ("subscribe_audit", json!({})),
        ] {
            subscriptions.push(rpc.call(method, params).await.unwrap());
        }
        for _ in 0..3 {
            in_time(rpc.notification()).await.expect("it is followed");
        }
        assert!(tasks() >= connected + subscriptions.len(), "each subscription has a task");
        match how {
            "unsubscribes" => {
                for subscription in subscriptions {
                    let left = rpc.call("unsubscribe", json!({"subscription": subscription})).await.unwrap();
                    assert_eq!(left, true);
                }
                back_to(connected, how).await;
            }
            "says goodbye" => rpc.send_frame(Message::Close(None)).await,
            _ => {}
        }
        drop(rpc);
        back_to(nobody, how).await;
    }
    server.stop().await;
}
