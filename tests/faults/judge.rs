//! Says from the log alone whether each event had a right: a model of rights of its own, without the library's decision.

use std::collections::HashMap;

use annals::access::AccessEvent;
use annals::events::Stored;
use annals::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use crate::bank::AccountEvent;

/// Payments of both processes at so few positions before the first withdrawal of a round make it a race: a batch of one process has up
/// to 48.
const CLOSE: u64 = 50;

/// The rights at a position of the log. It reads the log once, in order.
#[derive(Default)]
pub struct Judge {
    position: u64,
    grants: HashMap<Uuid, Grant>,
    held: HashMap<Ref, Vec<Uuid>>,
}

struct Grant {
    under: Option<Uuid>,
    until: Option<Timestamp>,
    revoked: bool,
}

/// What a round left in the log.
#[derive(Default)]
pub struct Seen {
    /// Payments of each process.
    pub paid: [u64; 2],
    /// Payments by a right that ends at a time.
    pub limited: u64,
    /// Whether both processes paid shortly before the first withdrawal.
    pub raced: bool,
    /// Payments without a right: position, actor, principal, time.
    pub without_a_right: Vec<String>,
}

impl Judge {
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads the events of a round.
    pub fn read(&mut self, events: &[Stored]) -> Seen {
        let mut seen = Seen::default();
        let (mut last, mut revocations) = ([0; 2], 0);
        for event in events {
            assert_eq!(event.position, self.position + 1, "positions have no gap");
            self.position = event.position;
            if event.aggregate.kind() != "annals_access" {
                let process = self.pay(event, &mut seen);
                last[process] = event.position;
                continue;
            }
            match AccessEvent::from_stored(event).unwrap() {
                AccessEvent::Granted { grant, grantee, until, under, .. } => {
                    self.grants.insert(grant, Grant { under, until, revoked: false });
                    self.held.entry(grantee).or_default().push(grant);
                }
                AccessEvent::Revoked { grant, .. } => {
                    self.grants.get_mut(&grant).unwrap().revoked = true;
                    if revocations == 0 {
                        seen.raced = last.iter().all(|position| event.position - position < CLOSE);
                    }
                    revocations += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        seen
    }

    /// Judges a payment. Returns the process that paid.
    fn pay(&self, event: &Stored, seen: &mut Seen) -> usize {
        let AccountEvent::Deposited { cents } = AccountEvent::from_stored(event).unwrap() else {
            panic!("{event:?}");
        };
        let metadata: serde_json::Value = serde_json::from_str(&event.metadata).unwrap();
        let parties = ["actor", "on_behalf_of"].into_iter().filter_map(|field| metadata[field].as_str());
        for party in parties {
            let held = self.held.get(&party.parse::<Ref>().unwrap()).map_or(&[][..], Vec::as_slice);
            if !held.iter().any(|grant| self.counts(grant, event.recorded_at)) {
                let Stored { position, recorded_at, .. } = event;
                seen.without_a_right.push(format!("{position} at {recorded_at}: {party} had no right: {metadata}"));
            }
            seen.limited += u64::from(party.starts_with("user:erin"));
        }
        let process = usize::try_from(cents - 1).unwrap();
        seen.paid[process] += 1;
        process
    }

    fn counts(&self, grant: &Uuid, time: Timestamp) -> bool {
        let Grant { under, until, revoked } = &self.grants[grant];
        !revoked
            && until.is_none_or(|until| time < until)
            && under.as_ref().is_none_or(|above| self.counts(above, time))
    }
}
