//! [`Browser`]: Chromium without a window, of a test's own.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;

/// As long as a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the page looks like to somebody who likes it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// A browser, and the driver that it obeys.
pub struct Browser {
    driver: WebDriver,
    child: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts one that knows nothing.
    pub async fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("Debian's chromium-driver: scripts/browser installs it");
        let said = BufReader::new(child.stdout.take().expect("it says where it is"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let port = line.split("successfully on port ").nth(1)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let profile = tempfile::tempdir().expect("a folder");
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--lang=en-GB",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            capabilities.add_arg(argument).expect("an argument");
        }
        let url = format!("http://127.0.0.1:{}", port.expect("it says its port"));
        let driver =
            WebDriver::new(url, capabilities).await.expect("Debian's chromium: scripts/browser installs it");
        driver.set_page_load_timeout(PATIENCE).await.expect("a timeout");
        driver.set_script_timeout(PATIENCE).await.expect("a timeout");
        let browser = Self { driver, child, _profile: profile };
        browser.zone("Europe/Paris").await;
        browser
    }

    /// Ends it.
    pub async fn close(self) {
        self.driver.clone().quit().await.expect("it ends");
    }

    /// What drives it.
    #[must_use]
    pub fn driver(&self) -> &WebDriver {
        &self.driver
    }

    /// Goes to an address.
    pub async fn goto(&self, address: impl AsRef<str>) {
        self.driver.goto(address.as_ref()).await.expect("it is there");
    }

    /// What this script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.expect("a script that runs").json().clone()
    }

    /// The text of the first element that this selects, as it is rendered, as soon as it is there.
    pub async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText.trim()", json!(selector));
        // In one go: between finding and reading, the page may be another.
        eventually(selector, async || {
            let text = self.driver.execute(script.as_str(), Vec::new()).await.ok()?;
            text.json().as_str().map(str::to_owned)
        })
        .await
    }

    /// The texts of all elements that this selects.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        let all = json!(selector);
        let all =
            self.run(&format!("return [...document.querySelectorAll({all})].map((one) => one.innerText)")).await;
        serde_json::from_value(all).expect("texts")
    }

    /// The first element that this selects, as soon as it is there.
    pub async fn element(&self, selector: &str) -> WebElement {
        eventually(selector, async || self.driver.find(By::Css(selector)).await.ok()).await
    }

    /// Clicks on it.
    pub async fn click(&self, selector: &str) {
        self.element(selector).await.click().await.expect("it can be clicked");
    }

    /// How wide and high the page is, in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// In which theme it is shown.
    pub async fn theme(&self, theme: Theme) {
        let value = if theme == Theme::Dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// In which zone its user lives.
    pub async fn zone(&self, zone: &str) {
        self.command("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
    }

    /// Whether scripts run.
    pub async fn scripts(&self, run: bool) {
        self.command("Emulation.setScriptExecutionDisabled", json!({ "value": !run })).await;
    }

    /// A picture of what can be seen.
    pub async fn picture(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.expect("a picture")
    }

    async fn command(&self, command: &str, parameters: Value) {
        self.driver.cdp().send_raw(command, parameters).await.expect("the browser obeys");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver and whatever it has started.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}

/// Waits until there is something; `what` is told if it does not come.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it did not come: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
