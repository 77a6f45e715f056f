//! `GET /api/v1/history`: what the page's charts are drawn from.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::answer::{json, problem};
use super::pages::Pages;
use super::query::BadQuery;
use crate::events::unix_ms;
use crate::history::HistoryQuery;

/// Where nothing else is asked for: the last hour, at its finest.
const SECONDS: u64 = 3_600;
const POINTS: usize = 360;

/// What may be asked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    series: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    points: Option<usize>,
}

pub(super) async fn history(
    State(pages): State<Arc<Pages>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Some(history) = pages.history.clone() else {
        return problem(StatusCode::NOT_FOUND, "not_found", "this process keeps no history");
    };
    let now = unix_ms() / 1_000;
    let read = asked.map_err(BadQuery::from).and_then(|Query(asked)| asked.read(now));
    let query = match read {
        Ok(query) => query,
        Err(bad) => return bad.response(),
    };
    // The disk may take its time: others are served meanwhile.
    match tokio::task::spawn_blocking(move || history.query(&query, now)).await {
        Ok(Ok(answer)) => json(StatusCode::OK, &answer),
        Ok(Err(error)) => {
            let message = format!("the history cannot be read: {error}");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", &message)
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", "reading the history panicked"),
    }
}

impl Asked {
    fn read(self, now: u64) -> Result<HistoryQuery, BadQuery> {
        let to = self.to.unwrap_or(now);
        let from = self.from.unwrap_or(to.saturating_sub(SECONDS));
        if from > to {
            return Err(BadQuery(format!("from: expected a time before to ({to}), found {from}")));
        }
        let names = self.series.unwrap_or_default();
        let series = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(HistoryQuery { series, from, to, points: self.points.unwrap_or(POINTS) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default_and_a_range_goes_forwards() {
        let read = |asked: Asked| asked.read(10_000);
        let hour = HistoryQuery { series: vec![], from: 6_400, to: 10_000, points: 360 };
        assert_eq!(read(Asked::default()), Ok(hour));
        let asked = Asked {
            series: Some("total,,route:main".into()),
            from: Some(100),
            to: Some(200),
            points: Some(5),
        };
        let series = vec!["total".to_owned(), "route:main".to_owned()];
        assert_eq!(read(asked), Ok(HistoryQuery { series, from: 100, to: 200, points: 5 }));
        let backwards = Asked { from: Some(20), to: Some(10), ..Asked::default() };
        assert!(read(backwards).unwrap_err().0.contains("found 20"));
    }
}
