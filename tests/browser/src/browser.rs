//! [`Browser`]: a headless Chromium for one test.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;

/// How long a page may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The user's preferred colour scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// A browser and its driver.
pub struct Browser {
    driver: WebDriver,
    child: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with an empty profile.
    pub async fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("Debian's chromium-driver: scripts/browser installs it");
        let output = BufReader::new(child.stdout.take().expect("the driver has stdout"));
        let port = output.lines().map_while(Result::ok).find_map(|line| {
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
        let url = format!("http://127.0.0.1:{}", port.expect("the driver prints its port"));
        let driver =
            WebDriver::new(url, capabilities).await.expect("Debian's chromium: scripts/browser installs it");
        driver.set_page_load_timeout(TIMEOUT).await.expect("a timeout");
        driver.set_script_timeout(TIMEOUT).await.expect("a timeout");
        let browser = Self { driver, child, _profile: profile };
        browser.zone("Europe/Paris").await;
        browser
    }

    /// Ends the browser.
    pub async fn close(self) {
        self.driver.clone().quit().await.expect("the browser ends");
    }

    /// The WebDriver session.
    #[must_use]
    pub fn driver(&self) -> &WebDriver {
        &self.driver
    }

    /// Opens an address.
    pub async fn goto(&self, address: impl AsRef<str>) {
        self.driver.goto(address.as_ref()).await.expect("the page loads");
    }

    /// Runs a script, and returns its result.
    pub async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.expect("a script that runs").json().clone()
    }

    /// The rendered text of the first matching element, as soon as it exists.
    pub async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText.trim()", json!(selector));
        // One script: the page could change between finding and reading.
        eventually(selector, async || {
            let text = self.driver.execute(script.as_str(), Vec::new()).await.ok()?;
            text.json().as_str().map(str::to_owned)
        })
        .await
    }

    /// The texts of all matching elements.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        let all = json!(selector);
        let all =
            self.run(&format!("return [...document.querySelectorAll({all})].map((one) => one.innerText)")).await;
        serde_json::from_value(all).expect("texts")
    }

    /// The first matching element, as soon as it exists.
    pub async fn element(&self, selector: &str) -> WebElement {
        eventually(selector, async || self.driver.find(By::Css(selector)).await.ok()).await
    }

    /// Clicks the first matching element.
    pub async fn click(&self, selector: &str) {
        self.element(selector).await.click().await.expect("it can be clicked");
    }

    /// Sets the size of the viewport, in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets the preferred colour scheme.
    pub async fn theme(&self, theme: Theme) {
        let value = if theme == Theme::Dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Sets the time zone.
    pub async fn zone(&self, zone: &str) {
        self.command("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
    }

    /// Enables or disables scripts.
    pub async fn scripts(&self, run: bool) {
        self.command("Emulation.setScriptExecutionDisabled", json!({ "value": !run })).await;
    }

    /// A screenshot of the viewport.
    pub async fn picture(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.expect("a picture")
    }

    async fn command(&self, command: &str, parameters: Value) {
        self.driver.cdp().send_raw(command, parameters).await.expect("the command succeeds");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver and its child processes.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}

/// Polls until there is a value. `what` names it in the panic message.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < TIMEOUT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
