//! Asks the records in the log whether somebody may do or read something.

use std::sync::Arc;

use uuid::Uuid;

use super::decision::{Allowed, Decision, Question, Records, decide, earlier};
use super::{Access, AccessId, AccessRecord, AccessView, confirm, grants, owners, requests, tokens};
use crate::aggregates::Loaded;
use crate::app::{AccessContext, Ask, Denial};
use crate::commands::Command;
use crate::events::Ref;
use crate::projections::DocumentView;

/// The commands about access, which decide by themselves whether their actor may execute them.
const OWN: [&str; 10] = [
    requests::RequestAccess::NAME,
    grants::GrantAccess::NAME,
    requests::ApproveAccess::NAME,
    requests::DenyAccess::NAME,
    grants::RevokeAccess::NAME,
    tokens::RecordToken::NAME,
    tokens::RevokeToken::NAME,
    owners::NameOwner::NAME,
    owners::RemoveOwner::NAME,
    confirm::ConfirmAccess::NAME,
];

impl Access {
    /// Allows or denies what is asked for. Who acts on behalf of somebody needs a right of both. A token can use the grant that it was made
    /// for, until one of its blocks is revoked.
    pub(crate) async fn decide(&self, context: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        if matches!(ask, Ask::Command { name, .. } if OWN.contains(name)) {
            return match context.presented_token() {
                None => Ok(()),
                Some(_) => Err(Denial::because("a token has no right to change rights")),
            };
        }
        let token = context.presented_token().map(|presented| presented.token());
        // Each party sees its own requests and grants.
        if let Ask::View { view: AccessView::NAME, key: Some(key) } = ask
            && *key == context.actor().as_str()
            && token.is_none()
        {
            return Ok(());
        }
        let mut states = Vec::new();
        let mut until = None;
        for party in std::iter::once(context.actor()).chain(&context.metadata().on_behalf_of) {
            let only = token.filter(|_| party == context.actor()).map(|token| token.grant());
            if only.is_none() && self.owners.contains(party) {
                continue;
            }
            let allowed = self.decide_for(party, only, context, ask, &mut states).await?;
            allowed.grants.into_iter().for_each(|grant| context.allowed_by(grant));
            until = earlier(until, allowed.until);
        }
        if let Some(token) = token {
            let record = context.load_shared::<AccessRecord>(&AccessId::of(context.actor())).await?;
            if token.revocation_ids().iter().any(|block| record.is_block_revoked(block)) {
                return Err(Denial::because("the token was revoked"));
            }
            until = earlier(until, token.expires());
        }
        if let Some(until) = until {
            context.valid_until(until);
        }
        Ok(())
    }

    async fn decide_for(
        &self,
        party: &Ref,
        only: Option<Uuid>,
        context: &AccessContext<'_>,
        ask: &Ask<'_>,
        states: &mut Vec<Arc<Loaded<AccessRecord>>>,
    ) -> Result<Allowed, Denial> {
        let mut follows = context.follows();
        let mut suspension = self.withdrawals.suspension();
        let mut instead = None;
        loop {
            let records: Records<'_> = states.iter().map(|state| (state.id().clone(), &***state)).collect();
            let suspended = suspension.is_some();
            let question = Question { ask, follows, suspended, time: context.time(), only };
            match decide(&records, party, &question) {
                Decision::Allowed(allowed) => match instead {
                    None => return Ok(allowed),
                    Some(reason) => return Err(Denial::because(reason)),
                },
                // The reason is another one if it would be allowed otherwise: with the grants in the log, or without following.
                Decision::Denied if suspended => instead = suspension.take().map(str::to_owned),
                Decision::Denied if follows => (follows, instead) = (false, Some(unobserved(party))),
                Decision::Denied => return Err(Denial::because(denial(party, ask))),
                Decision::Load(id) => states.push(context.load_shared(&id).await?),
            }
        }
    }
}

fn unobserved(party: &Ref) -> String {
    format!("{party} may read this, but not follow it: the right lacks the word `observe`")
}

fn denial(party: &Ref, ask: &Ask<'_>) -> String {
    let what = match ask {
        Ask::Command { name, on } => {
            let on: Vec<_> = on.iter().map(Ref::as_str).collect();
            format!("execute {name} on {}", on.join(", "))
        }
        Ask::View { view, key: Some(key) } => format!("read {view} of {key}"),
        Ask::View { view, key: None } => format!("read all of {view}"),
        Ask::Audit { .. } => "read this part of the audit log".to_owned(),
        Ask::Metric { topic } => format!("read the metrics of `{topic}`"),
        Ask::Catalogue => "read the catalogue".to_owned(),
        Ask::Operate { operation, .. } => format!("operate {operation}"),
    };
    format!("{party} has no right to {what}: it can be requested")
}
