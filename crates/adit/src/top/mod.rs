//! `adit top`: a running Adit in a terminal, from its API alone.

mod client;
mod keys;
mod model;
mod plain;
mod state;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::io::IsTerminal as _;
use std::time::Duration;

use crossterm::event::{Event, KeyEventKind};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

pub(crate) use client::Client;
use keys::Wish;
use state::Top;

/// How often Adit is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often the keyboard is looked at for the end.
const POLL: Duration = Duration::from_millis(100);
/// Workers on a screen printed once.
const WORKERS_PRINTED: usize = 20;

/// Prints one screen. Nothing when Adit does not answer.
///
/// # Errors
/// Why there is nothing to be seen, for people.
pub(crate) async fn once(mut client: Client) -> Result<String, String> {
    let mut top = Top::new(client.address().to_owned());
    top.page = WORKERS_PRINTED;
    client.refresh(&mut top).await?;
    Ok(plain::screen(&top))
}

/// Shows it until somebody quits.
///
/// # Errors
/// The terminal cannot be used.
pub(crate) async fn watch(mut client: Client, ended: impl Future<Output = ()>) -> Result<(), String> {
    if !std::io::stdout().is_terminal() {
        return Err("standard output is no terminal: use --once".to_owned());
    }
    let mut top = Top::new(client.address().to_owned());
    // Its panic hook gives the terminal back, too.
    let mut terminal =
        ratatui::try_init().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    let _restored = Restored;
    let (keyboard, stop) = read_keyboard();
    let shown = run(&mut terminal, &mut client, &mut top, keyboard, ended).await;
    drop(stop);
    shown.map_err(|error| format!("the terminal cannot be written: {error}"))
}

/// Gives the terminal back, however this ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        // A second time would put the cursor back over what the panic said.
        if !std::thread::panicking() {
            ratatui::restore();
        }
    }
}

async fn run(
    terminal: &mut ratatui::DefaultTerminal,
    client: &mut Client,
    top: &mut Top,
    mut keyboard: mpsc::Receiver<Event>,
    ended: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut ended = std::pin::pin!(ended);
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        terminal.draw(|frame| view::draw(frame, top))?;
        // Keys are obeyed while Adit is waited for.
        let refreshing = async {
            tick.tick().await;
            top.trouble = client.refresh(top).await.err();
        };
        tokio::select! {
            () = &mut ended => return Ok(()),
            event = keyboard.recv() => {
                let wish = match event {
                    Some(Event::Key(key)) if key.kind != KeyEventKind::Release => keys::press(top, key),
                    Some(_) => Wish::Draw,
                    None => Wish::Quit,
                };
                match wish {
                    Wish::Quit => return Ok(()),
                    Wish::Draw => {}
                    // What was asked for is shown at once, not with the next second.
                    Wish::Ask => tick.reset_immediately(),
                }
            }
            () = refreshing => {}
        }
    }
}

/// A thread reads the keyboard: there is nothing to wait on otherwise. It ends when the second part is dropped.
fn read_keyboard() -> (mpsc::Receiver<Event>, mpsc::Sender<()>) {
    let (events, keyboard) = mpsc::channel(64);
    let (stop, mut stopped) = mpsc::channel::<()>(1);
    std::thread::spawn(move || {
        while matches!(stopped.try_recv(), Err(mpsc::error::TryRecvError::Empty)) {
            match crossterm::event::poll(POLL) {
                Ok(false) => {}
                Ok(true) => {
                    let Ok(event) = crossterm::event::read() else { return };
                    if events.blocking_send(event).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    });
    (keyboard, stop)
}
