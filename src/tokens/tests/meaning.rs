//! What checks mean: the same as to the authorizer of the biscuit crate.

use std::time::Duration;

use biscuit_auth::builder::{
    Binary, Check, CheckKind, Expression, Op, Rule, Term, boolean, fact, pred, string, var,
};
use biscuit_auth::{AuthorizerBuilder, AuthorizerLimits, Biscuit, BlockBuilder};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::token::encoded;
use super::*;

/// Whether the biscuit crate's own authorizer allows a request: for each target, since each must be allowed.
pub(super) fn biscuit_allows(token: &Biscuit, request: &Request<'_>) -> bool {
    let allows = |target: Option<&str>| {
        let date = Term::Date(request.now.as_second().try_into().unwrap());
        let facts = [
            fact("method", &[string(request.method)]),
            fact("path", &[string(request.path)]),
            fact("observe", &[boolean(request.observe)]),
            fact("time", &[date]),
        ];
        let target = target.map(|target| fact("target", &[string(&encoded(target))]));
        let limits = AuthorizerLimits { max_time: Duration::from_secs(60), ..AuthorizerLimits::default() };
        let builder = facts
            .into_iter()
            .chain(target)
            .fold(AuthorizerBuilder::new(), |builder, fact| builder.fact(fact).unwrap());
        let builder = builder.policy("allow if true").unwrap().set_limits(limits);
        builder.build(token).and_then(|mut authorizer| authorizer.authorize()).is_ok()
    };
    match request.targets {
        [] => allows(None),
        targets => targets.iter().all(|target| allows(Some(target))),
    }
}

const METHODS: [&str; 3] = ["GET", "POST", "query"];
const PATHS: [&str; 4] = ["/audit", "/audit/export", "/commands/deposit", "read"];
const TARGETS: [&str; 5] = ["project:7", "project:70", "user:Jane \"x\" \\", "account:é", "read"];
/// Seconds since 1970.
const TIMES: [i64; 4] = [0, 1_777_593_600, 1_777_593_601, 1_893_455_999];

/// A literal that often is a fact of a request, or the beginning of one.
fn literal() -> impl Strategy<Value = Term> {
    let texts: Vec<String> =
        METHODS.iter().chain(&PATHS).map(|text| text.to_string()).chain(TARGETS.map(encoded)).collect();
    prop_oneof![
        6 => (select(texts), 0..3usize).prop_map(|(text, cut)| {
            let end = text.char_indices().rev().nth(cut).map_or(text.len(), |(at, _)| at);
            string(if cut == 0 { &text } else { &text[..end] })
        }),
        2 => any::<bool>().prop_map(boolean),
        2 => select(TIMES.to_vec()).prop_map(|time| Term::Date(time.try_into().unwrap())),
        1 => any::<i64>().prop_map(Term::Integer),
    ]
}

fn subject() -> impl Strategy<Value = &'static str> {
    select(vec!["method", "path", "target", "observe", "time"])
}

/// An alternative of a check. Some compare values of different types.
fn alternative(subject: &'static str) -> impl Strategy<Value = Rule> {
    let operator = select(vec![
        None,
        Some(Binary::Equal),
        Some(Binary::HeterogeneousEqual),
        Some(Binary::Prefix),
        Some(Binary::LessThan),
        Some(Binary::LessOrEqual),
        Some(Binary::GreaterThan),
    ]);
    (literal(), operator, any::<bool>()).prop_map(move |(literal, operator, any)| {
        let head: &[Term] = &[];
        let compared = |operator| Expression {
            ops: vec![Op::Value(var("x")), Op::Value(literal.clone()), Op::Binary(operator)],
        };
        let (term, expressions) = match operator {
            Some(operator) => (var("x"), vec![compared(operator)]),
            None if any => (var("x"), Vec::new()),
            None => (literal, Vec::new()),
        };
        Rule::new(pred("query", head), vec![pred(subject, &[term])], expressions, Vec::new())
    })
}

fn check() -> impl Strategy<Value = Check> {
    let alternatives = subject().prop_flat_map(|subject| vec(alternative(subject), 1..4));
    alternatives.prop_map(|queries| Check { queries, kind: CheckKind::One })
}

fn requests() -> impl Strategy<Value = Request<'static>> {
    let targets: Vec<&'static [&'static str]> =
        vec![&[], &TARGETS[..1], &TARGETS[1..2], &TARGETS[2..3], &TARGETS[3..4], &TARGETS[..2], &TARGETS];
    (select(METHODS.to_vec()), select(PATHS.to_vec()), select(targets), any::<bool>(), select(TIMES.to_vec()))
        .prop_map(|(method, path, targets, observe, now)| Request {
            method,
            path,
            targets,
            observe,
            now: Timestamp::from_second(now).unwrap(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random tokens and requests: the same answer as the biscuit crate's authorizer. Tokens that are not accepted here may
    /// be allowed there, never the other way.
    #[test]
    fn a_narrowed_token_allows_exactly_what_the_authorizer_of_the_biscuit_crate_allows(
        blocks in vec(vec(check(), 1..3), 0..3),
        requests in vec(requests(), 6),
    ) {
        let keys = Keys::generate();
        let block = |checks: Vec<Check>| checks.into_iter().fold(BlockBuilder::new(), |block, check| block.check(check).unwrap());
        let text = blocks.into_iter().fold(minted(&keys), |text, checks| appended(&keys, &text, block(checks)));
        let (token, biscuit) = (keys.verify(&text), biscuit(&keys, &text));
        for request in &requests {
            let theirs = biscuit_allows(&biscuit, request);
            match &token {
                Ok(token) => {
                    prop_assert_eq!(token.allows(request).is_ok(), theirs, "{:?} of {}", request, biscuit);
                    let some_target = token.allows_for_some_target(request).is_ok();
                    prop_assert!(some_target || !theirs, "{:?} of {}", request, biscuit);
                }
                Err(TokenError::Block { .. }) => {}
                Err(other) => prop_assert!(false, "{:?}", other),
            }
            if token.as_ref().is_ok_and(|token| token.expires().is_some_and(|expires| expires <= request.now)) {
                prop_assert!(!theirs, "it allows something after its expiry: {}", biscuit);
            }
        }
    }
}

/// Mission D3.
#[test]
fn each_check_denies_what_it_does_not_name() {
    let at = |path| Request { path, ..request() };
    for (code, allowed, denied, error) in [
        ("check if method(\"GET\")", request(), Request { method: "POST", ..request() }, TokenError::Method),
        ("check if path(\"/audit\")", request(), at("/events"), TokenError::Path),
        (
            "check if path($p), $p.starts_with(\"/views/\")",
            at("/views/roster/7"),
            at("/view-counts/"),
            TokenError::Path,
        ),
        // The text is at the beginning, not somewhere in the path.
        (
            "check if path($p), $p.starts_with(\"/views/\")",
            at("/views/"),
            at("/own/views/roster"),
            TokenError::Path,
        ),
        (
            "check if target(\"project%3A7\")",
            Request { targets: &["project:7"], ..request() },
            Request { targets: &["project:70"], ..request() },
            TokenError::Target,
        ),
        (
            "check if target($t), $t.starts_with(\"project%3A\")",
            Request { targets: &["project:7", "project:8"], ..request() },
            Request { targets: &["project:7", "user:bob"], ..request() },
            TokenError::Target,
        ),
        ("check if observe(false)", request(), Request { observe: true, ..request() }, TokenError::Observe(true)),
        (
            "check if observe($o), $o == true",
            Request { observe: true, ..request() },
            request(),
            TokenError::Observe(false),
        ),
        (
            "check if time($t), $t < 2026-05-02T00:00:00Z",
            request(),
            Request { now: time("2026-05-02T00:00:00Z"), ..request() },
            TokenError::Expired,
        ),
        (
            "check if time($t), $t <= 2026-05-02T00:00:00Z",
            Request { now: time("2026-05-02T00:00:00.9Z"), ..request() },
            Request { now: time("2026-05-02T00:00:01Z"), ..request() },
            TokenError::Expired,
        ),
        (
            "check if method(\"GET\") or method(\"POST\")",
            Request { method: "POST", ..request() },
            Request { method: "DELETE", ..request() },
            TokenError::Method,
        ),
    ] {
        assert_eq!(answer(code, &allowed), Ok(()), "{code}");
        assert_eq!(answer(code, &denied), Err(error), "{code}");
    }
}

#[test]
fn a_token_for_targets_allows_nothing_that_is_about_no_particular_one() {
    assert_eq!(answer("check if target(\"project%3A7\")", &request()), Err(TokenError::Target));
    assert_eq!(answer("check if target($t)", &request()), Err(TokenError::Target));
    let keys = Keys::generate();
    let token = verified(&keys, &narrowed(&keys, &minted(&keys), "check if target(\"project%3A7\")"));
    assert_eq!(token.allows_for_some_target(&request()), Ok(()));
    assert_eq!(token.allows_for_some_target(&Request { now: end(), ..request() }), Err(TokenError::Expired));
}

#[test]
fn the_earliest_end_of_all_blocks_is_the_expiry() {
    let keys = Keys::generate();
    let text = minted(&keys);
    assert_eq!(verified(&keys, &text).expires(), Some(end()));
    for (code, expires) in [
        ("check if time($t), $t < 2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("check if time($t), $t <= 2027-01-01T00:00:00Z", "2027-01-01T00:00:01Z"),
        ("check if time($t), $t < 2040-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        (
            "check if time($t), $t < 2027-01-01T00:00:00Z or time($t), $t < 2028-01-01T00:00:00Z",
            "2028-01-01T00:00:00Z",
        ),
        ("check if time($t), $t < 2027-01-01T00:00:00Z or time($t)", "2030-01-01T00:00:00Z"),
        ("check if time(2026-01-01T00:00:00Z)", "2026-01-01T00:00:01Z"),
    ] {
        assert_eq!(verified(&keys, &narrowed(&keys, &text, code)).expires(), Some(time(expires)), "{code}");
    }
    let endless = keys.signer().unwrap().mint(&bob(), GRANT, None).unwrap();
    assert_eq!(verified(&keys, &endless).expires(), None);
    assert_eq!(verified(&keys, &endless).allows(&Request { now: Timestamp::MAX, ..request() }), Ok(()));
}
