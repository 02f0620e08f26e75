//! A real browser: headless Chromium by its WebDriver. What a test waits for is a condition in the page.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, TimeoutConfiguration, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// How long a condition may take to come true. Far above what it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a browser writes to its console when an emulator is away, or has nothing of this name: both are shown in the page.
const EXPECTED: [&str; 2] = ["Failed to load resource", "net::ERR_"];

pub struct Browser {
    client: Client,
    driver: Child,
    runtime: tokio::runtime::Runtime,
}

/// A command of Chromium's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// # Panics
    /// When there is no Chromium, with what to do about it.
    pub fn start() -> Browser {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = started.unwrap_or_else(|error| {
            panic!(
                "chromedriver cannot be started ({error}): install chromium and its WebDriver (Debian: apt-get install \
                 chromium chromium-driver), or set EMU_TEST_BROWSER=off to leave the dashboard's tests out"
            )
        });
        let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                Some(
                    line.split_once("successfully on port ")?
                        .1
                        .trim_end_matches('.')
                        .to_owned(),
                )
            })
            .expect("chromedriver says its port");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let options = json!({
            "goog:chromeOptions": {
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                         "--lang=en-US", "--window-size=1440,900"],
            },
            "goog:loggingPrefs": { "browser": "ALL" },
            "unhandledPromptBehavior": "ignore",
        });
        let capabilities: Capabilities = serde_json::from_value(options).expect("capabilities");
        let client = runtime.block_on(async {
            let client = ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&format!("http://127.0.0.1:{port}"))
                .await
                .unwrap_or_else(|error| panic!("chromium cannot be started: {error}"));
            let timeouts = TimeoutConfiguration::new(Some(2 * PATIENCE), Some(PATIENCE), None);
            client.update_timeouts(timeouts).await.expect("timeouts");
            client
        });
        Browser {
            client,
            driver,
            runtime,
        }
    }

    fn run<T>(&self, doing: &str, what: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime
            .block_on(what)
            .unwrap_or_else(|error| panic!("{doing}: {error}"))
    }

    pub fn open(&self, url: &str) {
        self.run(url, self.client.goto(url));
    }

    /// The value of an expression in the page.
    pub fn value(&self, expression: &str) -> Value {
        self.run(
            expression,
            self.client.execute(&format!("return ({expression});"), Vec::new()),
        )
    }

    /// Waits until an expression in the page is true, and returns it.
    ///
    /// # Panics
    /// When it never is, with what the page says instead.
    pub fn until(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const end = performance.now() + {};
             (function look() {{
               let value = null;
               try {{ value = ({expression}); }} catch {{}}
               if (value) done([value]);
               else if (performance.now() > end) done(null);
               else requestAnimationFrame(look);
             }})();",
            PATIENCE.as_millis()
        );
        let mut found = self.run(expression, self.client.execute_async(&script, Vec::new()));
        match found.get_mut(0) {
            Some(value) => value.take(),
            None => panic!(
                "never: {expression}\n--- the page\n{}\n--- console\n{}",
                self.text(),
                self.console().join("\n")
            ),
        }
    }

    /// Waits until the page shows this text.
    pub fn until_text(&self, text: &str) {
        let text = Value::from(text);
        self.until(&format!("document.body.innerText.includes({text})"));
    }

    pub fn text(&self) -> String {
        let text = self.value("document.body.innerText");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits for an element, and clicks on it as a user does.
    pub fn click(&self, css: &str) {
        self.until(&format!("document.querySelector({})", Value::from(css)));
        let found = self.run(css, self.client.find(Locator::Css(css)));
        self.run(css, found.click());
    }

    /// Types into a field, in the place of what is there.
    pub fn fill(&self, css: &str, text: &str) {
        self.until(&format!("document.querySelector({})", Value::from(css)));
        let found = self.run(css, self.client.find(Locator::Css(css)));
        self.run(css, found.clear());
        self.run(css, found.send_keys(text));
    }

    /// Moves a slider, or chooses of a list, as an input of the user's.
    pub fn set(&self, css: &str, value: &str) {
        self.until(&format!("document.querySelector({})", Value::from(css)));
        let script = "const one = document.querySelector(arguments[0]);
             one.value = arguments[1];
             one.dispatchEvent(new Event('input', { bubbles: true }));
             one.dispatchEvent(new Event('change', { bubbles: true }));";
        self.run(css, self.client.execute(script, vec![css.into(), value.into()]));
    }

    /// Says yes to the question that the page asks.
    pub fn accept(&self) {
        self.run("accept", self.client.accept_alert());
    }

    fn own(&self, path: &'static str, body: Value) -> Value {
        self.run(path, self.client.issue_cmd(Own { path, body }))
    }

    /// A screen of so many pixels, and what its user prefers.
    pub fn screen(&self, width: u32, height: u32, dark: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.own(
            "goog/cdp/execute",
            json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": metrics }),
        );
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.own(
            "goog/cdp/execute",
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": media }),
        );
    }

    /// Into the folder for temporary files of the build, to be looked at.
    pub fn screenshot(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
        std::fs::create_dir_all(&folder).expect("a folder");
        let png = self.run(name, self.client.screenshot());
        std::fs::write(folder.join(format!("{name}.png")), png).expect("write the picture");
    }

    /// What the page complained about since the last look, but for what is to be expected.
    pub fn console(&self) -> Vec<String> {
        let entries = self.own("se/log", json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let told = entries
            .iter()
            .map(|entry| entry["message"].as_str().unwrap_or_default());
        told.filter(|text| !EXPECTED.iter().any(|expected| text.contains(expected)))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; without an answer the end of its driver does.
        let closing = async { tokio::time::timeout(Duration::from_secs(10), self.client.clone().close()).await };
        let _ = self.runtime.block_on(closing);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
