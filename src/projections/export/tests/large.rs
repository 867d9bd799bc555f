//! Exports of large events.

use super::*;

/// A writer that counts: the most bytes that it got at once, and all.
#[derive(Default)]
struct Counting(usize, usize);

/// Mission X50: the memory of an export does not depend on the size of events.
#[tokio::test]
async fn an_export_of_large_events_holds_few_of_them_at_a_time() {
    let annals = open().await;
    let said = || TeamEvent::Said { words: "so".repeat(100_000) };
    let mut last = None;
    for _ in 0..12 {
        last = Some(team(&annals, "1", "7", said()).await);
    }
    annals.audit().after(last.unwrap()).limit(1).page().await.unwrap();
    for &format in Format::ALL.iter().filter(|format| **format != Format::Ocel) {
        let mut written = Counting::default();
        let manifest = annals.audit().export(format).to(&mut written).await.unwrap();
        let Counting(most, all) = written;
        assert_eq!(manifest.rows, 12);
        assert!(all > 12 * 200_000 && most < 900_000, "{format}: {most} of {all} bytes at once");
    }
    annals.close().await;
}

impl tokio::io::AsyncWrite for Counting {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.0 = self.0.max(bytes.len());
        self.1 += bytes.len();
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

crate::projections::tests::fixture::stores::on_postgres_too! { an_export_of_large_events_holds_few_of_them_at_a_time }
