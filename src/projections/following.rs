//! [`FollowRight`]: the right to follow something live, which may end while it is followed.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;

/// Why something that is followed live has to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowEnd {
    /// Access control denies it, or does not allow it any more. With the reason.
    #[error("denied: {0}")]
    Denied(String),
    /// For two seconds, nobody could say whether it is still allowed: the store or access control does not answer.
    #[error(
        "for two seconds it was not certain that this is still allowed, because the store or the authoriser did not \
         answer: follow it again from where it ended"
    )]
    Unconfirmed,
}

/// The right to follow something live. It may end while that is open.
///
/// [`AuditAccess::follow`](super::audit::AuditAccess::follow) returns it.
#[derive(Default)]
pub struct FollowRight(Option<BoxFuture<'static, FollowEnd>>);

impl FollowRight {
    /// A right that does not end.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// A right that ends when this future resolves. Dropping the right drops the future.
    #[must_use]
    pub fn until(end: impl Future<Output = FollowEnd> + Send + 'static) -> Self {
        Self(Some(end.boxed()))
    }

    /// Waits until the right ends. If this is dropped before, nothing is lost. The end is returned once.
    pub async fn ended(&mut self) -> FollowEnd {
        match &mut self.0 {
            None => std::future::pending().await,
            Some(end) => {
                let end = end.await;
                self.0 = None;
                end
            }
        }
    }

    /// The end, if the right has ended by now. It is returned once.
    pub fn ended_by_now(&mut self) -> Option<FollowEnd> {
        self.ended().now_or_never()
    }
}

impl fmt::Debug for FollowRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowRight").field("may_end", &self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_right_ends_once_however_often_it_was_asked_before() {
        let (end, ended) = oneshot::channel();
        let mut right = FollowRight::until(async { ended.await.unwrap() });
        assert_eq!(right.ended_by_now(), None);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), right.ended()).await.is_err());
        end.send(FollowEnd::Denied("no longer".to_owned())).unwrap();
        assert_eq!(right.ended_by_now(), Some(FollowEnd::Denied("no longer".to_owned())));
        assert_eq!((right.ended_by_now(), FollowRight::unlimited().ended_by_now()), (None, None));
    }
}
