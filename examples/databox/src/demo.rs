//! A scripted day: publishers offer packages, the owner installs them and approves less than they ask for, processes run, and one of
//! them does what nobody expected.

use std::net::SocketAddr;
use std::time::Duration;

use annals::access::{ApproveAccess, GrantAccess, Right};
use annals::cli::EndingSignals;
use annals::http::Authentication;
use annals::prelude::*;
use annals::projections::audit::AuditRow;
use annals::tokens::Keys;
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;

use crate::apps::{AppId, InstallApp, RestartApp, UninstallApp};
use crate::manager::Manager;
use crate::owner;
use crate::packages::{Kind, PackageId, PublishPackage};
use crate::sources::{SourceId, Values};

/// How long something may take on a busy machine.
const WAIT: Duration = Duration::from_secs(60);

/// A package of the shop.
struct Offer {
    publisher: &'static str,
    name: &'static str,
    kind: Kind,
    summary: &'static str,
    /// The rights that it asks for.
    asks: &'static [&'static str],
    /// The hosts that it names.
    hosts: &'static [&'static str],
    /// By this event, of the app, the next one knows that it works.
    works: &'static str,
}

/// The shop. The watcher comes first: the audit is in place before any other store is used.
const SHOP: [Offer; 4] = [
    Offer {
        publisher: "databox",
        name: "watcher",
        kind: Kind::App,
        summary: "Sees who does what, and no contents",
        asks: &[
            "audit metadata observe",
            "execute open_store store:watcher",
            "execute register_source store:watcher",
            "execute register_source source:watcher/*",
            "execute write_value source:watcher/*",
        ],
        hosts: &[],
        works: "source.registered",
    },
    Offer {
        publisher: "hearth",
        name: "thermostat",
        kind: Kind::Driver,
        summary: "Reads the thermostat",
        asks: &[
            "execute open_store store:home",
            "execute register_source store:home",
            "execute register_source source:home/*",
            "execute write_value source:home/*",
        ],
        hosts: &[],
        works: "source_value.written",
    },
    Offer {
        publisher: "hearth",
        name: "comfort",
        kind: Kind::App,
        summary: "Says how comfortable it is",
        asks: &[
            "read values home/temperature",
            "audit full target=source:home/temperature observe",
            "execute open_store store:comfort",
            "execute register_source store:comfort",
            "execute register_source source:comfort/*",
            "execute write_value source:comfort/*",
        ],
        hosts: &[],
        works: "source_value.written",
    },
    Offer {
        publisher: "sleepwell",
        name: "sleepwell",
        kind: Kind::App,
        summary: "Helps people to sleep",
        asks: &[
            "read values home/temperature",
            "read values home/presence",
            "audit full target=source:home/temperature",
            "execute send_data app:sleepwell",
        ],
        hosts: &["api.sleepwell.example"],
        works: "app_data.sent_elsewhere",
    },
];

/// What the owner does not approve.
const WITHHELD: &str = "read values home/presence";

/// Lives through the day, and serves the owner's page at this address.
///
/// # Errors
/// When an address is in use, or something does not happen in time.
pub async fn run(listen: SocketAddr, once: bool) -> Result<(), BoxError> {
    let mut signals = EndingSignals::listen()?;
    let (page, platform) = (TcpListener::bind(listen).await?, TcpListener::bind("127.0.0.1:0").await?);
    let (address, url) = (page.local_addr()?, format!("http://{}", platform.local_addr()?));
    let annals = crate::app().open("sqlite::memory:").await?;
    // In memory, as the log: the tokens of one day are worth nothing on the next one.
    let keys = Keys::generate();
    let (stop, stopped) = watch::channel(false);
    let serve = |listener: TcpListener, authentication: Authentication| {
        let router = annals::http::router(annals.clone()).name("databox").authentication(authentication);
        let mut stopped = stopped.clone();
        tokio::spawn(annals::http::serve(listener, router.into_router(), async move {
            // An error means that the demo is over.
            _ = stopped.wait_for(|stop| *stop).await;
        }))
    };
    // Processes need a token. The owner is the user of this machine: a real box has a login here (`Authentication::bearer`).
    let platform = serve(platform, Authentication::default().access_tokens(keys.clone()));
    let page = serve(page, Authentication::trusting(Some(owner().reference())));
    let mut manager = tokio::spawn(Manager::new(annals.clone(), keys, url, program).run());
    let lived = tokio::select! {
        lived = day(&annals) => lived,
        ended = &mut manager => ended?.and(Err("the container manager ended".into())),
        signal = signals.received() => Err(format!("ended by {signal}").into()),
    };
    if lived.is_ok() {
        println!("\nThe day is over. What happened: http://{address}");
        if !once {
            println!("Ctrl-C ends it.");
            signals.received().await;
        }
    }
    // Its processes end with it.
    manager.abort();
    stop.send_replace(true);
    platform.await??;
    page.await??;
    annals.close().await;
    lived
}

/// What happens.
async fn day(annals: &Annals) -> Result<(), BoxError> {
    let ann = Context::by(owner());
    for publisher in ["databox", "hearth", "sleepwell"] {
        let right: Right = format!("execute publish_package package:{publisher}/*").parse()?;
        let grant = GrantAccess::new(organisation(publisher)?, vec![right], "they offer packages in the shop");
        annals.execute(grant, &ann).await?;
    }
    for Offer { publisher, name, kind, summary, asks, hosts, .. } in SHOP {
        let package = PackageId::new(format!("{publisher}/{name}"));
        let asks = asks.iter().map(|right| right.parse()).collect::<Result<_, _>>()?;
        let (summary, hosts) = (summary.to_owned(), hosts.iter().map(|host| (*host).to_owned()).collect());
        let publish = PublishPackage { package, kind, summary, asks, hosts };
        annals.execute(publish, &Context::by(organisation(publisher)?)).await?;
    }
    for offer in SHOP {
        install(annals, &offer, &ann).await?;
        println!("installed {}: {}", offer.name, offer.summary);
        happens(annals, offer.works, &AppId::new(offer.name)).await?;
    }
    let alert = happens(annals, "source_value.written", &AppId::new("watcher")).await?;
    println!("noticed: {}", alert.sentence);

    annals.execute(RestartApp { app: AppId::new("comfort") }, &ann).await?;
    // A slip of the hand: it is refused, and the refusal is in the log.
    match annals.execute_json("uninstall_app", r#"{"app":" "}"#, &ann)?.await {
        Ok(_) => return Err("a blank name was accepted".into()),
        Err(refused) => println!("refused: {refused}"),
    }
    let comfort = annals.read_as(&ann).view::<Values>(&SourceId::new("comfort/level")).await?;
    println!("comfort: {} readings", comfort.map_or(0, |values| values.readings.len()));
    let sleepwell = AppId::new("sleepwell");
    annals.execute(UninstallApp { app: sleepwell.clone() }, &ann).await?;
    println!("uninstalled sleepwell: {}", happens(annals, "annals_access.revoked", &sleepwell).await?.sentence);
    Ok(())
}

/// Installs an app, waits for its request, and approves what is not withheld.
async fn install(annals: &Annals, offer: &Offer, ann: &Context) -> Result<(), BoxError> {
    let Offer { publisher, name, .. } = offer;
    let (app, package) = (AppId::new(*name), PackageId::new(format!("{publisher}/{name}")));
    annals.execute(InstallApp { app: app.clone(), package }, ann).await?;
    happens(annals, "annals_access.requested", &app).await?;
    let access = annals.access_of(&app.reference()).await?;
    let (id, request) = access.requests().iter().next().ok_or("nothing was asked for")?;
    let rights = request.rights.iter().filter(|right| right.to_string() != WITHHELD).cloned().collect();
    let approve = ApproveAccess::new(app.reference(), *id, "as far as it needs it").only(rights);
    annals.execute(approve, ann).await?;
    Ok(())
}

/// Waits for an event of this type by this app. Returns its row of the audit log.
async fn happens(annals: &Annals, event: &str, app: &AppId) -> Result<AuditRow, BoxError> {
    let mut rows = annals.audit().event(event).actor(app).follow();
    let row = tokio::time::timeout(WAIT, rows.next()).await.map_err(|_| format!("no {event} by {app} in time"))?;
    Ok(row.ok_or("the log was closed")??)
}

fn organisation(name: &str) -> Result<Ref, BoxError> {
    Ok(Ref::new("organisation", name)?)
}

/// The programs that this machine has. One of them is in another language.
fn program(package: &PackageId) -> Option<Command> {
    let id = package.text();
    let name = id.split_once('/')?.1;
    if name == "sleepwell" {
        let mut python = Command::new("python3");
        python.args(["-c", include_str!("../apps/sleepwell.py")]);
        return Some(python);
    }
    let mut program = Command::new(std::env::current_exe().ok()?);
    program.args(["run", name]);
    Some(program)
}
