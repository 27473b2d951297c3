//! A browser with its driver, which end with the test.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use thirtyfour::{By, ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver, WebElement};

use super::free_port;
use crate::skip::skipped;

/// How long anything on a page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keys as the driver takes them.
pub(super) const TAB: &str = "\u{e004}";
pub(super) const ENTER: &str = "\u{e007}";
pub(super) const ESCAPE: &str = "\u{e00c}";

/// Whether pages may run scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripts {
    On,
    Off,
}

/// A browser at a daemon.
pub(super) struct Browser {
    pub(super) driver: WebDriver,
    pub(super) base: String,
    process: Child,
    profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // A driver that is killed leaves its browser, which is known by its profile.
        let profile = self.profile.path().to_str().unwrap_or_default().to_owned();
        let running = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for entry in running {
            let is_ours = std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&profile));
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            if let Some(pid) = number.filter(|_| is_ours) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn found(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let mut all = std::env::split_paths(&folders).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    all.find(|path: &PathBuf| Path::is_file(path))
}

impl Browser {
    /// A new browser with a profile of its own; `None` where there is none on this machine.
    pub(super) async fn open(base: &str, scripts: Scripts) -> Option<Self> {
        let Some((driver, browser)) = found(&["chromedriver"]).zip(found(&["chromium", "google-chrome"])) else {
            assert!(
                std::env::var_os("AMPLINKD_BROWSER").is_none_or(|how| how != "required"),
                "chromium and chromedriver are required"
            );
            skipped("there is no chromium with a chromedriver");
            return None;
        };
        let port = free_port();
        let profile = tempfile::tempdir().unwrap();
        let process = Command::new(driver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(browser.to_str().unwrap()).unwrap();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        if scripts == Scripts::Off {
            let preferences = json!({ "profile.managed_default_content_settings.javascript": 2 });
            capabilities.add_experimental_option("prefs", preferences).unwrap();
        }
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let server = format!("http://127.0.0.1:{port}");
        let mut begun = WebDriver::new(&server, capabilities.clone()).await;
        for _ in 0..50 {
            if begun.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            begun = WebDriver::new(&server, capabilities.clone()).await;
        }
        Some(Self { driver: begun.unwrap(), base: base.to_owned(), process, profile })
    }

    pub(super) async fn go(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.unwrap();
    }

    pub(super) async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// Waits until something is so.
    pub(super) async fn until(&self, mut is_so: impl AsyncFnMut() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let is_over = waited.await.is_err();
        assert!(!is_over, "it did not come about on {}:\n{}", self.url().await, self.text().await);
    }

    /// What the page says.
    pub(super) async fn text(&self) -> String {
        match self.driver.find(By::Css("main")).await {
            Ok(main) => main.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the page says this.
    pub(super) async fn says(&self, words: &str) {
        self.until(async || self.text().await.contains(words)).await;
    }

    /// Whether the page has an element.
    pub(super) async fn has(&self, css: &str) -> bool {
        self.driver.find(By::Css(css)).await.is_ok()
    }

    /// Waits for an element.
    pub(super) async fn sees(&self, css: &str) -> WebElement {
        self.until(async || self.has(css).await).await;
        self.driver.find(By::Css(css)).await.unwrap()
    }

    pub(super) async fn click(&self, css: &str) {
        self.sees(css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    pub(super) async fn fill(&self, css: &str, text: &str) {
        let field = self.sees(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Keys pressed one after the other, wherever the focus is.
    pub(super) async fn press(&self, keys: impl AsRef<str>) {
        for key in keys.as_ref().chars() {
            self.driver.action_chain().send_keys(key.to_string()).perform().await.unwrap();
        }
    }

    /// Goes from one thing to the next until the focus is on this, as far as a patient person would.
    pub(super) async fn tab_to(&self, css: &str) {
        self.sees(css).await;
        for _ in 0..120 {
            self.press(TAB).await;
            let is_there = format!("return document.activeElement.matches({})", json!(css));
            if self.script(&is_there).await == true {
                return;
            }
        }
        panic!("{css} has no place in the order of {}", self.url().await);
    }

    /// What a script returns. The driver runs it, whatever the page may.
    pub(super) async fn script(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// A screen of this size.
    pub(super) async fn screen(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700 });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    pub(super) async fn command(&self, command: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(command, parameters).await.unwrap()
    }

    /// What the browser complained of since it was last asked: errors of scripts, and what the policy of the page forbade.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        let is_bad = |message: &str| message.contains("Content Security Policy") || message.contains("Uncaught");
        log.into_iter().map(|entry| entry.message).filter(|message| is_bad(message)).collect()
    }

    pub(super) async fn close(self) {
        self.driver.clone().quit().await.unwrap();
    }
}
