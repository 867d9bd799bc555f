//! Open requests and grants, as text or JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::BoxError;
use crate::access::{AccessView, GrantUse, HeldGrant, OpenRequest, Right, TokenOfGrant};
use crate::cli::output::{self, TextOrJson, counted, name, shown};
use crate::cli::session::Session;
use crate::cli::stderr;
use crate::events::Ref;
use crate::projections::{DocumentView, Listing};

/// The most parties that are read at once.
const PAGE: usize = 100;

/// Prints the requests and grants of one party, or of all, with the use of each grant.
pub(super) async fn list(
    session: &Session,
    party: Option<Ref>,
    open: bool,
    format: &TextOrJson,
    with_reads: bool,
) -> Result<(), BoxError> {
    if let Some(reason) = session.annals.rights_suspended() {
        stderr::print(reason);
    }
    let head = session.annals.store().head().await?;
    let key = party.as_ref().map(Ref::as_str);
    let view = session.json_view(AccessView::NAME, key).await?.after(head);
    let mut found = 0;
    let mut print = async |party: &str, document: serde_json::Value| -> Result<(), BoxError> {
        let view: AccessView = serde_json::from_value(document.clone())?;
        let grants: Vec<Uuid> = view.grants.iter().map(|held| held.grant).collect();
        let uses = session.annals.grant_uses(&grants, head).await?;
        let shown = match format.is_json() {
            true => output::item(&json!({ "party": party, "access": document, "uses": uses }), found == 0),
            false => print_party(party, &view, &uses, with_reads),
        };
        found += 1;
        shown
    };
    match key {
        Some(key) => {
            if let Some(document) = view.get(key).await? {
                print(key, document).await?;
            }
        }
        None => {
            let mut listing = Listing::default().limit(PAGE);
            if open {
                listing = listing.from("requests", 1);
            }
            loop {
                let page = view.list(&listing).await?;
                for (party, document) in page.documents {
                    print(&party, document).await?;
                }
                let Some(next) = page.next else { break };
                listing = listing.cursor(&next);
            }
        }
    }
    match (format.is_json(), found) {
        (true, 0) => output::line("[]"),
        (true, _) => output::line("\n]"),
        (false, 0) => {
            stderr::print("no requests or grants");
            Ok(())
        }
        (false, _) => Ok(()),
    }
}

fn print_party(
    party: &str,
    view: &AccessView,
    uses: &BTreeMap<Uuid, GrantUse>,
    with_reads: bool,
) -> Result<(), BoxError> {
    output::line(&format!("{}{}", name(party), if view.owner { "  (owner)" } else { "" }))?;
    for OpenRequest { request, rights, until, by, why, .. } in &view.requests {
        let by: Vec<_> = by.iter().map(|party| name(party.as_str())).collect();
        output::line(&format!("  request {request}  by {}{}: {}", by.join(" for "), ending(*until), shown(why)))?;
        print_rights(rights)?;
    }
    for HeldGrant { grant, rights, until, delegable, by, under, why, tokens, .. } in &view.grants {
        let passed_on = if *delegable { "  may be passed on" } else { "" };
        let by_grant = under.as_ref().map(|under| format!(" by grant {}", under.grant)).unwrap_or_default();
        let by = name(by.as_str());
        output::line(&format!(
            "  grant {grant}  from {by}{by_grant}{}{passed_on}: {}",
            ending(*until),
            shown(why)
        ))?;
        print_rights(rights)?;
        output::line(&format!("    {}", used(uses.get(grant), with_reads)))?;
        for TokenOfGrant { block, until, why, .. } in tokens {
            output::line(&format!("    token {block}{}: {}", ending(*until), shown(why)))?;
        }
    }
    Ok(())
}

fn used(uses: Option<&GrantUse>, with_reads: bool) -> String {
    let of = if with_reads { "" } else { " by a command (reads are not recorded)" };
    match uses {
        Some(GrantUse { uses, last, .. }) => format!("used {}{of}, last at {last}", counted(*uses, "time")),
        None => format!("never used{of}"),
    }
}

fn ending(until: Option<Timestamp>) -> String {
    until.map(|until| format!("  until {until}")).unwrap_or_default()
}

fn print_rights(rights: &[Right]) -> Result<(), BoxError> {
    rights.iter().try_for_each(|right| output::line(&format!("    {}", shown(&right.to_string()))))
}
