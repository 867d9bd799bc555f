//! The pictures of the README: what the owner of the data sees after the scripted day.
//!
//! The test looks for what each picture shows. `DATABOX_PICTURES=1` writes the files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use annals_test_browser::{Browser, Theme, eventually};

/// File, page, and texts that are on it. One more picture is one more line here and in the README.
const PICTURES: [(&str, &str, &[&str]); 10] = [
    ("01-activity", "", &["app:sleepwell", "uninstalled app:sleepwell"]),
    ("02-agreements", "page/access", &["read values home/temperature", "audit metadata observe"]),
    ("03-catalogue", "?topic=databox%2Fcatalogue", &["home/presence", "How many people are at home"]),
    (
        "04-data",
        "history?of=source%3Ahome%2Ftemperature",
        &["app:thermostat", "ads.example.net", "exported the audit log"],
    ),
    ("05-app", "history?of=app%3Asleepwell", &["sleepwell/sleepwell", "read values home/presence"]),
    ("06-denied", "refusals", &["must not be blank", "read values of home/presence"]),
    ("07-out", "?topic=databox%2Fout", &["ads.example.net", "which its package does not name"]),
    ("08-watcher", "?actor=app%3Awatcher", &["watcher/alerts"]),
    ("09-flows", "page/flows", &["app:sleepwell", "source:home/temperature", "The largest flows"]),
    (
        "10-provenance",
        "page/provenance/source/comfort%2Flevel",
        &["home/temperature", "An arrow points to what was before"],
    ),
];

/// Scrolls to the innermost part of the page with a text, the last one of a picture, or to the drawing that it is a part of.
const LOOK_AT: &str = "return ((text) => {
    const part = [...document.querySelectorAll('main *')].filter((part) => part.innerText?.includes(text)).pop();
    (part.closest('figure') ?? part).scrollIntoView({ block: 'center' });
})";

/// The largest picture, in bytes.
const LARGEST: usize = 100_000;

/// The demo, ended with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It ends its processes and the page.
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pictures"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_sees_what_the_pictures_of_the_readme_show() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_databox"));
    let demo = demo.args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn();
    let mut demo = Demo(demo.unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut lines = lines.skip_while(|line| !line.starts_with("The day is over"));
    let address =
        lines.next().and_then(|line| Some(line.split_once("http://")?.1.to_owned())).expect("the day ends");
    let browser = Browser::start().await;
    browser.size(860, 560).await;
    browser.theme(Theme::Light).await;
    for (name, page, texts) in PICTURES {
        // Pages show what their projections have processed.
        eventually(name, async || {
            browser.goto(format!("http://{address}/{page}")).await;
            let shown = browser.text("body").await;
            texts.iter().all(|text| shown.contains(text)).then_some(())
        })
        .await;
        let shown = serde_json::to_string(texts.last().unwrap()).unwrap();
        browser.run(&format!("{LOOK_AT}({shown})")).await;
        let picture = browser.picture().await;
        assert!(picture.len() < LARGEST, "{name}: {} bytes", picture.len());
        if std::env::var_os("DATABOX_PICTURES").is_some() {
            fs::write(folder().join(format!("{name}.png")), picture).unwrap();
        }
    }
    browser.close().await;
}

#[test]
fn the_readme_shows_each_picture_and_no_other() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let pictures: BTreeSet<String> = PICTURES.iter().map(|(name, ..)| format!("{name}.png")).collect();
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), pictures);
    let shown = readme.split("](pictures/").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    assert_eq!(shown.collect::<BTreeSet<_>>(), pictures);
}
