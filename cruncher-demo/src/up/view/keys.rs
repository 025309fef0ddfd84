//! What the keys mean. Pure.

use super::Wish;
use crate::messages::FILE_NAME_BYTES_MAX;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The keys, and a file name that is being entered.
#[derive(Debug)]
pub(super) struct Keys {
    chaos: bool,
    input: Option<String>,
}

/// What follows from a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Quit,
    Wish(Wish),
}

impl Keys {
    /// Nothing entered; with `chaos`, crunchers may be killed.
    pub(super) fn new(chaos: bool) -> Keys {
        Keys { chaos, input: None }
    }

    /// The file name as far as it is entered.
    pub(super) fn input(&self) -> Option<&str> {
        self.input.as_deref()
    }

    pub(super) fn pressed(&mut self, key: KeyEvent) -> Answer {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => Answer::Quit,
            _ if control || key.modifiers.contains(KeyModifiers::ALT) => Answer::Nothing,
            code if self.input.is_some() => self.entered(code),
            KeyCode::Char('q') => Answer::Quit,
            KeyCode::Char('c') if self.chaos => Answer::Wish(Wish::Kill),
            KeyCode::Char('l') => Answer::Wish(Wish::Again),
            KeyCode::Char('f') => {
                self.input = Some(String::new());
                Answer::Nothing
            }
            _ => Answer::Nothing,
        }
    }

    /// Text that comes at once, such as a file that is dragged onto the terminal. It is a file name or nothing.
    pub(super) fn pasted(&mut self, text: &str) {
        let line = text.lines().next().unwrap_or_default().trim();
        line.chars().for_each(|c| self.add(c));
    }

    fn entered(&mut self, code: KeyCode) -> Answer {
        match code {
            KeyCode::Char(c) => self.add(c),
            KeyCode::Backspace => drop(self.input.as_mut().and_then(String::pop)),
            KeyCode::Esc => self.input = None,
            KeyCode::Enter => {
                let name = self.input.take().unwrap_or_default().trim().to_owned();
                if !name.is_empty() {
                    return Answer::Wish(Wish::File(name));
                }
            }
            _ => {}
        }
        Answer::Nothing
    }

    fn add(&mut self, c: char) {
        if let Some(input) = self.input.as_mut().filter(|input| input.len() + c.len_utf8() <= FILE_NAME_BYTES_MAX) {
            input.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(keys: &mut Keys, code: KeyCode) -> Answer {
        keys.pressed(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn type_in(keys: &mut Keys, text: &str) {
        assert!(text.chars().all(|c| press(keys, KeyCode::Char(c)) == Answer::Nothing));
    }

    #[test]
    fn a_file_name_is_entered_even_with_letters_that_are_keys() {
        let mut keys = Keys::new(true);
        type_in(&mut keys, "fqclx");
        assert_eq!(press(&mut keys, KeyCode::Backspace), Answer::Nothing);
        keys.pasted("/a b.eml\nmore");
        assert_eq!(keys.input(), Some("qcl/a b.eml"));
        assert_eq!(press(&mut keys, KeyCode::Enter), Answer::Wish(Wish::File("qcl/a b.eml".to_owned())));
        assert_eq!(keys.input(), None);
    }

    #[test]
    fn pasted_text_is_no_key() {
        let mut keys = Keys::new(true);
        keys.pasted("fq");
        assert_eq!(keys.input(), None);
        type_in(&mut keys, "f");
        keys.pasted("q\n");
        assert_eq!(keys.input(), Some("q"));
    }

    #[test]
    fn an_entry_can_be_given_up() {
        let mut keys = Keys::new(false);
        type_in(&mut keys, "fabc");
        assert_eq!((press(&mut keys, KeyCode::Esc), keys.input()), (Answer::Nothing, None));
        type_in(&mut keys, "f  ");
        assert_eq!(press(&mut keys, KeyCode::Enter), Answer::Nothing);
        assert_eq!(press(&mut keys, KeyCode::Char('q')), Answer::Quit);
    }

    #[test]
    fn control_c_ends_always() {
        let mut keys = Keys::new(false);
        type_in(&mut keys, "fabc");
        assert_eq!(keys.pressed(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Answer::Quit);
    }

    #[test]
    fn only_chaos_kills() {
        assert_eq!(press(&mut Keys::new(false), KeyCode::Char('c')), Answer::Nothing);
        assert_eq!(press(&mut Keys::new(true), KeyCode::Char('c')), Answer::Wish(Wish::Kill));
        assert_eq!(press(&mut Keys::new(false), KeyCode::Char('l')), Answer::Wish(Wish::Again));
    }

    #[test]
    fn what_is_entered_has_a_bound() {
        let mut keys = Keys::new(false);
        type_in(&mut keys, "f");
        keys.pasted(&"\u{e4}".repeat(FILE_NAME_BYTES_MAX));
        assert_eq!(keys.input().unwrap().len(), FILE_NAME_BYTES_MAX);
    }
}
