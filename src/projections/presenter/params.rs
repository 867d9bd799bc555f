//! [`PresentationParams`]: the language and the names of sentences, as flags of the command line and HTTP parameters.

use serde::{Deserialize, Serialize};

use super::{PresentError, Presenter};
use crate::projections::audit::AuditRow;
use crate::projections::display_names::NamesAsOf;

/// The language and the names of sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "http", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "http", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct PresentationParams {
    /// Language of sentences: en, or one that this application ships (fr is used for fr-CA) [default: en]
    #[cfg_attr(feature = "cli", arg(long, value_name = "LOCALE"))]
    #[cfg_attr(feature = "http", param(pattern = "^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$", example = "en"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Display names as of the event (then), the current ones (now), or references (none) [default: then]
    #[cfg_attr(feature = "cli", arg(long, value_enum))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<NameMode>,
}

/// Which display names sentences use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum NameMode {
    /// The names as of the event.
    Then,
    /// The current names.
    Now,
    /// References instead of names.
    None,
}

impl PresentationParams {
    /// Applies the parameters to a presenter.
    ///
    /// # Errors
    /// When the application does not ship the language.
    pub fn apply(&self, presenter: Presenter) -> Result<Presenter, PresentError> {
        let presenter = presenter.locale(self.locale.as_deref().unwrap_or("en"))?;
        Ok(match self.names.unwrap_or(NameMode::Then) {
            NameMode::Then => presenter.names(NamesAsOf::Event),
            NameMode::Now => presenter.names(NamesAsOf::Now),
            NameMode::None => presenter.without_names(),
        })
    }

    /// Replaces the sentences of these rows.
    ///
    /// # Errors
    /// When the application does not ship the language, or an event cannot be presented.
    pub async fn apply_to_rows(&self, presenter: Presenter, rows: &mut [AuditRow]) -> Result<(), PresentError> {
        let presenter = self.apply(presenter)?;
        // The rows of an answer have one detail.
        let presenter = rows.iter().map(|row| row.detail).min().into_iter().fold(presenter, Presenter::detail);
        if presenter.is_as_declared() {
            return Ok(());
        }
        let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
        let presented = presenter.present_at(&positions).await?;
        for row in rows {
            if let Some(presented) = presented.iter().find(|one| one.position == row.position) {
                row.sentence = presented.sentence.text();
            }
        }
        Ok(())
    }
}
