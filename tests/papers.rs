//! Checks the text of the project: wording, module lists, cited ids and links.
//!
//! `PAPERS_IN=src/http cargo test --test papers` reports only files whose path begins with `src/http`, also pending ones.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// Phrases that a reader cannot look up, each with what to write in its place. `docs/glossary.md` has the terms.
const REFUSED: &[(&str, &str)] = &[
    (r"anew", "again, from scratch, a new …"),
    (r"tells? (who|what|how|by)|told", "say, print, return, notify, distinguish"),
    (r"(take|takes|took|taken|taking) in", "process, apply, accept"),
    (r"(goes|gone|went) on", "continue"),
    (r"by heart", "in memory, cached"),
    (r"stands|stood", "is, holds, precedes"),
    (r"(the|a|this|its|one|own) doors?", "router, entry point, API"),
    (r"hears?|heard", "receives, is notified, notices"),
    (r"learns?", "receives, notices"),
    (r"whoever|whom", "name the caller, the reader, the process"),
    (
        r"who (asks|reads|waits|writes|follows|watches|calls|tried|may|does not)",
        "name the caller, the reader, the process",
    ),
    (r"(one|those|somebody|anybody) who", "name the caller, the reader, the process"),
    (r"what is there|all there is|all that is", "the existing …, everything"),
    (r"what (comes|came) (in|then|after|next|since|meanwhile)", "name the rows, the events"),
    (r"that which", "name the thing"),
    (r"(is|was|has to be|have to be) said", "is given, is specified, is required"),
    (r"to and fro|the other way round|such a one|for good", "a plain word"),
    (r"lets? (a|the|it|them|nothing|[a-z]+s) (in|through)", "accept, match"),
    (r"gives? (it|them|its [a-z]+) away", "return, reveal, release"),
    (r"rooms", "modules"),
    (r"as (it|they) (is|are) (there|now)", "the current …"),
    (r"known by|knows of", "identified by, depends on"),
    (r"there and then|of then", "at that time"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files that are checked, with their text: paths begin at the root of the repository.
fn files(extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with("target") && (!name.starts_with('.') || name == ".github") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push((relative(&path), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.retain(|(path, _)| path != "tests/papers.rs");
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// Fails with the findings, one a line: `PATH:LINE: what is wrong`.
fn assert_none(mut findings: Vec<String>, advice: &str) {
    if let Ok(prefix) = std::env::var("PAPERS_IN") {
        findings.retain(|finding| finding.starts_with(&prefix));
    }
    assert!(findings.is_empty(), "{}\n{} findings. {advice}", findings.join("\n"), findings.len());
}

/// A line in which the name of a function reads as words: names of tests are sentences.
fn with_words(line: &str) -> Cow<'_, str> {
    let Some((before, name)) = line.split_once("fn ") else { return line.into() };
    let (name, after) = name.split_at(name.find('(').unwrap_or(name.len()));
    match name.matches('_').count() {
        0 | 1 => line.into(),
        _ => format!("{before}fn {}{after}", name.replace('_', " ")).into(),
    }
}

#[test]
fn comments_strings_names_of_tests_and_papers_use_terms_that_a_reader_can_look_up() {
    // One search over each file: many searches a line would take minutes in a debug build.
    let whole_words = |phrases: &str| Regex::new(&format!(r"(?i)(?-u:\b)(?:{phrases})(?-u:\b)")).unwrap();
    let any = whole_words(&REFUSED.iter().map(|(phrase, _)| *phrase).collect::<Vec<_>>().join("|"));
    let refused: Vec<_> = REFUSED.iter().map(|(phrase, better)| (whole_words(phrase), *better)).collect();
    let mut findings = Vec::new();
    for (path, text) in files("rs").into_iter().chain(files("md")) {
        let text = text.lines().map(with_words).collect::<Vec<_>>().join("\n");
        for found in any.find_iter(&text) {
            let line = text[..found.start()].matches('\n').count() + 1;
            let better =
                refused.iter().find(|(phrase, _)| phrase.is_match(found.as_str())).map_or("", |(_, better)| better);
            findings.push(format!("{path}:{line}: `{}`: {better}", found.as_str()));
        }
    }
    assert_none(findings, "Write the plain word.");
}

#[test]
fn each_layout_names_exactly_the_modules_of_its_file() {
    let declared = Regex::new(r"^(?:pub(?:\([a-z: ]+\))? )?mod ([a-z0-9_]+)(?:;| \{)").unwrap();
    let names = Regex::new(r"^- ((?:\[?`[a-z0-9_]+`\]?(?:, )?)+):").unwrap();
    let name = Regex::new(r"`([a-z0-9_]+)`").unwrap();
    let mut findings = Vec::new();
    for (path, text) in files("rs") {
        let head = text.lines().map_while(|line| line.strip_prefix("//!"));
        let head: Vec<_> = head.map(str::trim_start).skip_while(|line| *line != "## Layout").skip(1).collect();
        if head.is_empty() {
            continue;
        }
        let items = head.iter().take_while(|line| !line.is_empty());
        let listed: BTreeSet<_> = items
            .filter_map(|line| names.captures(line))
            .flat_map(|names_of| {
                name.captures_iter(names_of.get(1).unwrap().as_str()).map(|name| name[1].to_owned())
            })
            .collect();
        let lines: Vec<_> = text.lines().collect();
        let only_in_tests = |number: usize| {
            number > 0 && lines[number - 1].starts_with("#[cfg(") && lines[number - 1].contains("test")
        };
        let modules: BTreeSet<_> = (0..lines.len())
            .filter(|number| !only_in_tests(*number))
            .filter_map(|number| declared.captures(lines[number]).map(|found| found[1].to_owned()))
            .filter(|module| module != "tests")
            .collect();
        findings.extend(modules.difference(&listed).map(|name| format!("{path}: `{name}` is not in the layout")));
        let gone = listed.difference(&modules).filter(|name| *name != "tests");
        findings.extend(gone.map(|name| format!("{path}: the layout lists `{name}`, which is no module here")));
    }
    assert_none(findings, "One line for each module: - `module`: what it is.");
}

/// The ids that a text cites, as `X13` for a capability and `14` for a guarantee, with their line. The id `design` is a
/// citation of a design document, which is not in the repository.
fn cited(text: &str) -> Vec<(usize, String)> {
    static CITATION: LazyLock<Regex> = LazyLock::new(|| {
        let ids = |id: &str| format!("({id}(?:(?:, and |, | and ){id})*)");
        let (missions, guarantees) = (ids("[A-Z][0-9]+"), ids("[0-9]+"));
        Regex::new(&format!(r"(?i-u)(?:missions? {missions}|guarantees? {guarantees}|(design) [0-9])")).unwrap()
    });
    static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"design|[A-Za-z]?[0-9]+").unwrap());
    let mut found = Vec::new();
    for citation in CITATION.captures_iter(text) {
        let ids = citation.get(1).or(citation.get(2)).or(citation.get(3)).unwrap();
        let line = text[..ids.start()].matches('\n').count() + 1;
        found.extend(ID.find_iter(ids.as_str()).map(|id| (line, id.as_str().to_owned())));
    }
    found
}

/// A row of `docs/capabilities.md` or `docs/guarantees.md`: its id and its proofs, each a file and a test.
fn rows(paper: &str) -> Vec<(String, Vec<(String, String)>)> {
    let row = Regex::new(r"^\| ([A-Z]?[0-9]+) \|.*\| ([^|]*) \|$").unwrap();
    let proof = Regex::new(r"`([^` ]+)`(?: `([a-z0-9_]+)`)?").unwrap();
    let text = fs::read_to_string(root().join(paper)).unwrap();
    text.lines()
        .filter_map(|line| row.captures(line))
        .map(|row| {
            let proofs = proof.captures_iter(&row[2]).map(|proof| {
                let test = proof.get(2).map_or("", |test| test.as_str());
                (proof[1].to_owned(), test.to_owned())
            });
            (row[1].to_owned(), proofs.collect())
        })
        .collect()
}

#[test]
fn each_cited_capability_and_guarantee_is_listed_and_each_listed_one_has_a_test_that_cites_it() {
    let papers = ["docs/capabilities.md", "docs/guarantees.md"];
    let listed: BTreeSet<_> = papers.iter().flat_map(|paper| rows(paper)).map(|(id, _)| id).collect();
    let mut findings = Vec::new();
    for (path, text) in files("rs").into_iter().chain(files("md")) {
        let unknown = cited(&text).into_iter().filter(|(_, id)| !listed.contains(id));
        findings.extend(unknown.map(|(line, id)| format!("{path}:{line}: {id} is in neither list")));
    }
    for paper in papers {
        for (id, proofs) in rows(paper) {
            if proofs.is_empty() {
                findings.push(format!("{paper}: {id} has no test"));
            }
            for (file, test) in proofs {
                let text = fs::read_to_string(root().join(&file)).unwrap_or_default();
                if !cited(&text).iter().any(|(_, found)| *found == id) {
                    findings.push(format!("{paper}: {id}: `{file}` does not cite it"));
                }
                if !test.is_empty() && !text.contains(&format!("fn {test}(")) {
                    findings.push(format!("{paper}: {id}: `{file}` has no test `{test}`"));
                }
            }
        }
    }
    assert_none(findings, "Tests cite `Mission X13` or `Guarantee 14`; the lists name file and test.");
}

#[test]
fn links_between_papers_resolve() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut findings = Vec::new();
    for (path, text) in files("md") {
        let folder = root().join(&path).parent().map(PathBuf::from).unwrap();
        for (number, line) in text.lines().enumerate() {
            for target in link.captures_iter(line).map(|found| found[1].to_owned()) {
                let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
                if file.contains(':') {
                    continue;
                }
                let file = if file.is_empty() { root().join(&path) } else { folder.join(file) };
                let there = match (file.exists(), anchor) {
                    (true, "") => true,
                    (true, anchor) => anchors(&fs::read_to_string(&file).unwrap()).contains(anchor),
                    (false, _) => false,
                };
                if !there {
                    findings.push(format!("{path}:{}: `{target}` is not there", number + 1));
                }
            }
        }
    }
    assert_none(findings, "Mend the link.");
}

#[test]
fn the_index_of_decisions_lists_every_record() {
    let index = fs::read_to_string(root().join("docs/decisions/README.md")).unwrap();
    let records = files("md").into_iter().filter_map(|(path, text)| {
        let name = path.strip_prefix("docs/decisions/")?.to_owned();
        (name != "README.md").then_some((name, text))
    });
    let mut findings = Vec::new();
    for (name, text) in records {
        if !index.contains(&format!("]({name})")) {
            findings.push(format!("docs/decisions/README.md: `{name}` is missing"));
        }
        if !text.starts_with(&format!("# {}: ", &name[..4])) {
            findings.push(format!("docs/decisions/{name}: the head is not `# {}: The decision`", &name[..4]));
        }
    }
    assert_none(findings, "One line for each record.");
}

#[test]
fn the_files_that_papers_name_exist() {
    let file =
        Regex::new(r"`?((?:src|tests|examples|docs|macros|scripts|bench)/[A-Za-z0-9_./-]*[A-Za-z0-9_/])").unwrap();
    let papers = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/versions.md"];
    let mut findings = Vec::new();
    for paper in papers {
        let text = fs::read_to_string(root().join(paper)).unwrap();
        let named = file.captures_iter(&text).map(|found| found[1].to_owned());
        let gone = named.filter(|path| !root().join(path).exists());
        findings.extend(gone.map(|path| format!("{paper}: `{path}` does not exist")));
    }
    assert_none(findings, "Name the file where it is now.");
}

/// A registry resolves links against a repository, which a package need not name.
#[test]
fn the_page_on_a_registry_has_no_link_to_a_file() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let readme = manifest.split("readme = \"").nth(1).unwrap().split('"').next().unwrap();
    let text = fs::read_to_string(root().join(readme)).unwrap();
    let link = Regex::new(r"\]\(([^)]*)\)").unwrap();
    let relative = link.captures_iter(&text).filter(|link| !link[1].starts_with("https://"));
    assert_none(relative.map(|link| format!("{readme}: {}", &link[0])).collect(), "Name the file without a link.");
    assert!(manifest.contains(&format!("\"/{readme}\"")), "the package must include {readme}");
    for feature in manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap().lines() {
        let name = feature.split(" = [").next().unwrap();
        // An underscore: for other features, not for users.
        let is_feature = name != feature && !name.starts_with('_') && name != "default" && name != "sqlite";
        assert!(!is_feature || text.contains(&format!("`{name}`")), "{readme} does not name the feature `{name}`");
    }
}

/// The guide shows parts of its program as `rust,ignore`; the other code of the guide is run as it is.
#[test]
fn what_the_guide_shows_of_its_program_is_in_the_program() {
    let program = fs::read_to_string(root().join("docs/guide/bank.rs")).unwrap();
    let mut findings = Vec::new();
    for chapter in ["several-aggregates", "views"] {
        let path = format!("docs/guide/{chapter}.md");
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let shown: Vec<_> = text.split("```rust,ignore\n").skip(1).collect();
        assert!(!shown.is_empty(), "{path} shows nothing of the program");
        for part in shown.iter().filter_map(|part| part.split("```").next()) {
            if !program.contains(part) {
                findings.push(format!("{path}: not in docs/guide/bank.rs:\n{part}"));
            }
        }
    }
    assert_none(findings, "Show the program as it is.");
}

/// The anchors of a paper's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
            kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
        })
        .collect()
}
