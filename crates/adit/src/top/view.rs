//! The screen, drawn from the state alone.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table};

use super::model::{Event, Source, Worker};
use super::state::{SORTS, Top};
use super::words::{bars, clock, count, harmless, hashrate, percent, scaled, span};

/// Narrower than this, tables leave columns out.
const WIDE: u16 = 110;
/// So wide is the table of shares without rates and reasons.
const SHARES_NARROW: u16 = 37;
/// Minutes of a worker's line of bars.
const MINUTES: usize = 20;

const GOOD: Style = Style::new().fg(Color::Green);
const FAIR: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red);
const DIM: Style = Style::new().fg(Color::DarkGray);

/// Draws it, and notes how many workers there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, top: &mut Top) {
    let area = frame.area();
    let alarms = alarms(top);
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let routes = rows(top.status.routes.len().clamp(1, 6));
    let figures = (routes + 5).max(11);
    let sources = rows(top.status.sources.len().clamp(1, 6)) + 3;
    // What is least needed goes first where there is little room.
    let room = area.height;
    let events = if room >= figures + sources + 20 {
        8
    } else if room >= 24 {
        5
    } else {
        0
    };
    let [head, warned, first, second, third, last, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows(alarms.len()).min(4)),
        Constraint::Length(if room >= figures + sources + 14 { figures } else { 0 }),
        Constraint::Length(sources),
        Constraint::Min(3),
        Constraint::Length(events),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head_line(top)), head);
    frame.render_widget(Paragraph::new(alarms), warned);
    if first.height > 0 {
        let right = if first.width >= WIDE { Constraint::Fill(1) } else { Constraint::Length(SHARES_NARROW) };
        let [left, right] = Layout::horizontal([Constraint::Fill(1), right]).areas(first);
        draw_hashrate(frame, top, left);
        frame.render_widget(shares(top, right.width > SHARES_NARROW), right);
    }
    frame.render_widget(sources_table(&top.status.sources, second.width >= WIDE), second);
    draw_workers(frame, top, third);
    if last.height > 0 {
        let lines = usize::from(last.height.saturating_sub(2));
        let shown = top.events.iter().rev().take(lines).map(event_line).collect::<Vec<_>>();
        frame.render_widget(Paragraph::new(shown).block(Block::bordered().title("Events")), last);
    }
    frame.render_widget(Paragraph::new(foot_line(top)), foot);
}

fn head_line(top: &Top) -> Line<'static> {
    let mut line =
        vec![Span::from(format!("Adit {} ", top.status.version)).bold(), Span::from(top.address.clone())];
    if let Some(trouble) = &top.trouble {
        line.push(Span::styled(format!("  no answer: {}", harmless(trouble)), BAD));
        if top.seen {
            line.push(Span::styled("  (what follows is old)", DIM));
        }
        return line.into();
    }
    if !top.seen {
        line.push(Span::styled("  asking...", DIM));
        return line.into();
    }
    line.push(Span::from(format!("  up {}  ", span(top.status.uptime_seconds))));
    line.push(match top.status.readiness.ready {
        true => Span::styled("ready", GOOD),
        false => {
            Span::styled(format!("not ready: {}", harmless(&top.status.readiness.reasons.join("; "))), BAD)
        }
    });
    if top.status.dev_mode {
        line.push(Span::styled("  development pool: nobody is paid", FAIR));
    }
    line.into()
}

fn alarms(top: &Top) -> Vec<Line<'static>> {
    let holding = top.status.alarms.iter().filter(|alarm| alarm.active);
    let line = |alarm: &super::model::Alarm| {
        let of =
            if alarm.subject.is_empty() { String::new() } else { format!(" ({})", harmless(&alarm.subject)) };
        let name = Span::styled(format!("! {}{of}: ", alarm.name), BAD.add_modifier(Modifier::BOLD));
        Line::from(vec![name, Span::from(harmless(&alarm.detail))])
    };
    holding.map(line).collect()
}

fn draw_hashrate(frame: &mut Frame<'_>, top: &Top, area: Rect) {
    let total = top.total.back().copied().unwrap_or_default();
    let connected: u64 = top.status.listeners.iter().map(|listener| listener.miners.connected).sum();
    let title = format!("Hashrate {}, {} connections", hashrate(total), count(connected));
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let routes = u16::try_from(top.status.routes.len().min(6)).unwrap_or(6);
    let [chart, lines] = Layout::vertical([Constraint::Fill(1), Constraint::Length(routes)]).areas(inner);
    let samples = top.total.iter().rev().take(usize::from(chart.width)).rev();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bars of a screen")]
    let samples: Vec<u64> =
        samples.map(|rate| (rate / 1e3).max(0.0) as u64 + u64::from(*rate > 0.0)).collect();
    frame.render_widget(Sparkline::default().data(&samples).style(Style::new().fg(Color::Cyan)), chart);
    let room = usize::from(lines.width).saturating_sub(60).max(8);
    let line = |route: &super::model::Route| {
        let samples: Vec<f64> = top
            .by_route
            .get(&route.name)
            .map(|samples| samples.iter().copied().collect())
            .unwrap_or_default();
        let active = match &route.active {
            Some(source) => Span::styled(format!("{:<16}", harmless(source)), GOOD),
            None => Span::styled(format!("{:<16}", "no source"), BAD),
        };
        Line::from(vec![
            Span::from(format!(
                "{:<14} {:>11} {:>6} miners -> ",
                harmless(&route.name),
                hashrate(route.hashrate_hs),
                route.miners
            )),
            active,
            Span::styled(bars(&samples, room), Style::new().fg(Color::Cyan)),
        ])
    };
    frame
        .render_widget(Paragraph::new(top.status.routes.iter().take(6).map(line).collect::<Vec<_>>()), lines);
}

fn shares(top: &Top, wide: bool) -> Table<'static> {
    let books = &top.status.books;
    let why = |reasons: &std::collections::BTreeMap<String, u64>| {
        let mut most: Vec<_> = reasons.iter().filter(|(_, count)| **count > 0).collect();
        most.sort_by(|a, b| b.1.cmp(a.1));
        most.iter().take(2).map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
    };
    let row = |word: &'static str, number: u64, rate: Option<f64>, detail: String, style: Style| {
        let mut cells = vec![
            Cell::from(word),
            Cell::from(format!("{:>12}", count(number))),
            Cell::from(format!("{:>9}", percent(number, books.submitted))),
        ];
        if wide {
            cells.push(Cell::from(rate.map(|rate| format!("{rate:>8.1}/s")).unwrap_or_default()));
            cells.push(Cell::from(detail));
        }
        Row::new(cells).style(if number > 0 { style } else { DIM })
    };
    let plain = Style::new();
    let rows = [
        row("submitted", books.submitted, Some(top.rate(|b| b.submitted)), String::new(), plain),
        row("acknowledged", books.acknowledged, Some(top.rate(|b| b.acknowledged)), String::new(), GOOD),
        row("local", books.local, Some(top.rate(|b| b.local)), String::new(), plain),
        row("pending", books.pending, None, String::new(), plain),
        row("held", books.held, None, String::new(), plain),
        row(
            "rejected",
            books.rejected_total,
            Some(top.rate(|b| b.rejected_total)),
            why(&books.rejected),
            FAIR,
        ),
        row("refused", books.refused_total, Some(top.rate(|b| b.refused_total)), why(&books.refused), BAD),
        row("unsent", books.unsent_total, Some(top.rate(|b| b.unsent_total)), why(&books.unsent), BAD),
        row("unknown", books.unknown, None, String::new(), FAIR),
    ];
    let mut widths: Vec<_> = [12, 12, 9].map(Constraint::Length).into();
    if wide {
        widths.extend([Constraint::Length(10), Constraint::Fill(1)]);
    }
    let title = match books.blocks_found {
        0 => "Shares".to_owned(),
        found => format!("Shares, {} blocks", count(found)),
    };
    Table::new(rows, widths).block(Block::bordered().title(title))
}

fn sources_table(sources: &[Source], wide: bool) -> Table<'static> {
    let row = |source: &Source| {
        let style = match source.state.as_str() {
            "ready" => GOOD,
            "off" | "leaving" | "removed" => DIM,
            _ => FAIR,
        };
        let declaration = source.declaration.as_ref().map(|declaration| format!(" ({})", declaration.state));
        let state = format!("{}{}", source.state, declaration.unwrap_or_default());
        let why = if source.state == "ready" { None } else { source.last_down.as_deref() };
        let mut cells = vec![
            Cell::from(harmless(&source.name)),
            Cell::from(state).style(style),
            Cell::from(format!("{:>7}", span(source.state_since_seconds))),
            Cell::from(format!("{:>12}", count(source.books.acknowledged))),
            Cell::from(format!("{:>9}", count(source.books.refused_total))),
        ];
        if wide {
            cells.push(Cell::from(source.kind.clone()));
            cells.push(Cell::from(format!("{:>8}", source.channels)));
            cells.push(Cell::from(format!("{:>6}", source.open_shares)));
            cells.push(Cell::from(format!("{:>7}", source.job_age_seconds.map(span).unwrap_or_default())));
        }
        cells.push(Cell::from(harmless(why.unwrap_or_default())).style(BAD));
        Row::new(cells)
    };
    let mut names = vec!["source", "state", "  since", "acknowledged", "  refused"];
    let mut widths: Vec<_> = [14, if wide { 26 } else { 14 }, 7, 12, 9].map(Constraint::Length).into();
    if wide {
        names.extend(["kind", "channels", "  open", "    job"]);
        widths.extend([8, 8, 6, 7].map(Constraint::Length));
    }
    names.push("why not");
    widths.push(Constraint::Fill(1));
    Table::new(sources.iter().map(row), widths)
        .header(Row::new(names).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title("Sources"))
}

fn draw_workers(frame: &mut Frame<'_>, top: &mut Top, area: Rect) {
    // A frame and the header.
    top.page = usize::from(area.height.saturating_sub(3)).max(1);
    let (_, sort) = SORTS[top.sort];
    let first = if top.workers.workers.is_empty() { 0 } else { top.offset + 1 };
    let last = top.offset + top.workers.workers.len().min(top.page);
    let mut title = vec![Span::from(format!(
        "Workers {first} to {last} of {}, by {sort} {}",
        count(top.workers.total as u64),
        if top.descending { "▼" } else { "▲" }
    ))];
    if top.searching || !top.search.is_empty() {
        let cursor = if top.searching { "▏" } else { "" };
        title.push(Span::styled(format!(" /{}{cursor}", harmless(&top.search)), FAIR));
    }
    let wide = area.width >= WIDE;
    let row = |worker: &Worker| {
        let last = worker.last_share_seconds;
        let style = match last {
            _ if worker.connections == 0 => DIM,
            Some(age) if age < 300.0 => Style::new(),
            _ => FAIR,
        };
        let mut cells = vec![
            Cell::from(harmless(&worker.name)),
            Cell::from(format!("{:>11}", hashrate(worker.hashrate_hs))),
            Cell::from(format!("{:>6}", last.map_or_else(|| "-".to_owned(), span))),
            Cell::from(format!("{:>12}", count(worker.books.acknowledged))),
            Cell::from(format!("{:>8}", count(worker.books.rejected_total))),
            Cell::from(format!("{:>5}", worker.connections)),
        ];
        if wide {
            let source = worker.source.as_deref().unwrap_or("-");
            cells.push(Cell::from(bars(&worker.minutes, MINUTES)).style(Style::new().fg(Color::Cyan)));
            cells.push(Cell::from(format!("{:>7}", scaled(worker.difficulty))));
            cells.push(Cell::from(harmless(&format!("{} {} -> {source}", worker.protocol, worker.route))));
        }
        Row::new(cells).style(style)
    };
    let mut names = vec!["worker", "   hashrate", "  last", "acknowledged", "rejected", "conns"];
    let mut widths: Vec<_> = [11, 6, 12, 8, 5].map(Constraint::Length).into();
    widths.insert(0, Constraint::Fill(2));
    if wide {
        names.extend(["last 20 minutes", "   diff", "where"]);
        widths.extend([Constraint::Length(20), Constraint::Length(7), Constraint::Fill(1)]);
    }
    let shown = top.workers.workers.iter().take(top.page).map(row);
    let table = Table::new(shown, widths)
        .header(Row::new(names).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(Line::from(title)));
    frame.render_widget(table, area);
}

fn event_line(event: &Event) -> Line<'static> {
    let style = match event.level.as_str() {
        "error" => BAD,
        "warning" => FAIR,
        _ => Style::new(),
    };
    let of = if event.subject.is_empty() { String::new() } else { format!(" {}", harmless(&event.subject)) };
    Line::from(vec![
        Span::styled(clock(event.unix_ms), DIM),
        Span::styled(format!(" {}{of}: ", event.kind), style),
        Span::from(harmless(&event.text)),
    ])
}

fn foot_line(top: &Top) -> Line<'static> {
    let keys: &[(&str, &str)] = match top.searching {
        true => &[("Enter", "done"), ("Esc", "no search")],
        false => {
            &[("q", "quit"), ("s", "sort"), ("r", "reverse"), ("/", "search"), ("↑↓ PgUp PgDn", "scroll")]
        }
    };
    let spans = keys.iter().flat_map(|(key, what)| {
        [Span::from(format!(" {key} ")).reversed(), Span::from(format!(" {what}  "))]
    });
    Line::from(spans.collect::<Vec<_>>())
}
