//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{SORTS, Top};

/// The longest text that is searched for, letters.
const SEARCH_MAX: usize = 60;

/// What is to happen after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// The end.
    Quit,
    /// The screen is drawn anew.
    Draw,
    /// Other workers are asked for.
    Ask,
}

pub(super) fn press(top: &mut Top, key: KeyEvent) -> Wish {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return if key.code == KeyCode::Char('c') { Wish::Quit } else { Wish::Draw };
    }
    if top.searching {
        return search(top, key.code);
    }
    let last = top.workers.total.saturating_sub(1);
    match key.code {
        KeyCode::Char('q') => return Wish::Quit,
        KeyCode::Char('/') => {
            top.searching = true;
            return Wish::Draw;
        }
        KeyCode::Esc => top.search.clear(),
        KeyCode::Char('s') => {
            top.sort = (top.sort + 1) % SORTS.len();
            // Names from A, the newest share first, of the rest the most first.
            top.descending = !matches!(SORTS[top.sort].0, "name" | "last_share");
            top.offset = 0;
        }
        KeyCode::Char('r') => top.descending = !top.descending,
        KeyCode::Down | KeyCode::Char('j') => top.offset = (top.offset + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => top.offset = top.offset.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => top.offset = (top.offset + top.page).min(last),
        KeyCode::PageUp => top.offset = top.offset.saturating_sub(top.page),
        KeyCode::Home => top.offset = 0,
        KeyCode::End => top.offset = top.workers.total.saturating_sub(top.page),
        _ => return Wish::Draw,
    }
    Wish::Ask
}

fn search(top: &mut Top, key: KeyCode) -> Wish {
    match key {
        KeyCode::Enter => {
            top.searching = false;
            return Wish::Draw;
        }
        KeyCode::Esc => {
            top.searching = false;
            top.search.clear();
        }
        KeyCode::Backspace => {
            top.search.pop();
        }
        KeyCode::Char(letter) if !letter.is_control() && top.search.chars().count() < SEARCH_MAX => {
            top.search.push(letter);
        }
        _ => return Wish::Draw,
    }
    top.offset = 0;
    Wish::Ask
}
