//! The picture for a small terminal: one line per service, the most telling first.

use super::draw::{Scene, chaos_lines, footer};
use crate::crunch::Kind;
use crate::up::board::CruncherState;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let board = scene.board;
    let mut text = vec![Line::from(format!("{} addresses, {} files", board.status.addresses, board.files).bold())];
    text.extend(Kind::BOTH.map(|kind| cruncher(scene, kind)));
    let status = &board.status;
    text.push(Line::from(format!("status {} ready, {} results", status.queue.ready, status.results)));
    text.push(Line::from(format!("warned {} of {}", board.spammers.written, board.spammers.asked)));
    if scene.chaos {
        text.extend(chaos_lines(board));
    }
    text.push(Line::from(format!("{:.1} messages/s", scene.rates.consumed())));
    text.extend(scene.lines.iter().rev().take(usize::from(area.height)).map(|line| line.clone().dark_gray().into()));
    let [picture, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Max(1)]).areas(area);
    frame.render_widget(Paragraph::new(text), picture);
    frame.render_widget(footer(scene), foot);
}

fn cruncher(scene: &Scene<'_>, kind: Kind) -> Line<'static> {
    let lane = scene.board.lane(kind);
    let state = match lane.state {
        CruncherState::Idle => "waits".dark_gray(),
        CruncherState::Works { again: false, .. } => "works".green(),
        CruncherState::Works { again: true, .. } => "again".yellow(),
        CruncherState::Killed { .. } => "killed".red(),
    };
    let counts = format!(" {}/{}, {} ready, {} found", lane.crunched, scene.board.files, lane.queue.ready, lane.found);
    Line::from(vec![format!("{} ", kind.name()).into(), state, counts.into()])
}
