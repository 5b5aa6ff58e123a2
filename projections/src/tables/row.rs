//! A row on its way out of a table, read column by column in the order in which they were selected.

use std::fmt::Display;
use std::str::FromStr;

use holdfast_domain::{Currency, Money, Timestamp};
use holdfast_store::Position;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite};

use super::{Table, TableError};

/// One row, and how far it has been read.
pub(crate) struct Row {
    inner: SqliteRow,
    table: &'static Table,
    at: usize,
}

impl Row {
    pub(crate) fn new(inner: SqliteRow, table: &'static Table) -> Self {
        Self { inner, table, at: 0 }
    }

    fn next<'r, T: Decode<'r, Sqlite>>(&'r mut self) -> Result<T, TableError> {
        let at = self.at;
        self.at += 1;
        self.inner.try_get_unchecked(at).map_err(|error| self.bad(error))
    }

    /// What cannot be read, named by table and column.
    fn bad(&self, why: impl Display) -> TableError {
        let column = self.table.columns.get(self.at - 1).map_or("(computed)", |c| c.name);
        TableError::Unreadable { table: self.table.name, column, why: why.to_string() }
    }

    pub(crate) fn text(&mut self) -> Result<String, TableError> {
        self.next()
    }

    pub(crate) fn opt_text(&mut self) -> Result<Option<String>, TableError> {
        self.next()
    }

    /// A value that is written by its `Display`.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&mut self) -> Result<T, TableError> {
        let text: String = self.next()?;
        text.parse().map_err(|error| self.bad(error))
    }

    pub(crate) fn opt_parse<T: FromStr<Err: Display>>(&mut self) -> Result<Option<T>, TableError> {
        let text: Option<String> = self.next()?;
        text.map(|text| text.parse()).transpose().map_err(|error| self.bad(error))
    }

    pub(crate) fn int<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, TableError> {
        let number: i64 = self.next()?;
        number.try_into().map_err(|error| self.bad(error))
    }

    pub(crate) fn opt_int<T: TryFrom<i64, Error: Display>>(
        &mut self,
    ) -> Result<Option<T>, TableError> {
        let number: Option<i64> = self.next()?;
        number.map(T::try_from).transpose().map_err(|error| self.bad(error))
    }

    pub(crate) fn real(&mut self) -> Result<f64, TableError> {
        self.next()
    }

    pub(crate) fn opt_real(&mut self) -> Result<Option<f64>, TableError> {
        self.next()
    }

    pub(crate) fn flag(&mut self) -> Result<bool, TableError> {
        self.next::<i64>().map(|number| number != 0)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, TableError> {
        self.parse()
    }

    pub(crate) fn opt_time(&mut self) -> Result<Option<Timestamp>, TableError> {
        self.opt_parse()
    }

    pub(crate) fn position(&mut self) -> Result<Position, TableError> {
        self.int().map(Position)
    }

    pub(crate) fn currency(&mut self) -> Result<Currency, TableError> {
        let code: String = self.next()?;
        Currency::new(&code).map_err(|error| self.bad(error))
    }

    /// An amount and, in the next column, its currency.
    pub(crate) fn money(&mut self) -> Result<Money, TableError> {
        let amount_minor = self.int()?;
        Ok(Money { amount_minor, currency: self.currency()? })
    }

    pub(crate) fn opt_money(&mut self) -> Result<Option<Money>, TableError> {
        let amount_minor: Option<i64> = self.opt_int()?;
        let code: Option<String> = self.next()?;
        let Some((amount_minor, code)) = amount_minor.zip(code) else { return Ok(None) };
        let currency = Currency::new(&code).map_err(|error| self.bad(error))?;
        Ok(Some(Money { amount_minor, currency }))
    }

    /// A value of one of our enums, by its word.
    pub(crate) fn word<T: DeserializeOwned>(&mut self) -> Result<T, TableError> {
        let text: String = self.next()?;
        serde_json::from_value(serde_json::Value::String(text)).map_err(|error| self.bad(error))
    }

    pub(crate) fn opt_word<T: DeserializeOwned>(&mut self) -> Result<Option<T>, TableError> {
        let Some(text) = self.next::<Option<String>>()? else { return Ok(None) };
        let word = serde_json::from_value(serde_json::Value::String(text));
        word.map(Some).map_err(|error| self.bad(error))
    }

    pub(crate) fn opt_flag(&mut self) -> Result<Option<bool>, TableError> {
        Ok(self.next::<Option<i64>>()?.map(|number| number != 0))
    }

    pub(crate) fn opt_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, TableError> {
        let text: Option<String> = self.next()?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| self.bad(error))
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, TableError> {
        let text: String = self.next()?;
        serde_json::from_str(&text).map_err(|error| self.bad(error))
    }
}
