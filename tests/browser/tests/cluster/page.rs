//! [`OpenPage`]: a page that stays open in a browser, and what it has shown.

use std::collections::BTreeSet;

use annals::prelude::*;
use annals_test_browser::{Browser, eventually};
use serde_json::json;

/// Keeps what the page says about its stream and what happened to it.
const RECORD: &str = "window.sameDocument = true; window.said = []; \
    for (const id of ['live', 'notice']) { \
        const part = document.getElementById(id); \
        new MutationObserver(() => window.said.push(part.textContent)) \
            .observe(part, { childList: true, characterData: true, subtree: true }); \
    }";

pub struct OpenPage(Browser);

impl OpenPage {
    /// Opens a page, which is to stay open.
    pub async fn open(address: &str) -> Self {
        let page = Self(Browser::start().await);
        page.visit(address).await;
        page.0.run(RECORD).await;
        page
    }

    /// Leaves the page for another.
    pub async fn visit(&self, address: &str) {
        self.0.goto(address).await;
        self.is_live().await;
    }

    async fn is_live(&self) {
        eventually("the stream", async || (self.0.text("#live").await == "Live").then_some(())).await;
    }

    /// The positions of the rows, from the top.
    async fn positions(&self) -> Vec<u64> {
        let script =
            "return [...document.querySelectorAll('#feed > li')].map((row) => Number(row.dataset.position))";
        serde_json::from_value(self.0.run(script).await).expect("numbers")
    }

    /// Waits until the page shows the event of each command once, the newest first, and no other. It is still the document that was
    /// opened, and never took a process that is behind for one whose log was restored.
    pub async fn shows_exactly(&self, receipts: &[Receipt]) {
        let wanted: BTreeSet<u64> = receipts.iter().map(|receipt| receipt.first_position).collect();
        let wanted: Vec<u64> = wanted.into_iter().rev().collect();
        assert_eq!(wanted.len(), receipts.len(), "two commands have one position");
        let what = format!("{} rows", wanted.len());
        eventually(&what, async || {
            let shown = self.positions().await;
            let unwanted: Vec<&u64> = shown.iter().filter(|shown| !wanted.contains(shown)).collect();
            assert!(unwanted.is_empty(), "rows of no acknowledged command: {unwanted:?}");
            (shown == wanted).then_some(())
        })
        .await;
        assert_eq!(self.0.run("return window.sameDocument").await, json!(true), "the page was loaded again");
        let said = self.said().await;
        assert!(
            !said.iter().any(|said| said.contains("restored")),
            "a process that is behind has another log: {said:?}"
        );
    }

    /// What the page has said about its stream and itself.
    async fn said(&self) -> Vec<String> {
        serde_json::from_value(self.0.run("return window.said").await).expect("texts")
    }

    /// Waits until the page shows this row.
    pub async fn has(&self, position: u64) {
        eventually(&format!("row {position}"), async || self.positions().await.contains(&position).then_some(()))
            .await;
    }

    /// The page has lost its stream, has it again, and says nothing else.
    pub async fn has_recovered(&self) {
        self.is_live().await;
        let said = self.said().await;
        assert!(said.iter().any(|said| said == "Reconnecting…"), "no stream was lost: {said:?}");
        assert_eq!(self.0.run("return document.querySelector('#notice').hidden").await, json!(true), "{said:?}");
    }

    pub async fn close(self) {
        self.0.close().await;
    }
}
