//! [`Rows`]: the rows of a batch, as bytes: the body of its message. Each process inserts exactly these.

use jiff::Timestamp;
use uuid::Uuid;

use crate::events::LogPosition;
use crate::events::{Ref, Stored};
use crate::store::{KnownCommand, Receipt, time_of_micros};

/// The rows that a batch appends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) events: Vec<Stored>,
    pub(super) commands: Vec<KnownCommand>,
    /// What the log requires of programs, if the batch changes it.
    pub(super) requires: Option<String>,
}

impl Rows {
    /// No rows are no bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        if self == &Self::default() {
            return Vec::new();
        }
        let bytes: usize = self.events.iter().map(|event| event.text_bytes() + 200).sum();
        let mut to = Vec::with_capacity(bytes + self.commands.len() * 150);
        number(&mut to, self.events.len() as u64);
        for event in &self.events {
            number(&mut to, event.position);
            to.extend_from_slice(event.event_id.as_bytes());
            text(&mut to, event.aggregate.kind());
            text(&mut to, event.aggregate.id());
            number(&mut to, event.sequence);
            text(&mut to, &event.event_type);
            text(&mut to, &event.event_version);
            text(&mut to, &event.payload);
            text(&mut to, &event.metadata);
            to.extend_from_slice(event.command_id.as_bytes());
            time(&mut to, event.occurred_at);
            time(&mut to, event.recorded_at);
            to.extend_from_slice(&event.digest);
        }
        number(&mut to, self.commands.len() as u64);
        for KnownCommand { body_digest, receipt, command } in &self.commands {
            to.extend_from_slice(receipt.command_id.as_bytes());
            text(&mut to, command);
            to.extend_from_slice(body_digest);
            number(&mut to, receipt.first_position);
            number(&mut to, receipt.events);
            number(&mut to, receipt.head.position);
            to.extend_from_slice(receipt.head.event_id.as_bytes());
            time(&mut to, receipt.recorded_at);
        }
        match &self.requires {
            Some(names) => {
                to.push(1);
                text(&mut to, names);
            }
            None => to.push(0),
        }
        to
    }

    /// Returns `None` for bytes that this crate has not written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let mut from = Reader(bytes);
        let mut rows = Self::default();
        for _ in 0..from.number()? {
            rows.events.push(Stored {
                position: from.number()?,
                event_id: from.uuid()?,
                aggregate: from.aggregate()?,
                sequence: from.number()?,
                event_type: from.text()?.to_owned(),
                event_version: from.text()?.to_owned(),
                payload: from.text()?.to_owned(),
                metadata: from.text()?.to_owned(),
                command_id: from.uuid()?,
                occurred_at: from.time()?,
                recorded_at: from.time()?,
                digest: from.array()?,
            });
        }
        for _ in 0..from.number()? {
            let command_id = from.uuid()?;
            let command = from.text()?.to_owned();
            let body_digest = from.array()?;
            let receipt = Receipt {
                command_id,
                first_position: from.number()?,
                events: from.number()?,
                head: LogPosition { position: from.number()?, event_id: from.uuid()? },
                recorded_at: from.time()?,
                repeated: true,
            };
            rows.commands.push(KnownCommand { body_digest, receipt, command });
        }
        rows.requires = match from.array::<1>()? {
            [0] => None,
            _ => Some(from.text()?.to_owned()),
        };
        from.0.is_empty().then_some(rows)
    }
}

fn number(to: &mut Vec<u8>, number: u64) {
    to.extend_from_slice(&number.to_le_bytes());
}

fn time(to: &mut Vec<u8>, time: Timestamp) {
    to.extend_from_slice(&time.as_microsecond().to_le_bytes());
}

fn text(to: &mut Vec<u8>, text: &str) {
    number(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

/// The bytes that are left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        std::str::from_utf8(self.bytes(usize::try_from(length).ok()?)?).ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        time_of_micros(i64::from_le_bytes(self.array()?)).ok()
    }

    fn aggregate(&mut self) -> Option<Ref> {
        let kind = self.text()?;
        Ref::new(kind, self.text()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let time = Timestamp::from_microsecond(1_735_689_600_123_456).unwrap();
        let event = Stored {
            position: 7,
            event_id: Uuid::from_u128(1),
            aggregate: "tally:ä".parse().unwrap(),
            sequence: 3,
            event_type: "tally.counted".to_owned(),
            event_version: "1.0".to_owned(),
            payload: r#"{"by":1}"#.to_owned(),
            metadata: "{}".to_owned(),
            command_id: Uuid::from_u128(2),
            occurred_at: time,
            recorded_at: time,
            digest: [9; 32],
        };
        let head = LogPosition { position: 7, event_id: Uuid::from_u128(1) };
        let command_id = Uuid::from_u128(2);
        let receipt = Receipt { command_id, first_position: 7, events: 1, head, recorded_at: time, repeated: true };
        let command = KnownCommand { body_digest: [3; 32], receipt, command: "count".to_owned() };
        Rows { events: vec![event], commands: vec![command], requires: Some("access".to_owned()) }
    }

    #[test]
    fn rows_are_read_back_as_they_were_and_no_rows_are_no_bytes() {
        let rows = rows();
        assert_eq!(Rows::decode(&rows.encode()), Some(rows.clone()));
        let rows = Rows { requires: None, ..rows };
        assert_eq!(Rows::decode(&rows.encode()), Some(rows));
        assert!(Rows::default().encode().is_empty());
        assert_eq!(Rows::decode(&[]), Some(Rows::default()));
    }

    #[test]
    fn bytes_that_were_cut_or_have_more_are_no_rows() {
        let bytes = rows().encode();
        for end in 1..bytes.len() {
            assert_eq!(Rows::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Rows::decode(&[bytes.as_slice(), &[0]].concat()), None);
    }
}
