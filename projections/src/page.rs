//! Lists are read a page at a time, forwards, from an opaque cursor.

use crate::QueryError;

/// The most rows of one page.
pub const MOST_ROWS: usize = 100;
/// How many rows a page has when nobody says.
pub const USUAL_ROWS: usize = 20;

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// At most that many rows; brought into 1 to [`MOST_ROWS`].
    pub first: usize,
    /// Behind the row with this cursor; from the beginning when absent.
    pub after: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { first: USUAL_ROWS, after: None }
    }
}

impl PageRequest {
    /// How many rows to ask for: one more than are handed out tells whether more follow.
    pub(crate) fn limit(&self) -> i64 {
        i64::try_from(self.size() + 1).unwrap_or(i64::MAX)
    }

    pub(crate) fn size(&self) -> usize {
        self.first.clamp(1, MOST_ROWS)
    }

    /// The number that a cursor of a numbered list stands for.
    pub(crate) fn after_number(&self) -> Result<Option<i64>, QueryError> {
        let Some(cursor) = &self.after else { return Ok(None) };
        let number = cursor.parse::<i64>().ok().filter(|number| *number >= 0);
        number.map(Some).ok_or_else(|| QueryError::Cursor(cursor.chars().take(80).collect()))
    }
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// Each row with the cursor behind which the rest follows.
    pub rows: Vec<(String, T)>,
    /// Whether more follow.
    pub has_next: bool,
    /// Whether others came before: true of every page that was asked for with a cursor.
    pub has_previous: bool,
}

impl<T> Page<T> {
    /// From the rows that a query with [`PageRequest::limit`] found.
    pub(crate) fn of(mut rows: Vec<(String, T)>, asked: &PageRequest) -> Self {
        let has_next = rows.len() > asked.size();
        rows.truncate(asked.size());
        Self { rows, has_next, has_previous: asked.after.is_some() }
    }
}
