use annals::commands::Envelope;
use futures::{StreamExt, stream};
use sqlx::{PgPool, Row};

/// Import an event of the old log
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ImportEvent {
    #[on(BankAccount)]
    account: AccountId,
    sequence: u64,
    event_type: String,
    payload: String,
}

impl Handle for ImportEvent {
    fn handle(&self, account: &Loaded<BankAccount>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        if account.sequence() + 1 != self.sequence {
            let (account, has) = (self.account.clone(), account.sequence());
            return Err(BankError::NotNext { account, sequence: self.sequence, has });
        }
        Ok(vec![self.event().map_err(|error| BankError::Unreadable(self.event_type.clone(), error))?])
    }
}

impl ImportEvent {
    /// The old event as a new one. Here is the place for payloads without a tag, renamed fields and former versions.
    fn event(&self) -> Result<AccountEvent, String> {
        let payload: serde_json::Value = serde_json::from_str(&self.payload).map_err(|error| error.to_string())?;
        let content = payload.get(&self.event_type).ok_or("it is not tagged with its type")?;
        let known = AccountEvent::lookup(&format!("account.{}", self.event_type)).ok_or("the type is unknown")?;
        AccountEvent::decode(known.event_type, &content.to_string()).map_err(|error| error.to_string())
    }
}

/// Imports the events that the log does not have yet, and returns how many there were. It may run as often as you like, also
/// while the old program writes: the command id of an event is made of its place in the old log.
pub async fn import(annals: &Annals, old: &PgPool) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    // In the order of the times, but never against the sequences of an aggregate.
    let rows = sqlx::query(
        "SELECT aggregate_id, sequence, event_type, payload::text, metadata->>'user', metadata->>'time' FROM events \
         WHERE aggregate_type = 'account' ORDER BY max((metadata->>'time')::timestamptz) OVER (PARTITION BY \
         aggregate_id ORDER BY sequence) NULLS FIRST, aggregate_id, sequence",
    )
    .fetch_all(old)
    .await?;
    let mut commands = Vec::new();
    for row in &rows {
        let (id, sequence): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (user, time): (Option<String>, Option<String>) = (row.try_get(4)?, row.try_get(5)?);
        let actor = match user {
            Some(user) => Ref::new("user", &user)?,
            None => Ref::new("system", "old-bank")?,
        };
        let place = format!("old bank/account/{id}/{sequence}");
        let command_id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, place.as_bytes());
        let mut context = Context::by(actor).command_id(command_id);
        if let Some(time) = time {
            context = context.occurred_at(time.parse()?);
        }
        let command = ImportEvent {
            // `account:9` is the account `9`, as everywhere else.
            account: id.parse().unwrap_or_else(|_| AccountId::new(&id)),
            sequence: u64::try_from(sequence)?,
            event_type: row.try_get(2)?,
            payload: row.try_get(3)?,
        };
        commands.push(Envelope::new(command, context));
    }
    let (mut imported, mut results) = (0, std::pin::pin!(annals.execute_all(stream::iter(commands), 256)));
    while let Some(receipt) = results.next().await {
        imported += u64::from(!receipt?.repeated);
    }
    Ok(imported)
}
