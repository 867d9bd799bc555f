//! [`Words`]: the words that events are told in, as flags or parameters of an address say it.

use serde::{Deserialize, Serialize};

use super::{PresentError, Presenter};
use crate::projections::audit::AuditRow;
use crate::projections::names::AsKnown;

/// How sentences are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "http", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "http", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct Words {
    /// The language of sentences: en, or one that this application ships (fr does for fr-CA) [default: en]
    #[cfg_attr(feature = "cli", arg(long, value_name = "LOCALE"))]
    #[cfg_attr(feature = "http", param(pattern = "^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$", example = "en"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Call things by the names that they had then, or that they have now, or by their references [default: then]
    #[cfg_attr(feature = "cli", arg(long, value_enum))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Naming>,
}

/// By which names things are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Naming {
    /// As it was known when it happened.
    Then,
    /// As it is known now.
    Now,
    /// No names.
    None,
}

impl Words {
    /// The presenter that tells so.
    ///
    /// # Errors
    /// When the application does not speak the language.
    pub fn of(&self, presenter: Presenter) -> Result<Presenter, PresentError> {
        let presenter = presenter.locale(self.locale.as_deref().unwrap_or("en"))?;
        Ok(match self.names.unwrap_or(Naming::Then) {
            Naming::Then => presenter.names(AsKnown::Then),
            Naming::Now => presenter.names(AsKnown::Now),
            Naming::None => presenter.without_names(),
        })
    }

    /// Has these rows say it so.
    ///
    /// # Errors
    /// When the application does not speak the language, or an event cannot be told.
    pub async fn tell(&self, presenter: Presenter, rows: &mut [AuditRow]) -> Result<(), PresentError> {
        let presenter = self.of(presenter)?;
        if presenter.tells_as_declared() {
            return Ok(());
        }
        let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
        let told = presenter.present_at(&positions).await?;
        for row in rows {
            if let Some(told) = told.iter().find(|told| told.position == row.position) {
                row.sentence = told.sentence.text();
            }
        }
        Ok(())
    }
}
