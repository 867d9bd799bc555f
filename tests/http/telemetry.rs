//! OpenTelemetry: a process exports spans to the test's own collector.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_test_postgres::Place;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as Code};
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

use crate::bank::{self, app};
use crate::process::Process;
use crate::served::answer;

annals_test_postgres::both_stores! { a_request_is_traced_down_to_the_store_in_the_trace_that_it_names }

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that keeps what it receives.
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    async fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let receive = {
            let received = received.clone();
            async move |headers: HeaderMap, body: Bytes| {
                assert_eq!(headers["content-type"], "application/x-protobuf");
                received.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
                StatusCode::OK
            }
        };
        let router = axum::Router::new().route("/v1/traces", post(receive));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(annals::http::serve(listener, router, std::future::pending()));
        Self { url, received }
    }

    /// All spans, and the attributes of their resources.
    fn spans(&self) -> (Vec<Span>, Vec<KeyValue>) {
        let received = self.received.lock().unwrap();
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let mut of = Vec::new();
        let mut spans = Vec::new();
        for resource in resources {
            of.extend(resource.resource.iter().flat_map(|resource| resource.attributes.clone()));
            spans.extend(resource.scope_spans.iter().flat_map(|scope| scope.spans.clone()));
        }
        (spans, of)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?;
    match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Sends one request with a trace and one without.
async fn ask(process: &Process) {
    let client = reqwest::Client::new();
    for (account, trace) in [("a", Some(format!("00-{TRACE}-{PARENT}-01"))), ("b", None)] {
        let deposit = client.post(format!("{}/commands/deposit", process.url));
        let deposit = deposit.json(&json!({ "account": account, "cents": 1 }));
        let deposit = trace.iter().fold(deposit, |deposit, trace| deposit.header("traceparent", trace));
        assert_eq!(answer(deposit).await.status, 200);
    }
}

/// Mission P24: request, command, append and projection. The last spans are exported before the process ends.
async fn a_request_is_traced_down_to_the_store_in_the_trace_that_it_names(place: &Place) {
    let collector = Collector::start().await;
    let process = Process::serve(place, &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    ask(&process).await;
    let nowhere = reqwest::Client::new().get(format!("{}/nowhere", process.url));
    assert_eq!(answer(nowhere).await.status, 404);
    let ended = process.stop().await;
    assert!(ended.status.success(), "{ended:?}");
    let (spans, of) = collector.spans();
    assert_eq!(text(&of, "service.name"), Some("bank"));
    let called = |name: &'static str| spans.iter().filter(move |span| span.name == name);
    let requests: Vec<&Span> = called("POST /commands/{name}").collect();
    assert_eq!(requests.len(), 2, "{spans:#?}");
    for request in &requests {
        assert_eq!(request.kind(), SpanKind::Server);
        assert_eq!(text(&request.attributes, "actor"), Some("user:alice"));
        let [command] =
            called("command").filter(|span| span.parent_span_id == request.span_id).collect::<Vec<_>>()[..]
        else {
            panic!("{spans:#?}")
        };
        assert_eq!(text(&command.attributes, "name"), Some("deposit"));
        let [append] =
            called("append").filter(|span| span.parent_span_id == command.span_id).collect::<Vec<_>>()[..]
        else {
            panic!("{spans:#?}")
        };
        assert_eq!((&command.trace_id, &append.trace_id), (&request.trace_id, &request.trace_id));
    }
    let [named] = requests.iter().filter(|span| hex(&span.trace_id) == TRACE).collect::<Vec<_>>()[..] else {
        panic!("{spans:#?}")
    };
    assert_eq!(hex(&named.parent_span_id), PARENT);
    let other = requests.iter().find(|span| hex(&span.trace_id) != TRACE).expect("a trace of its own");
    assert!(other.parent_span_id.is_empty(), "{other:?}");
    let nowhere = called("GET none").next().expect("an unknown path has a span");
    assert_ne!(
        nowhere.status.as_ref().map(|status| status.code()),
        Some(Code::Error),
        "a 404 is recorded as an error of the server"
    );
    let projected = |name: &str| {
        let of = |span: &&Span| text(&span.attributes, "projection") == Some(name);
        called("project").filter(of).any(|span| text(&span.attributes, "traces").is_some_and(|t| t.contains(TRACE)))
    };
    assert!(projected("audit") && projected("balance"), "{spans:#?}");
    let annals = app().open(place.url()).await.unwrap();
    let kept: Vec<_> = bank::log(&annals).await.iter().map(|event| event.metadata().unwrap().correlation).collect();
    assert_eq!(kept, [Some(TRACE.to_owned()), None]);
    annals.close().await;
}

/// The append of several commands links to each of them and is a child of none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_of_several_commands_links_to_each_of_them() {
    let place = Place::sqlite();
    let collector = Collector::start().await;
    let process = Process::serve(&place, &["--otlp-endpoint", &collector.url], &[]);
    let client = reqwest::Client::new();
    for _ in 0..20 {
        let asking = (0..24).map(|n| {
            let deposit = client.post(format!("{}/commands/deposit", process.url));
            answer(deposit.json(&json!({ "account": n.to_string(), "cents": 1 })))
        });
        assert!(futures::future::join_all(asking).await.iter().all(|answer| answer.status == 200));
    }
    assert!(process.stop().await.status.success());
    let (spans, _) = collector.spans();
    let commands = |id: &[u8]| spans.iter().any(|span| span.name == "command" && span.span_id == id);
    let (mut several, mut appended) = (0, 0);
    for append in spans.iter().filter(|span| span.name == "append") {
        if append.links.is_empty() {
            assert!(commands(&append.parent_span_id), "{append:?}");
            appended += 1;
        } else {
            assert!(append.parent_span_id.is_empty() && append.links.len() > 1, "{append:?}");
            assert!(append.links.iter().all(|link| commands(&link.span_id)), "{append:?}");
            appended += append.links.len();
            several += 1;
        }
    }
    assert!(several > 0, "no two commands were appended together");
    assert_eq!(appended, 480, "a command is in no append, or in several");
}

/// Without an endpoint, or when disabled, nothing is exported. An unusable endpoint is an error at start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_exported_unless_configured() {
    let collector = Collector::start().await;
    let traces = format!("{}/v1/traces", collector.url);
    for (received, environment) in [
        (false, &[][..]),
        (false, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url), ("OTEL_SDK_DISABLED", "true")]),
        (false, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url), ("OTEL_TRACES_EXPORTER", "none")]),
        (false, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]),
        (true, &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*traces), ("OTEL_SERVICE_NAME", "another")]),
    ] {
        let place = Place::sqlite();
        let process = Process::serve(&place, &[], environment);
        ask(&process).await;
        assert!(process.stop().await.status.success());
        let (spans, of) = collector.spans();
        assert_eq!(!spans.is_empty(), received, "{environment:?}");
        assert_eq!(text(&of, "service.name"), received.then_some("another"));
    }
    for (refused, environment) in [
        (&["--otlp-endpoint", "https://collector.example:4318"][..], &[][..]),
        (&["--otlp-endpoint", "collector:4318"], &[]),
        (&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]),
    ] {
        let place = Place::sqlite();
        let mut command = Process::command(&place, refused, environment);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && err.contains("error: ") && err.contains("http"), "{refused:?}: {err}");
    }
}

/// The collector is not there, or accepts connections and never responds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_does_not_respond_delays_no_request() {
    let unresponsive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let absent = std::net::SocketAddr::from(([127, 0, 0, 1], annals_test_postgres::free_port()));
    for address in [unresponsive.local_addr().unwrap(), absent] {
        let place = Place::sqlite();
        let endpoint = format!("http://{address}");
        // Exported at once, with a queue that is soon full.
        let quick =
            [("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_BSP_MAX_QUEUE_SIZE", "8"), ("ANNALS_LOG_FORMAT", "json")];
        let process = Process::serve(&place, &["--otlp-endpoint", &endpoint], &quick);
        for _ in 0..100 {
            ask(&process).await;
        }
        let annals = app().open(place.url()).await.unwrap();
        assert_eq!(bank::log(&annals).await.len(), 200);
        annals.close().await;
        let ended = process.stop().await;
        assert!(ended.status.success(), "{ended:?}");
        assert!(ended.took < Duration::from_secs(30), "{ended:?}");
        assert_eq!(ended.out.len(), 1, "{ended:?}");
        assert!(!ended.err.is_empty(), "the failed export is not logged");
    }
}
