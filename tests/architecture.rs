//! Checks the structure: dependencies between modules run one way (cli → http → access → app → projections, commands → aggregates →
//! store → events), files stay short, and the core has no user interface dependency.

use std::fs;
use std::path::{Path, PathBuf};

/// A module, and the modules that it may use.
const MODULES: [(&str, &[&str]); 13] = [
    ("events", &[]),
    ("tokens", &["events"]),
    ("store", &["events"]),
    ("aggregates", &["store", "events"]),
    ("commands", &["aggregates", "store", "tokens", "events"]),
    ("projections", &["store", "events"]),
    ("proofs", &["projections", "store", "events"]),
    ("personal", &["commands", "aggregates", "store", "events"]),
    ("app", &["personal", "proofs", "projections", "commands", "aggregates", "store", "tokens", "events"]),
    (
        "access",
        &["app", "personal", "proofs", "projections", "commands", "aggregates", "store", "tokens", "events"],
    ),
    (
        "http",
        &[
            "access",
            "app",
            "personal",
            "proofs",
            "projections",
            "commands",
            "aggregates",
            "store",
            "tokens",
            "events",
        ],
    ),
    ("testing", &["app", "commands", "aggregates", "store", "tokens", "events"]),
    (
        "cli",
        &[
            "http",
            "access",
            "app",
            "personal",
            "proofs",
            "projections",
            "commands",
            "aggregates",
            "store",
            "tokens",
            "events",
        ],
    ),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The code of a file without comments and without the unit tests at its end, which may use every module.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn dependencies_between_modules_run_one_way() {
    let mut wrong = Vec::new();
    for (module, allowed) in MODULES {
        for file in sources(&src().join(module)) {
            let for_tests = ["tests", "tests.rs", "fixture"];
            if file.components().any(|part| for_tests.iter().any(|name| part.as_os_str() == *name)) {
                continue;
            }
            let code = code(&file);
            for (other, _) in MODULES {
                if other != module && !allowed.contains(&other) && code.contains(&format!("crate::{other}")) {
                    wrong.push(format!("{} uses {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Missions P7 and J11: modules that decide and store do not use auditing, presenting or metrics; nor does the code of an
/// application.
#[test]
fn domain_code_does_not_use_auditing() {
    for module in ["events", "store", "aggregates", "commands", "../examples/job_server/src"] {
        for file in sources(&src().join(module)) {
            let code = code(&file);
            for word in ["audit::", "metrics::", "presenter::"] {
                // `write_metrics::` has the counters of the write path.
                let named = code.match_indices(word).any(|(at, _)| !code[..at].ends_with('_'));
                assert!(!named, "{} names {word}", file.display());
            }
        }
    }
}

#[test]
fn no_file_grows_past_400_lines() {
    let folders = [src(), src().join("../macros/src"), src().join("../examples"), src().join("../tests")];
    for file in folders.iter().flat_map(|folder| sources(folder)) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines", file.display());
    }
}

/// `cargo add annals` compiles few crates: the library on SQLite. All else is asked for by a feature.
#[test]
fn the_default_features_bring_at_most_110_crates() {
    let crates: std::collections::BTreeSet<String> = tree(&["-e", "normal,build"]).into_iter().collect();
    assert!(crates.contains("rusqlite"), "{crates:?}");
    assert!(crates.len() <= 110, "{} crates: {crates:?}", crates.len());
    for name in ["clap", "csv", "fluent-bundle", "sqlx", "rustls", "axum"] {
        assert!(!crates.contains(name), "the default features bring {name}");
    }
    let postgres = tree(&["-e", "normal", "--no-default-features", "--features", "postgres"]);
    assert!(!postgres.contains(&"rustls".to_owned()), "TLS comes with the feature `postgres-tls`");
}

/// The names of the crates that `annals` is built from.
fn tree(arguments: &[&str]) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = std::process::Command::new(cargo);
    command.args(["tree", "-p", "annals", "--prefix", "none", "--format", "{p}", "--locked", "--offline"]);
    let ended = command.args(arguments).current_dir(src().join("..")).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let text = String::from_utf8(ended.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// Mission P25: crates for pages, plots, terminals and servers are compiled only with the features that need them.
#[test]
fn the_core_has_no_dependency_for_pages_plots_or_terminals() {
    let tree = |features: &str| tree(&["-e", "normal", "--no-default-features", "--features", features]);
    const FOR_PEOPLE: [&str; 10] = [
        "axum",
        "clap",
        "font8x8",
        "hyper",
        "indicatif",
        "maud",
        "plotters",
        "tower",
        "tracing-subscriber",
        "utoipa",
    ];
    for core in ["", "sqlite", "postgres", "sqlite,postgres,export"] {
        let crates = tree(core);
        assert!(crates.contains(&"serde".to_owned()), "{crates:?}");
        for name in FOR_PEOPLE {
            assert!(!crates.contains(&name.to_owned()), "features `{core}` depend on {name}");
        }
        for name in &crates {
            let draws =
                ["web-sys", "js-sys", "image", "cytoscape", "d3", "egui", "iced", "wgpu", "petgraph", "ratatui"];
            assert!(!draws.contains(&name.as_str()), "features `{core}` depend on {name}");
        }
    }
    let whole = tree("http,plots,postgres,sqlite");
    for name in FOR_PEOPLE {
        assert!(whole.contains(&name.to_owned()), "{name} is no dependency any more: remove it from this list");
    }
}
