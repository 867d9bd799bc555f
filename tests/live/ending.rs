//! A connection leaves no task behind.

use std::time::Duration;

use annals_test_postgres::{Place, both_stores};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::in_time;
use crate::rpc::Rpc;
use crate::server::Server;

both_stores! { the_tasks_of_a_connection_end_with_its_subscriptions_and_with_it }

/// The number of tasks in this runtime, which the server runs in, too.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until there are no more tasks than before.
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

/// Mission P5: the server's tasks end, however the client leaves.
async fn the_tasks_of_a_connection_end_with_its_subscriptions_and_with_it(place: &Place) {
    let server = Server::start(place.url()).await;
    server.pay("ann", "1", 1).await;
    // The first connection starts the shared tasks.
    drop(Rpc::open(server.address).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let idle = tasks();
    for how in ["unsubscribes", "closes", "disconnects"] {
        let mut rpc = Rpc::open(server.address).await;
        // On a busy machine the audit log is behind the payment.
        let shown = async {
            while rpc.call("audit", json!({"limit": 1})).await.unwrap()["rows"].as_array().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        in_time(shown).await;
        let connected = tasks();
        assert!(connected > idle, "the connection has no task");
        let mut subscriptions = Vec::new();
        for (method, params) in [
            ("subscribe_audit", json!({})),
            ("subscribe_metric", json!({"topic": "bank"})),
            ("subscribe_audit", json!({})),
        ] {
            subscriptions.push(rpc.call(method, params).await.unwrap());
        }
        for _ in 0..3 {
            in_time(rpc.notification()).await.expect("a notification");
        }
        assert!(tasks() >= connected + subscriptions.len(), "a subscription has no task");
        match how {
            "unsubscribes" => {
                for subscription in subscriptions {
                    let left = rpc.call("unsubscribe", json!({"subscription": subscription})).await.unwrap();
                    assert_eq!(left, true);
                }
                back_to(connected, how).await;
            }
            "closes" => rpc.send_frame(Message::Close(None)).await,
            _ => {}
        }
        drop(rpc);
        back_to(idle, how).await;
    }
    server.stop().await;
}
