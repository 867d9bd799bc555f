//! Blocks that are not accepted, however correctly they are signed; and tokens that are not correctly signed.

use std::time::{Duration, Instant};

use biscuit_auth::builder::{Scope, string};
use biscuit_auth::format::schema;
use biscuit_auth::{Algorithm, KeyPair};
use prost_of_biscuit::Message;

use super::*;

/// The decision must take less than this. The one of the biscuit crate takes half a minute for some of these tokens. It takes
/// less than a millisecond in a release build; a debug build on a busy machine is given more.
const LIMIT: Duration = Duration::from_millis(500);

/// The error of a token, which must come fast: the fastest of three times counts, since other tests run.
fn refused(keys: &Keys, text: &str) -> TokenError {
    let once = || {
        let started = Instant::now();
        let error = keys.verify(text).unwrap_err();
        (started.elapsed(), error)
    };
    let (fastest, error) = [once(), once(), once()].into_iter().min_by_key(|(taken, _)| *taken).unwrap();
    assert!(fastest < LIMIT, "{fastest:?}: {error}");
    error
}

/// The error of a token with a block of this Datalog.
fn of_block(code: &str) -> &'static str {
    let keys = Keys::generate();
    let text = narrowed(&keys, &minted(&keys), code);
    assert!(keys.verify(&text).is_err(), "{code} is accepted");
    match refused(&keys, &text) {
        TokenError::Block { block: 1, reason, actor } if *actor == bob() => reason,
        other => panic!("{code}: {other:?}"),
    }
}

/// Mission D3.
#[test]
fn a_holders_block_with_more_than_checks_is_refused() {
    for (code, reason) in [
        ("grant(\"00000000-0000-0000-0000-000000000001\")", "states facts"),
        ("actor(\"user%3Aroot\")", "states facts"),
        ("method(\"GET\") <- method(\"POST\")", "rule"),
        ("grant($g) <- grant($g)", "rule"),
        ("check if method(\"GET\") trusting previous", "trusts"),
        (
            "check if method(\"GET\") trusting ed25519/6e9e6d5a75cf0c0e87ec1256b4dfed0ca3ba452912d213fcc70f8516583db9db",
            "trusts",
        ),
        ("check all method($m), $m == \"GET\"", "another check"),
        ("reject if method(\"GET\")", "another check"),
        ("check if true", "number of predicates"),
        ("check if method($m), path($p)", "number of predicates"),
        ("check if actor(\"user%3Abob\")", "something else"),
        ("check if grant($g)", "something else"),
        ("check if anything($a)", "something else"),
        ("check if method($m, $n)", "number of terms"),
        ("check if method(\"GET\") or path(\"/audit\")", "two different facts"),
        ("check if method($m), $m == \"GET\", $m == \"POST\"", "more than one comparison"),
        ("check if method(\"GET\"), 1 < 2", "more than one comparison"),
        ("check if method($m), $m != \"GET\"", "not =="),
        ("check if method($m), $m.ends_with(\"T\")", "not =="),
        ("check if method($m), $m.matches(\"G.*\")", "not =="),
        ("check if method($m), \"GET\" == $m", "literal"),
        ("check if method($m), $m.starts_with($m)", "another type"),
        ("check if method($m), ($m == \"GET\")", "not of a variable"),
        ("check if method($m), !($m == \"GET\")", "not of a variable"),
        ("check if method($m), $m == \"GET\" && true", "not of a variable"),
        ("check if time($t), $t > 2020-01-01T00:00:00Z", "not =="),
        ("check if time($t), $t < 3", "another type"),
        ("check if method(3)", "another type"),
        ("check if observe(\"true\")", "another type"),
        ("check if path([\"/audit\"])", "another type"),
        ("check if path(null)", "another type"),
    ] {
        let found = of_block(code);
        assert!(found.contains(reason), "{code}: {found}");
    }
    // The crate's parser drops the scope of a block: it is set by hand.
    let keys = Keys::generate();
    let trusting = BlockBuilder::new().code("check if method(\"GET\")").unwrap().scope(Scope::Authority);
    assert!(keys.verify(&appended(&keys, &minted(&keys), trusting)).is_err());
}

/// Tokens that keep the engine of the biscuit crate busy for seconds, whatever its time limit is.
#[test]
fn a_block_that_would_keep_an_engine_busy_is_refused_at_once() {
    // Each check joins 60 facts with themselves four times.
    let facts: String = (0..60).map(|n| format!("f({n});")).collect();
    assert!(
        of_block(&format!("{facts} check if f($a), f($b), f($c), f($d), $a + $b + $c + $d < 0")).contains("facts")
    );
    assert!(of_block("check if path($a), path($b), path($c), path($d)").contains("predicates"));
    let many = format!("[{}]", (0..30).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let nested = format!(
        "check if method($m), {many}.any($a -> {many}.any($b -> {many}.any($c -> {many}.any($d -> {many}.any($e -> $a + $b + $c + $d + $e < 0)))))"
    );
    assert!(of_block(&nested).contains("comparison"), "{}", nested.len());
    let ored = format!("check if method($m), {}", vec!["$m == \"GET\""; 40].join(" || "));
    assert!(of_block(&ored).contains("comparison"));
    let deep = format!("check if method($m), {}$m == \"GET\"{}", "(".repeat(8), ")".repeat(8));
    assert!(of_block(&deep).contains("comparison"));
}

/// Text that is printed and parsed again can hide a check: here nothing is printed.
#[test]
fn a_check_behind_a_backslash_is_judged_as_what_it_is() {
    use biscuit_auth::builder::{Check, CheckKind, Expression, Op, Rule, Term, pred, var};
    let keys = Keys::generate();
    let head: &[Term] = &[];
    let rule = |body, expressions| Rule::new(pred("query", head), body, expressions, Vec::new());
    let check = |queries| Check { queries, kind: CheckKind::One };
    let first = check(vec![rule(vec![pred("path", &[string("x\\")])], Vec::new())]);
    let forbidden = check(vec![rule(
        vec![pred("path", &[var("a")]), pred("path", &[var("b")])],
        vec![Expression { ops: vec![Op::Value(Term::Bool(true))] }],
    )]);
    let block = biscuit_auth::BlockBuilder::new().check(first.clone()).unwrap().check(forbidden).unwrap();
    let text = appended(&keys, &minted(&keys), block);
    assert!(biscuit(&keys, &text).print_block_source(1).unwrap().contains('\\'));
    assert!(matches!(refused(&keys, &text), TokenError::Block { block: 1, .. }));
    // The backslash alone is a literal as any other.
    let block = biscuit_auth::BlockBuilder::new().check(first).unwrap();
    let token = verified(&keys, &appended(&keys, &minted(&keys), block));
    assert_eq!(token.allows(&Request { path: "x\\", ..request() }), Ok(()));
    assert_eq!(token.allows(&request()), Err(TokenError::Path));
}

#[test]
fn the_number_of_blocks_and_the_length_are_bounded() {
    let keys = Keys::generate();
    let mut text = minted(&keys);
    for block in 1..super::super::MAX_BLOCKS {
        text = narrowed(&keys, &text, "check if method($m)");
        assert_eq!(verified(&keys, &text).revocation_ids().len(), block + 1);
    }
    assert_eq!(refused(&keys, &narrowed(&keys, &text, "check if method($m)")), TokenError::TooManyBlocks);
    let long = format!("check if path(\"{}\")", "x".repeat(3_000));
    assert_eq!(refused(&keys, &narrowed(&keys, &minted(&keys), &long)), TokenError::TooLong);
    assert_eq!(refused(&keys, &"A".repeat(1_000_000)), TokenError::TooLong);
}

/// Mission D3.
#[test]
fn only_tokens_that_an_accepted_key_signed_are_accepted() {
    let (keys, others) = (Keys::generate(), Keys::generate());
    let text = minted(&keys);
    assert_eq!(refused(&others, &text), TokenError::Signature, "the same key id, another key");
    for cut in [text.len() - 4, text.len() / 2, 4] {
        assert!(matches!(refused(&keys, &text[..cut]), TokenError::Malformed), "cut at {cut}");
    }
    for nothing in ["", "x", "AAAA", "é", "a b", "====", "{}"] {
        assert_eq!(refused(&keys, nothing), TokenError::Malformed, "{nothing}");
    }
    let id = keys.signer().unwrap().id();
    let of = |id: Option<u32>| {
        let builder = biscuit_auth::Biscuit::builder().fact("actor(\"user%3Abob\")").unwrap();
        let builder = builder.fact(format!("grant(\"{GRANT}\")").as_str()).unwrap();
        let builder = id.map_or(builder.clone(), |id| builder.root_key_id(id));
        builder.build(&keys.signer().unwrap().key).unwrap().to_base64().unwrap()
    };
    assert_eq!(verified(&keys, &of(Some(id))).actor(), &bob());
    assert_eq!(refused(&keys, &of(None)), TokenError::UnknownKey(None));
    assert_eq!(refused(&keys, &of(Some(9))), TokenError::UnknownKey(Some(9)));
}

#[test]
fn blocks_of_third_parties_and_other_signatures_are_refused() {
    let keys = Keys::generate();
    let token = biscuit(&keys, &minted(&keys));
    let third = KeyPair::new_with_algorithm(Algorithm::Ed25519);
    let request = token.third_party_request().unwrap();
    let block = biscuit_auth::BlockBuilder::new().check("check if method(\"GET\")").unwrap();
    let block = request.create_block(&third.private(), block).unwrap();
    let text = token.append_third_party(third.public(), block).unwrap().to_base64().unwrap();
    assert!(matches!(refused(&keys, &text), TokenError::Unsupported(reason) if reason.contains("third party")));
    let block = biscuit_auth::BlockBuilder::new().check("check if method(\"GET\")").unwrap();
    let p256 = KeyPair::new_with_algorithm(Algorithm::Secp256r1);
    let text = token.append_with_keypair(&p256, block).unwrap().to_base64().unwrap();
    assert!(matches!(refused(&keys, &text), TokenError::Unsupported(reason) if reason.contains("Ed25519")));
}

#[test]
fn a_sealed_token_is_accepted_and_cannot_be_narrowed() {
    let keys = Keys::generate();
    let sealed = biscuit(&keys, &narrowed(&keys, &minted(&keys), "check if method(\"GET\")")).seal().unwrap();
    let token = verified(&keys, &sealed.to_base64().unwrap());
    assert_eq!(token.allows(&Request { method: "POST", ..request() }), Err(TokenError::Method));
    assert!(sealed.append(biscuit_auth::BlockBuilder::new()).is_err());
}

/// What another program with the same key could sign is not accepted either.
#[test]
fn the_issuers_block_names_one_actor_and_one_grant() {
    let keys = Keys::generate();
    let signer = keys.signer().unwrap();
    for code in [
        "",
        "actor(\"user%3Abob\")",
        "grant(\"00000000-0000-0000-0000-000000000007\")",
        "actor(\"user%3Abob\"); grant(\"7\")",
        "actor(\"bob\"); grant(\"00000000-0000-0000-0000-000000000007\")",
        "actor(\"user%3Abob\"); actor(\"user%3Aeve\"); grant(\"00000000-0000-0000-0000-000000000007\")",
        "actor(\"user%3Abob\"); grant(\"00000000-0000-0000-0000-000000000007\"); admin(\"x\")",
        "actor(\"user%3Abob\"); grant(\"00000000-0000-0000-0000-000000000007\"); check if user($u)",
        "actor(7); grant(\"00000000-0000-0000-0000-000000000007\")",
    ] {
        let token = biscuit_auth::Biscuit::builder().code(code).unwrap().root_key_id(signer.id());
        let text = token.build(&signer.key).unwrap().to_base64().unwrap();
        assert!(matches!(refused(&keys, &text), TokenError::Unsupported(_)), "{code}");
    }
}

/// The parts of a message that this code does not know could carry a restriction.
#[test]
fn a_message_with_unknown_parts_is_refused() {
    let keys = Keys::generate();
    let token = biscuit(&keys, &minted(&keys));
    let block = schema::Block { version: Some(3), ..schema::Block::default() }.encode_to_vec();
    let with = |block: Vec<u8>| {
        let next = KeyPair::new_with_algorithm(Algorithm::Ed25519);
        super::mutations::text_of(
            &token.container().append_serialized(&next, block, None).unwrap().to_vec().unwrap(),
        )
    };
    assert_eq!(keys.verify(&with(block.clone())).map(|token| token.grant()), Ok(GRANT));
    // Field 15, a text.
    let unknown = [&block[..], &[0x7a, 1, b'x']].concat();
    assert!(matches!(refused(&keys, &with(unknown)), TokenError::Block { block: 1, .. }));
    let envelope = [token.to_vec().unwrap(), vec![0x7a, 1, b'x']].concat();
    assert_eq!(refused(&keys, &super::mutations::text_of(&envelope)), TokenError::Malformed);
    for version in [None, Some(2), Some(7)] {
        let block = schema::Block { version, ..schema::Block::default() }.encode_to_vec();
        assert!(matches!(refused(&keys, &with(block)), TokenError::Block { block: 1, .. }), "{version:?}");
    }
}

#[test]
fn messages_of_errors_fit_into_a_challenge() {
    let keys = Keys::generate();
    let text = minted(&keys);
    let errors = [
        refused(&keys, &narrowed(&keys, &text, "f(1)")),
        refused(&keys, "x"),
        TokenError::UnknownKey(None),
        TokenError::UnknownKey(Some(3)),
        TokenError::Expired,
        TokenError::TooLong,
        TokenError::TooManyBlocks,
        TokenError::Observe(true),
    ];
    for error in errors {
        let message = error.to_string();
        assert!(message.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\'), "{message}");
    }
}

#[test]
fn a_token_that_cannot_be_made_is_an_error() {
    use super::super::MintError;
    let keys = Keys::generate();
    let signer = keys.signer().unwrap();
    let before = signer.mint(&bob(), GRANT, Some(time("1969-12-31T23:59:59Z")));
    assert!(matches!(before, Err(MintError::Expired(_))));
    let long = Ref::unchecked("user", &"é".repeat(500));
    assert!(matches!(signer.mint(&long, GRANT, None), Err(MintError::LongActor(_))));
    // A token ends at a whole second, never later than asked.
    let text = signer.mint(&bob(), GRANT, Some(time("2030-01-01T00:00:00.9Z"))).unwrap();
    assert_eq!(verified(&keys, &text).expires(), Some(end()));
    let odd = Ref::unchecked("user", "Jane \"x\" \\ 日本");
    assert_eq!(verified(&keys, &signer.mint(&odd, GRANT, None).unwrap()).actor(), &odd);
}
