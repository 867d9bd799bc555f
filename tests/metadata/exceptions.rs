//! Calls that show no value of an event to anybody.
//!
//! Every other call has to show a value to a reader of everything. An exception that shows one, or that is no call, fails the test.

use crate::compare::Exceptions;

/// Over HTTP.
pub const OVER_HTTP: Exceptions = &[
    (r"HEAD .*", "no body"),
    (r"GET /audit/count .*", "counts by actor, action and event type"),
    (r"GET (/page)?/metrics(/|/\{topic\})? .*", "counts of events"),
    (r"GET /live/metrics(/|/\{topic\})? .*", "counts of events"),
    (r"GET /(numbers|upkeep|verify|verify/now) .*", "the page around numbers and states"),
    (r"GET (/page)?/projections(/now|/\{name\}|/\{name\}/dead-letters)? .*", "states of projections, all in order"),
    (r"(POST|DELETE) (/page)?/projections/.*", "starts an operation, or says that none is needed"),
    (r"GET (/page)?/reactions(/\{name\}/pending)? .*", "the application has no reactions"),
    (r"POST (/page)?/reactions/.*", "refused: the application has no reactions"),
    (r"(GET|POST) /feeds(/\{name\}/(pause|resume))? .*", "the application has no feeds"),
    (r"(GET|POST) /intakes(/\{name\}/.*)? .*", "the application has no intakes"),
    (r"(GET|POST) /check .*", "what a check of the log finds: nothing"),
    (r"POST /verify .*", "starts a check"),
    (r"GET /(views|commands|commands/\{name\}|openapi\.json|try|assets/\{name\}) .*", "what the program declares"),
    (r"GET /page/provenance/\{kind\}/\{id\} .*", "references, event types and times: no values"),
    // Forwards are the reads of the thing, with their filters.
    (
        r#"GET /provenance/\{kind\}/\{id\} (|[^d].*|d[^i].*|direction="backwards")"#,
        "references, event types and times: no values",
    ),
    (r"GET (/page)?/flows(/[a-z]+)? .*", "references, counts and times: no values"),
    (r"GET /(healthz|readyz) .*", "whether the program works"),
    (r"GET (/log/|/page/proof ).*", "hashes, positions, event types and times: no values"),
    (r"(GET|POST) /sign-in .*", "a form"),
    (r"GET /access/uses .*", "counts of uses"),
    (r"POST /page/access/[a-z-]+ ", "refused, because the form has no fields"),
    (
        r"GET /view-counts/\{name\} (|If-None-Match|after=.*|any=.*|cursor=.*|filter=.*|from=.*|limit=.*|prefix=.*|until=.*)",
        "a number",
    ),
    (
        r#"GET .* (actor="user:nobody"|aggregate="file:none"|correlation="c-none"|(text|any|filter|prefix)=absent)"#,
        "matches nothing",
    ),
    (r#"GET /(|audit|audit/export|live/audit|refusals|rows) target="file:none""#, "matches nothing"),
    (r#"GET .* detail="metadata""#, "asks for metadata"),
    (
        r"GET (/|/history|/refusals|/rows) (limit|locale|names|newest_first|refused)=.*",
        "the page refuses the parameter",
    ),
    (r"GET (/|/history|/refusals) cursor=.*", "the cursor of another query"),
    (r"GET /rows after=.*", "the position of another route"),
    (r#"GET /history event="annals_read.viewed""#, "the file was not read"),
    (
        r#"GET /refusals (actor="user:ann"|aggregate="file:1"|target="file:1"|event=.*|topic=.*|occurred_until=.*|until=.*)"#,
        "no refusal",
    ),
    (r"GET /live/audit (Last-Event-ID=done|by_occurrence=true|newest_first=true)", "refused, or over"),
];

/// Over WebSocket, and rows that are written while a stream is open.
pub const LIVE: Exceptions = &[
    (r"RPC /live (metric|subscribe_metric|unsubscribe)( .*)?", "counts of events"),
    (
        r#"RPC /live (audit|subscribe_audit) (actor="user:nobody"|(aggregate|target)="file:none"|correlation="c-none"|text=absent)"#,
        "matches nothing",
    ),
    (r#"RPC /live (audit|subscribe_audit) detail="metadata""#, "asks for metadata"),
    (
        r"RPC /live subscribe_audit (by_occurrence|newest_first)=true",
        "refused: new rows come in the order of the log",
    ),
];

/// On the command line.
pub const COMMAND_LINE: Exceptions = &[
    (
        r#"CLI (audit|export) --(actor "user:nobody"|(aggregate|target) "file:none"|correlation "c-none"|text absent)"#,
        "matches nothing",
    ),
    (r#"CLI (audit|export) --detail "metadata""#, "asks for metadata"),
    (r"CLI audit --count set", "counts by actor, action and event type"),
    (r"CLI provenance( .*)?", "references, event types and times: no values"),
    (r"CLI flows( .*)?", "references, counts and times: no values"),
    (r"CLI (proofs .*|export --proofs .*)", "hashes, positions, event types and times: no values"),
    (r"CLI view --count set", "a number"),
    (r"CLI view --(any|filter|prefix) absent", "matches nothing"),
    (r"CLI (access [^l]|execute [a-z]+_(access|token|owner)).*", "refused, for reasons without values"),
    (
        r"CLI (metrics|projections|reactions|feeds|intakes|check|backup)( .*)?",
        "counts and states; the copy is a file",
    ),
];
