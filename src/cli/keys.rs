//! Keys on a terminal: single letters without Return, and the terminal as it was at every exit.

use std::io::IsTerminal as _;
use std::sync::Mutex;

use crossterm::event::{KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `o`: the dashboard in a browser.
    Open,
    /// `r`: rebuild everything.
    Reload,
    /// `c`: an empty screen.
    Clear,
    /// `q`, and Ctrl-C where it does not come as a signal.
    Quit,
}

/// Reads keys until it is dropped; restores the terminal then.
pub struct Keys {
    receiver: mpsc::UnboundedReceiver<Key>,
    _mode: Mode,
}

impl Keys {
    /// `None` when stdin or stderr is no terminal, or this process runs in its background.
    pub fn start() -> Option<Keys> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let mode = Mode::set()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        // A thread of its own that is never joined: it waits in a read that nothing can end, until the process does.
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || {
                while let Ok(event) = crossterm::event::read() {
                    if let Some(key) = meaning(&event)
                        && sender.send(key).is_err()
                    {
                        return;
                    }
                }
            })
            .ok()?;
        Some(Keys { receiver, _mode: mode })
    }

    /// The next key; never, once the terminal is gone.
    pub async fn next(&mut self) -> Key {
        match self.receiver.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

fn meaning(event: &crossterm::event::Event) -> Option<Key> {
    let key = event.as_key_event()?;
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match (key.code, control) {
        (KeyCode::Char('o'), false) => Some(Key::Open),
        (KeyCode::Char('r'), false) => Some(Key::Reload),
        (KeyCode::Char('c'), false) => Some(Key::Clear),
        (KeyCode::Char('q'), false) | (KeyCode::Char('c'), true) => Some(Key::Quit),
        _ => None,
    }
}

/// How to restore the terminal, for exits that run no destructors.
static RESTORE: Mutex<Option<platform::Saved>> = Mutex::new(None);

/// Puts the terminal back; does nothing when it was left alone. Called by every way out.
pub fn restore() {
    let saved = RESTORE.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some(saved) = saved {
        platform::restore(&saved);
    }
}

/// The terminal hands over single keys while this lives.
struct Mode;

impl Mode {
    fn set() -> Option<Mode> {
        let saved = platform::set()?;
        *RESTORE.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(saved);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
        Some(Mode)
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        restore();
    }
}

/// Keys without echo and without Return, but with signals and line ends as usual: full raw mode would make stairs of
/// every line that a build command writes.
#[cfg(unix)]
mod platform {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};

    pub type Saved = Termios;

    pub fn set() -> Option<Saved> {
        let stdin = std::io::stdin();
        // In the background both changing the mode and reading would stop the process.
        if tcgetpgrp(&stdin).ok()? != rustix::process::getpgrp() {
            return None;
        }
        let saved = tcgetattr(&stdin).ok()?;
        let mut mode = saved.clone();
        mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        mode.special_codes[SpecialCodeIndex::VMIN] = 1;
        mode.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &mode).ok()?;
        Some(saved)
    }

    pub fn restore(saved: &Saved) {
        // The terminal may be gone; there is nothing to restore then.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, saved);
    }
}

#[cfg(not(unix))]
mod platform {
    pub type Saved = ();

    pub fn set() -> Option<Saved> {
        crossterm::terminal::enable_raw_mode().ok()
    }

    pub fn restore((): &Saved) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Shows a page in the user's browser.
///
/// # Errors
/// When the system has no program for that.
pub fn open_page(url: &str) -> std::io::Result<()> {
    let (program, args): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("cmd", &["/C", "start", ""])
    } else {
        ("xdg-open", &[])
    };
    let null = std::process::Stdio::null;
    let mut child = std::process::Command::new(program)
        .args(args)
        .arg(url)
        .stdin(null())
        .stdout(null())
        .stderr(null())
        .spawn()?;
    // It ends when it likes; waiting for it keeps no zombie.
    std::thread::spawn(move || child.wait());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{Event, KeyEvent};

    #[test]
    fn letters_have_meanings() {
        let key = |c, modifiers| meaning(&Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers)));
        assert_eq!(key('o', KeyModifiers::NONE), Some(Key::Open));
        assert_eq!(key('r', KeyModifiers::NONE), Some(Key::Reload));
        assert_eq!(key('c', KeyModifiers::NONE), Some(Key::Clear));
        assert_eq!(key('q', KeyModifiers::NONE), Some(Key::Quit));
        assert_eq!(key('c', KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(key('o', KeyModifiers::CONTROL), None);
        assert_eq!(key('x', KeyModifiers::NONE), None);
        assert_eq!(meaning(&Event::FocusGained), None);
    }
}
