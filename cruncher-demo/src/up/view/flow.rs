//! The upper half of the picture: how the services and queues are connected, and what they do.
//!
//! ```text
//! prompt -+-> [regex-cruncher] -> crunch --fast -+-> [status] status
//!         +-> [slow-cruncher]  -> crunch --slow -+       |
//! ```

use super::draw::{Scene, bar, inside, per_second, short_name};
use crate::crunch::Kind;
use crate::up::board::{CruncherState, Depth};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Paragraph};

/// Two boxes of three lines.
pub(super) const HEIGHT: u16 = 10;
/// A queue this full fills its bar.
const FULL: u64 = 20;

const FORK: [&str; 8] = [
    "",
    "",
    " \u{250c}\u{2500}\u{25b6}",
    " \u{2502}",
    "\u{2500}\u{2524}",
    " \u{2502}",
    " \u{2502}",
    " \u{2514}\u{2500}\u{25b6}",
];
const ON: [&str; 8] = ["", "", "\u{2500}\u{2500}\u{25b6}", "", "", "", "", "\u{2500}\u{2500}\u{25b6}"];
const JOIN: [&str; 8] = [
    "",
    "",
    "\u{2500}\u{2510}",
    " \u{2502}",
    " \u{251c}\u{2500}\u{25b6}",
    " \u{2502}",
    " \u{2502}",
    "\u{2500}\u{2518}",
];

pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let queue = (area.width / 5).clamp(18, 28);
    let columns = [
        Constraint::Length(13),
        Constraint::Length(4),
        Constraint::Length(queue),
        Constraint::Length(3),
        Constraint::Fill(6),
        Constraint::Length(4),
        Constraint::Fill(5),
    ];
    let [prompt, fork, queues, on, crunchers, join, status] = Layout::horizontal(columns).areas(area);
    for (arrow, column) in [(FORK, fork), (ON, on), (JOIN, join)] {
        frame.render_widget(Paragraph::new(arrow.map(Line::from).to_vec()).dark_gray(), column);
    }
    prompt_box(frame, scene, prompt);
    let halves = Layout::vertical([Constraint::Length(5), Constraint::Length(5)]);
    let (queues, crunchers): ([Rect; 2], [Rect; 2]) = (halves.areas(queues), halves.areas(crunchers));
    for ((kind, queue), cruncher) in Kind::BOTH.into_iter().zip(queues).zip(crunchers) {
        queue_box(frame, kind.queue(), scene.board.lane(kind).queue, queue);
        cruncher_box(frame, scene, kind, cruncher);
    }
    status_box(frame, scene, status);
}

fn prompt_box(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let [_, service, exchange] =
        Layout::vertical([Constraint::Length(2), Constraint::Length(5), Constraint::Length(2)]).areas(area);
    let sent = Line::from(format!("{} files", scene.board.files));
    let block = service_block("prompt".to_owned(), scene.rates.files);
    frame.render_widget(Paragraph::new(vec![Line::default(), sent]).block(block), service);
    let exchange_text = vec![Line::from("to emails,"), Line::from("a fanout")];
    frame.render_widget(Paragraph::new(exchange_text).right_aligned().dark_gray(), exchange);
}

fn queue_box(frame: &mut Frame<'_>, name: &str, depth: Depth, area: Rect) {
    let block = Block::bordered().title(name.to_owned().bold()).fg(Color::Blue);
    let text = vec![
        bar(u64::from(depth.ready), FULL.max(u64::from(depth.ready)), inside(area).width, Color::Blue),
        Line::from(format!("{} ready", depth.ready)),
        Line::from(consumers(depth)),
    ];
    frame.render_widget(Paragraph::new(text).block(block), area);
}

fn consumers(depth: Depth) -> String {
    match depth.consumers {
        1 => "1 consumer".to_owned(),
        consumers => format!("{consumers} consumers"),
    }
}

fn cruncher_box(frame: &mut Frame<'_>, scene: &Scene<'_>, kind: Kind, area: Rect) {
    let lane = scene.board.lane(kind);
    let rate = if kind == Kind::Fast { scene.rates.fast } else { scene.rates.slow };
    let (crunched, files) = (lane.crunched as u64, scene.board.files as u64);
    let color = if matches!(lane.state, CruncherState::Killed { .. }) { Color::Red } else { Color::Green };
    let width = inside(area).width;
    let count = format!(" {crunched}/{files}");
    let mut progress = bar(crunched, files, width.saturating_sub(count.len() as u16), color);
    progress.push_span(count);
    let mut found = Line::from(format!("{} found ", lane.found));
    if scene.chaos {
        found.push_span(format!("{} killed ", lane.killed()).red());
    }
    let text = vec![in_hand(&lane.state), progress, found];
    let block = service_block(format!("crunch --{}", kind.name()), rate).border_style(color);
    frame.render_widget(Paragraph::new(text).block(block), area);
}

fn in_hand(state: &CruncherState) -> Line<'static> {
    match state {
        CruncherState::Idle => Line::from("waits".dark_gray()),
        CruncherState::Works { file, again: false } => Line::from(format!("\u{25b6} {}", short_name(file))),
        CruncherState::Works { file, again: true } => {
            Line::from(vec!["again ".yellow().bold(), short_name(file).yellow()])
        }
        CruncherState::Killed { file } => Line::from(vec!["killed ".red().bold(), short_name(file).red()]),
    }
}

fn status_box(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let status = &scene.board.status;
    let ready = u64::from(status.queue.ready);
    let text = vec![
        bar(ready, FULL.max(ready), inside(area).width, Color::Blue),
        Line::from(format!("{ready} ready").blue()),
        Line::default(),
        Line::from(format!("{} results", status.results)),
        Line::from(format!("{} addresses", status.addresses).bold()),
        Line::from(format!("  fast {}", scene.board.fast.found)),
        Line::from(format!("  slow {}", scene.board.slow.found)),
        Line::from(format!("{} to warn", status.in_domain)),
    ];
    let block = service_block("status".to_owned(), scene.rates.results).title_bottom(Line::from("\u{25bc}").centered());
    frame.render_widget(Paragraph::new(text).block(block), area);
}

/// The frame of a service; a queue's is plain and blue.
fn service_block(name: String, rate: f64) -> Block<'static> {
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(Color::Green);
    block.title(name.bold()).title(per_second(rate))
}
