//! The picture at every size: what stands in it where there is room, and no panic where there is none.

use super::draw::{Scene, draw};
use super::meter::Rates;
use crate::crunch::Kind;
use crate::messages::CruncherResult;
use crate::tally::Tally;
use crate::up::board::{Board, Depth};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// A board in the middle of a run that is being harmed.
fn board() -> Board {
    let mut board = Board { files: 8, chaos: true, domain: "apple.com".to_owned(), ..Board::default() };
    board.broker = "amqp://127.0.0.1:5672/".to_owned();
    board.began(Kind::Fast, "/tmp/letters/harvest.eml", true);
    board.came_back(Kind::Fast);
    board.condemned(Kind::Slow, false);
    board.killed(Kind::Slow, "/tmp/letters/notice.txt");
    board.slow.queue = Depth { ready: 7, consumers: 0 };
    board.fast.crunched = 5;
    let addresses = ["ann@apple.com", "j\u{fc}rgen@obstg\u{e4}rten.de", "\u{1b}[2J\u{4e2d}\u{6587}@example.org"];
    let addresses = addresses.map(str::to_owned).to_vec();
    let mut tally = Tally::new("apple.com");
    tally.record("fast", &addresses);
    let result = CruncherResult { cruncher: "fast".to_owned(), file: None, label: None, addresses };
    board.recorded(&result, &tally);
    board.warning_ended("ann", true);
    board
}

fn drawn(board: &Board, input: Option<&str>, width: u16, height: u16) -> String {
    let mut lines: Vec<_> = (0..100).map(|number| format!("what happened {number}")).collect();
    lines.push("fast: /tmp/letters/some letter.eml: 3 found".to_owned());
    lines.push("status: 1 results, 3 addresses (fast 3, slow 0), 1 in apple.com".to_owned());
    let rates = Rates { fast: 12.34, ..Rates::default() };
    let scene = Scene { board, rates, lines: &lines, input, chaos: board.chaos };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, &scene)).unwrap();
    // A picture without width has no text either.
    if width == 0 { String::new() } else { terminal.backend().to_string() }
}

#[track_caller]
fn assert_shows(picture: &str, texts: &[&str]) {
    for text in texts {
        assert!(picture.contains(text), "{text} is missing in\n{picture}");
    }
}

#[test]
fn the_whole_picture_fits_into_an_ordinary_terminal() {
    let picture = drawn(&board(), None, 80, 24);
    assert_shows(&picture, &["prompt", "8 files", "regex-cruncher", "slow-cruncher", "7 ready", "0 consumers"]);
    assert_shows(&picture, &["crunch --fast", "again harvest.eml", "5/8", "crunch --slow", "killed notice.txt"]);
    assert_shows(&picture, &["status", "3 addresses", "  fast 3", "1 of 1 warned", "\u{2713}ann", "12.3/s"]);
    assert_shows(
        &picture,
        &[
            "1 killed",
            "1 files redelivered",
            "at work",
            "newest addresses",
            "what happened 99",
            "\u{2502}fast: some letter.eml: 3 found",
        ],
    );
    assert_shows(&picture, &["quit", "kill a cruncher", "amqp://127.0.0.1:5672/"]);
}

#[test]
fn a_wide_terminal_shows_more() {
    let picture = drawn(&board(), None, 140, 40);
    assert_shows(
        &picture,
        &["newest warnings", "\u{2713}ann@apple.com", "j\u{fc}rgen@obstg\u{e4}rten.de", "what happened 85"],
    );
    assert!(!picture.contains("1 results, 3 addresses"), "{picture}");
}

#[test]
fn a_small_terminal_shows_the_most_important() {
    let picture = drawn(&board(), None, 40, 9);
    assert_shows(
        &picture,
        &["3 addresses, 8 files", "fast again 5/8, 0 ready, 3 found", "slow killed 0/8, 7 ready", "quit"],
    );
    assert_shows(&drawn(&board(), None, 20, 5), &["3 addresses, 8 files", "fast again 5/8"]);
}

#[test]
fn no_size_makes_it_panic() {
    let boards = [board(), Board::default()];
    let sizes = (0..100).step_by(11).flat_map(|width| (0..40).step_by(3).map(move |height| (width, height)));
    for (width, height) in sizes {
        for board in &boards {
            drawn(board, None, width, height);
            drawn(board, Some("a file name"), width, height);
        }
    }
    for size in [(1, 1), (20, 5), (u16::MAX / 64, 1), (1, u16::MAX / 64), (76, 21), (75, 21), (76, 20)] {
        drawn(&boards[0], None, size.0, size.1);
    }
}

#[test]
fn a_strangers_name_cannot_command_the_terminal() {
    let hostile = |name: &str| format!("\u{202e}\u{1b}[2J{name}");
    let escaped = |name: &str| format!("\\u{{202e}}\\u{{1b}}[2J{name}");
    let mut board = Board { domain: hostile("D"), ..board() };
    board.began(Kind::Fast, &format!("/tmp/{}", hostile("F")), false);
    board.killed(Kind::Slow, &format!("/tmp/{}", hostile("S")));
    board.status.newest.push_back(hostile("A"));
    board.warning_ended(&hostile("W"), false);
    for (width, height, shown) in [(180, 40, "DFSAWI"), (40, 9, "I")] {
        let picture = drawn(&board, Some(&hostile("I")), width, height);
        for name in shown.chars() {
            assert_shows(&picture, &[&escaped(&name.to_string())]);
        }
        assert!(!picture.contains(['\u{1b}', '\u{202e}']), "{picture}");
    }
}

#[test]
fn keys_that_do_nothing_are_not_shown() {
    let calm = Board { chaos: false, ..board() };
    let picture = drawn(&calm, None, 80, 24);
    assert!(!picture.contains("kill a cruncher") && !picture.contains("redelivered"), "{picture}");
}

#[test]
fn an_end_in_order_shows() {
    let picture = drawn(&Board { ending: true, ..board() }, None, 80, 24);
    assert_shows(&picture, &["q  leave at once", "finishing what is outstanding"]);
    assert!(!picture.contains("crunch a file"), "{picture}");
}

#[test]
fn a_file_name_shows_while_it_is_entered() {
    assert_shows(&drawn(&board(), Some("letters/a.eml"), 80, 24), &["file: letters/a.eml\u{2588}", "Enter sends"]);
}

#[test]
fn what_is_done_and_undisturbed_is_said_to_be() {
    let mut board = board();
    for kind in Kind::BOTH {
        board.came_back(kind);
        board.finished(kind);
        board.lane_mut(kind).crunched = 8;
    }
    assert_shows(&drawn(&board, None, 80, 24), &["8 files sent = 8 crunched fast, 8 slow  nothing lost"]);
}
