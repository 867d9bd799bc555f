//! The configuration of a stream that can be a log, and what is wrong with another one.

use serde_json::{Value, json};

use super::location::StreamLocation;

/// Returns the configuration of a new stream.
pub(super) fn config(location: &StreamLocation) -> Value {
    json!({
        "name": location.name,
        "subjects": [location.subject()],
        "description": "the log of an application: see the guide of annals before you change anything",
        "retention": "limits",
        "storage": "file",
        "num_replicas": location.replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "discard": "new",
        "compression": "none",
        "deny_delete": true,
        "deny_purge": true,
        "allow_direct": true,
    })
}

/// Returns what has to be changed so that the stream can be a log; empty if nothing.
pub(super) fn differences(location: &StreamLocation, found: &Value) -> Vec<String> {
    let wanted = config(location);
    let mut differences = Vec::new();
    let is_off = |value: Option<&Value>| {
        value.is_none_or(|value| {
            value.is_null()
                || value == &json!(false)
                || value == &json!(0)
                || value == &json!("")
                || value == &json!({})
        })
    };
    let limits = ["max_msgs", "max_bytes", "max_msgs_per_subject", "max_msg_size", "max_age"];
    for key in limits {
        let limit = found.get(key).and_then(Value::as_i64).unwrap_or(0);
        if limit > 0 {
            differences.push(format!("it has the limit {key}={limit}: it would lose events or refuse them"));
        }
    }
    for key in ["subjects", "retention", "storage", "deny_delete", "deny_purge", "allow_direct"] {
        if found.get(key) != wanted.get(key) {
            let found = found.get(key).unwrap_or(&Value::Null);
            differences.push(format!("its {key} must be {}, not {found}", wanted[key]));
        }
    }
    let replicas = found.get("num_replicas").and_then(Value::as_u64).unwrap_or(1);
    if location.replicas_given && replicas != location.replicas {
        differences.push(format!("it has {replicas} replicas, and the URL says {}", location.replicas));
    }
    if found.get("compression").is_some_and(|compression| compression != "none" && compression != "") {
        differences.push("it is compressed".to_owned());
    }
    let others = [
        ("mirror", "it is a mirror of another stream"),
        ("sources", "it has other streams as sources"),
        ("republish", "it republishes its messages"),
        ("subject_transform", "it changes subjects"),
        ("sealed", "it is sealed"),
        ("no_ack", "it confirms nothing"),
        ("allow_rollup_hdrs", "it allows roll-ups, which remove messages"),
        ("allow_msg_ttl", "it allows messages that expire"),
        ("allow_msg_schedules", "it allows scheduled messages"),
        ("allow_msg_counter", "it is a counter"),
        ("persist_mode", "it has another persist_mode than the default"),
    ];
    for (key, what) in others {
        if !is_off(found.get(key)) && found.get(key) != Some(&json!("default")) {
            differences.push(what.to_owned());
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location() -> StreamLocation {
        StreamLocation::from_url("nats://a,b,c/SHOP?replicas=3").unwrap()
    }

    #[test]
    fn a_stream_of_this_configuration_fits() {
        assert_eq!(differences(&location(), &config(&location())), Vec::<String>::new());
    }

    #[test]
    fn each_setting_that_could_lose_an_event_is_named() {
        for (key, value, words) in [
            ("max_msgs", json!(1_000), "max_msgs=1000"),
            ("max_bytes", json!(1), "max_bytes=1"),
            ("max_age", json!(60_000_000_000_i64), "max_age"),
            ("max_msgs_per_subject", json!(5), "max_msgs_per_subject"),
            ("max_msg_size", json!(5), "max_msg_size"),
            ("retention", json!("workqueue"), "retention"),
            ("storage", json!("memory"), "storage"),
            ("subjects", json!(["annals.log.SHOP", "more"]), "subjects"),
            ("deny_delete", json!(false), "deny_delete"),
            ("deny_purge", json!(false), "deny_purge"),
            ("num_replicas", json!(1), "1 replicas"),
            ("compression", json!("s2"), "compressed"),
            ("mirror", json!({ "name": "OTHER" }), "mirror"),
            ("sources", json!([{ "name": "OTHER" }]), "sources"),
            ("sealed", json!(true), "sealed"),
            ("allow_msg_ttl", json!(true), "expire"),
            ("persist_mode", json!("async"), "persist_mode"),
        ] {
            let mut found = config(&location());
            found[key] = value;
            let differences = differences(&location(), &found);
            assert!(differences.len() == 1 && differences[0].contains(words), "{key}: {differences:?}");
        }
    }
}
