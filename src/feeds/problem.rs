//! [`FeedProblem`]: why a feed does not send now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why a feed does not send now. A pause is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct FeedProblem {
    /// What failed last.
    pub reason: String,
    /// When it failed first, without a success since.
    pub since: Timestamp,
    /// Whether it has stopped: it tries again only when it is resumed, or when another process takes it over. Otherwise it tries again
    /// by itself.
    pub stopped: bool,
}
