//! The lower half of the picture: the spammers, the newest addresses, what happens.

use super::draw::{Scene, bar, inside, per_second, short_name};
use crate::screen::printable;
use crate::up::board::{Progress, Warning};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

/// One line of counts, one of names.
pub(super) const SPAMMERS_HEIGHT: u16 = 4;
/// From which width on there are three lists.
const WIDE: u16 = 110;

/// The spammers, the newest first.
pub(super) fn spammers(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let spammers = &scene.board.spammers;
    let (asked, ended) = (spammers.asked.max(spammers.written), spammers.written + spammers.given_up);
    let mut counts = bar(ended, asked, (inside(area).width / 4).min(20), Color::Green);
    counts.push_span(format!(" {} of {asked} warned, {} ready in their queues  ", spammers.written, spammers.ready));
    if spammers.given_up > 0 {
        counts.push_span(format!("{} given up  ", spammers.given_up).red());
    }
    let names: Vec<_> = spammers.newest.iter().rev().flat_map(|one| [warning(one), Span::from(" ")]).collect();
    let title = Line::from(vec!["spammer, a direct exchange ".dark_gray(), "\u{25b6} spam --name ...".bold()]);
    let broker = Line::from(format!("broker {}", printable(&scene.board.broker)).dark_gray()).right_aligned();
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(Color::Green);
    let block = block.title(title).title(per_second(scene.rates.warnings)).title_bottom(broker);
    frame.render_widget(Paragraph::new(vec![counts, Line::from(names)]).block(block), area);
}

fn warning(warning: &Warning) -> Span<'static> {
    let name = printable(&warning.local_part);
    match warning.progress {
        Progress::Asked => format!("\u{2026}{name}").yellow(),
        Progress::Written => format!("\u{2713}{name}").green(),
        Progress::GivenUp => format!("\u{2717}{name}").red(),
    }
}

/// The lists, side by side.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let room = usize::from(inside(area).height);
    let addresses = scene.board.status.newest.iter().rev().take(room).map(|one| Line::from(printable(one)));
    let (addresses, happens) = (addresses.collect(), happens(scene, room));
    if area.width < WIDE {
        let [left, right] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(area);
        list(frame, "newest addresses", addresses, left);
        return list(frame, "what happens", happens, right);
    }
    let columns = [Constraint::Fill(3), Constraint::Fill(3), Constraint::Fill(5)];
    let [left, middle, right] = Layout::horizontal(columns).areas(area);
    let domain = &scene.board.domain;
    let warnings = scene.board.spammers.newest.iter().rev().take(room);
    let warnings = warnings.map(|one| Line::from(vec![warning(one), format!("@{}", printable(domain)).into()]));
    list(frame, "newest addresses", addresses, left);
    list(frame, "newest warnings", warnings.collect(), middle);
    list(frame, "what happens", happens, right);
}

/// What the services said, the newest first, without the totals, which stand in the picture.
fn happens(scene: &Scene<'_>, room: usize) -> Vec<Line<'static>> {
    let is_totals = |line: &str| line.starts_with("status: ") && line.contains(" results, ");
    let newest = scene.lines.iter().rev().filter(|line| !is_totals(line)).take(room);
    let style = |line: &str| if line.starts_with("chaos:") { Style::new().red() } else { Style::new() };
    newest.map(|line| Line::styled(without_folder(line), style(line))).collect()
}

/// `who: /folder/file: what` without the folder.
fn without_folder(line: &str) -> String {
    match line.split_once(": ") {
        Some((who, what)) if what.starts_with('/') => format!("{who}: {}", short_name(what)),
        _ => line.to_owned(),
    }
}

fn list(frame: &mut Frame<'_>, title: &'static str, lines: Vec<Line<'static>>, area: Rect) {
    let block = Block::bordered().border_style(Color::DarkGray).title(title.bold());
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_without_the_folder_and_with_all_of_the_name() {
        assert_eq!(without_folder("slow: /tmp/some letter.eml: 3 found"), "slow: some letter.eml: 3 found");
        assert_eq!(without_folder("status: new: ann@apple.com"), "status: new: ann@apple.com");
        if cfg!(unix) {
            let line = printable("slow: /tmp/a\u{1b}b.eml: 3 found");
            assert_eq!(without_folder(&line), "slow: a\\u{1b}b.eml: 3 found");
        }
    }
}
