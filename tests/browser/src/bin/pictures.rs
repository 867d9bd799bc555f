//! Takes screenshots of the page for review: `pictures FOLDER` takes all pages at three widths, light and dark;
//! `pictures FILE.png` takes the one of the README.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals::http::Authentication;
use annals::prelude::*;
use annals_test_browser::{Browser, Theme};
use jiff::Timestamp;
use job_server::projects::{AddMember, CreateProject, ProjectId, RemoveMember, UpdateMemberRoles};
use job_server::roles::{Role, roles};
use job_server::users::{UpdateUserRoles, UserId};

const PAGES: [(&str, &str); 8] = [
    ("activity", ""),
    ("filtered", "?actor=user%3Aalice&action=update&occurred_from=2026-05-02T00%3A00%3A00Z"),
    ("history", "history?of=project%3Avaccines"),
    ("person", "history?of=user%3Aalice"),
    ("metrics", "page/metrics"),
    ("refusals", "refusals"),
    ("projections", "page/projections"),
    ("verify", "verify"),
];

#[tokio::main]
async fn main() {
    let to = std::env::args().nth(1).expect("an argument: FOLDER or FILE.png");
    let annals = filled().await;
    let router = annals::http::router(annals.clone())
        .name("Job server")
        .authentication(Authentication::trusting(Some("user:alice".parse().expect("a reference"))))
        .into_router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let site = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(annals::http::serve(listener, router, std::future::pending()));
    let browser = Browser::start().await;
    if to.ends_with(".png") {
        browser.size(1120, 800).await;
        browser.theme(Theme::Light).await;
        picture(&browser, &format!("{site}history?of=project%3Avaccines"), Path::new(&to)).await;
    } else {
        std::fs::create_dir_all(&to).expect("a folder");
        for (theme, theme_name) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
            browser.theme(theme).await;
            for width in [390, 820, 1440] {
                for (name, page) in PAGES {
                    browser.size(width, if width == 390 { 900 } else { 1000 }).await;
                    let file = format!("{to}/{name}-{width}-{theme_name}.png");
                    picture(&browser, &format!("{site}{page}"), Path::new(&file)).await;
                }
            }
        }
    }
    browser.close().await;
    annals.close().await;
}

async fn picture(browser: &Browser, address: &str, file: &Path) {
    browser.goto(address).await;
    // Until the stream is open and times are localised.
    tokio::time::sleep(Duration::from_millis(400)).await;
    std::fs::write(file, browser.picture().await).expect("the file is written");
}

/// A job server with events of some weeks.
async fn filled() -> Annals {
    let begin: Timestamp = "2026-05-01T08:12:31Z".parse().expect("a time");
    let now = Arc::new(AtomicI64::new(begin.as_second()));
    let clock = now.clone();
    let clock = move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap_or(begin);
    let app = job_server::app().clock(clock).record_refusals();
    let annals = app.open("sqlite::memory:").await.expect("the store opens");
    let by = |name: &str| Context::by(UserId::new(name)).correlation("request-5f1c");
    let pass = |seconds: i64| now.fetch_add(seconds, Ordering::Relaxed);
    let people = ["bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan"];
    let all = [Role::Developer, Role::Coordinator];
    for (project, name) in
        [("vaccines", "Vaccines"), ("climate", "Climate models"), ("proteins", "Protein folding")]
    {
        let create = CreateProject { project: ProjectId::new(project), name: name.to_owned() };
        annals.execute(create, &by("alice")).await.expect("created");
        for (n, person) in people.iter().enumerate() {
            pass(5_000 + 997 * n as i64);
            let add = AddMember {
                project: ProjectId::new(project),
                user: UserId::new(*person),
                roles: roles([all[n % 2]]),
            };
            annals.execute(add.clone(), &by("alice")).await.expect("added");
            pass(1_800);
            if n % 3 == 0 {
                // A recorded refusal.
                let _ = annals.execute(add, &by("mallory")).await;
            }
            let update = UpdateMemberRoles {
                project: ProjectId::new(project),
                user: UserId::new(*person),
                roles: roles(all),
            };
            annals.execute(update, &by(people[(n + 1) % people.len()])).await.expect("updated");
        }
        pass(40_000);
    }
    for n in 0..60 {
        pass(20);
        let list = if n % 2 == 0 { roles([Role::Developer]) } else { roles([Role::Coordinator]) };
        let update = UpdateUserRoles { user: UserId::new(people[n % 3]), roles: list };
        annals.execute(update, &by("robot")).await.expect("updated");
    }
    pass(3_600);
    for (seconds, person) in [(60, "dave"), (1_900, "ivan")] {
        pass(seconds);
        let remove = RemoveMember { project: ProjectId::new("vaccines"), user: UserId::new(person) };
        annals.execute(remove, &by("alice")).await.expect("removed");
    }
    pass(90);
    let update = UpdateMemberRoles {
        project: ProjectId::new("vaccines"),
        user: UserId::new("grace"),
        roles: roles([Role::Coordinator]),
    };
    annals.execute(update, &by("alice")).await.expect("updated");
    pass(45);
    annals
}
