//! Draws the picture: all of it where there is room, a few lines where there is not.

use super::meter::Rates;
use super::{compact, flow, lists};
use crate::screen::printable;
use crate::up::board::Board;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::path::is_separator;

/// From which size on the whole picture fits.
const WIDTH_MIN: u16 = 76;
const HEIGHT_MIN: u16 = 21;

/// What is drawn.
pub(super) struct Scene<'s> {
    pub(super) board: &'s Board,
    pub(super) rates: Rates,
    /// What the services said, the newest last.
    pub(super) lines: &'s [String],
    /// A file name that is being entered.
    pub(super) input: Option<&'s str>,
    pub(super) chaos: bool,
}

pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        return compact::draw(frame, scene, area);
    }
    let chaos = if scene.chaos { 2 } else { 0 };
    let rows = [1, chaos, flow::HEIGHT, lists::SPAMMERS_HEIGHT].map(Constraint::Length);
    let rows = rows.into_iter().chain([Constraint::Fill(1), Constraint::Length(1)]);
    let [head, account, services, spammers, lists, foot] = Layout::vertical(rows).areas(area);
    frame.render_widget(headline(scene), head);
    frame.render_widget(Paragraph::new(chaos_lines(scene.board).to_vec()), account);
    flow::draw(frame, scene, services);
    lists::spammers(frame, scene, spammers);
    lists::draw(frame, scene, lists);
    frame.render_widget(footer(scene), foot);
}

fn headline(scene: &Scene<'_>) -> Line<'static> {
    let Board { status, spammers, domain, .. } = scene.board;
    let mut spans = vec![" email cruncher ".bold().reversed()];
    let mut add = |number: String, what: String| spans.extend(["  ".into(), number.bold(), format!(" {what}").into()]);
    add(status.addresses.to_string(), "addresses".to_owned());
    add(status.in_domain.to_string(), format!("in {}", printable(domain)));
    add(spammers.written.to_string(), "warned".to_owned());
    add(format!("{:.1}", scene.rates.consumed()), "messages/s".to_owned());
    Line::from(spans)
}

/// What chaos did, and that it changed nothing.
pub(super) fn chaos_lines(board: &Board) -> [Line<'static>; 2] {
    let Board { files, fast, slow, status, .. } = board;
    let killed = board.kills();
    let redelivered = fast.redelivered + slow.redelivered;
    let all = fast.crunched == *files && slow.crunched == *files && fast.owed + slow.owed == 0;
    let word = if all { "  nothing lost".green().bold() } else { "  at work".yellow() };
    [
        Line::from(vec![
            " chaos ".on_red().white().bold(),
            format!("  {killed} killed  {redelivered} files redelivered  ").into(),
            format!("{} results twice, counted once", status.twice).into(),
        ]),
        Line::from(vec![
            format!("         {files} files sent = {} crunched fast, {} slow", fast.crunched, slow.crunched).into(),
            word,
        ]),
    ]
}

/// The keys, or the file name that is being entered.
pub(super) fn footer(scene: &Scene<'_>) -> Line<'static> {
    if let Some(input) = scene.input {
        let typed = printable(input);
        return Line::from(vec![
            " file: ".bold(),
            typed.into(),
            "\u{2588}".into(),
            "  Enter sends, Esc leaves".dark_gray(),
        ]);
    }
    let mut spans = Vec::new();
    let mut add = |key: &'static str, does: &'static str| {
        spans.extend([Span::from(" "), key.bold().reversed(), Span::from(does)]);
    };
    if scene.board.ending {
        add(" q ", " leave at once ");
        spans.push(" finishing what is outstanding".yellow());
        return Line::from(spans);
    }
    add(" q ", " quit ");
    add(" f ", " crunch a file ");
    add(" l ", " all files again ");
    if scene.chaos {
        add(" c ", " kill a cruncher ");
    }
    Line::from(spans)
}

/// A bar of `width` cells, filled as `part` is of `whole`.
pub(super) fn bar(part: u64, whole: u64, width: u16, color: Color) -> Line<'static> {
    let width = usize::from(width);
    let filled = match whole {
        0 => 0,
        // Something is never nothing, and all is not less than all.
        whole => (part.min(whole) as usize * width).div_ceil(whole as usize).min(width),
    };
    let filled = if part < whole && filled == width { width.saturating_sub(1) } else { filled };
    Line::from(vec![
        Span::styled("\u{2588}".repeat(filled), Style::new().fg(color)),
        Span::styled("\u{2591}".repeat(width - filled), Style::new().fg(Color::DarkGray)),
    ])
}

/// The name of a file without its folder.
pub(super) fn short_name(file: &str) -> String {
    printable(file.rsplit(is_separator).next().unwrap_or(file))
}

/// The inside of a box.
pub(super) fn inside(area: Rect) -> Rect {
    ratatui::widgets::Block::bordered().inner(area)
}

/// Messages per second, if any, for the right end of a box's upper edge.
pub(super) fn per_second(rate: f64) -> Line<'static> {
    let text = if rate < 0.05 { String::new() } else { format!("{rate:.1}/s") };
    Line::from(text.cyan()).right_aligned()
}
