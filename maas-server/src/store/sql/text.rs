//! SQL text with numbered placeholders, for queries whose conditions vary.

use std::borrow::Cow;

use super::Fault;
use super::db::{Pool, Query, Row, Value};

/// A query in the making. The text comes from this program only, every value is bound.
pub(super) struct Text<'q> {
    sql: String,
    values: Vec<Value<'q>>,
    conditions: usize,
}

impl<'q> Text<'q> {
    /// Begins with `SELECT … FROM …`.
    pub(super) fn new(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new(), conditions: 0 }
    }

    /// Adds text.
    pub(super) fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a placeholder for `value`.
    pub(super) fn bind(&mut self, value: impl Into<Value<'q>>) -> &mut Self {
        self.values.push(value.into());
        self.sql.push('$');
        self.sql.push_str(&self.values.len().to_string());
        self
    }

    /// Begins another condition; all must hold.
    pub(super) fn and(&mut self) -> &mut Self {
        self.sql.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.conditions += 1;
        self
    }

    /// Adds `(v1, v2, …)`.
    pub(super) fn list<T: Into<Value<'q>>>(&mut self, values: impl Iterator<Item = T>) {
        let mut separator = '(';
        for value in values {
            self.sql.push(separator);
            self.bind(value);
            separator = ',';
        }
        self.sql.push(')');
    }

    /// Adds the condition that `column` (written `… IN`) is among the values, unless there are
    /// none.
    pub(super) fn among<T: Into<Value<'q>>>(
        &mut self,
        column_in: &'static str,
        values: impl ExactSizeIterator<Item = T>,
    ) {
        if values.len() > 0 {
            self.and().push(column_in);
            self.list(values);
        }
    }

    /// The query.
    pub(super) fn end(self) -> Query<'q> {
        Query::composed(self.sql, self.values)
    }

    /// What `read` makes of every row.
    pub(super) async fn fetch<T: Send + 'static>(
        self,
        pool: &Pool,
        read: fn(&Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.end().fetch_many(pool, read).await
    }
}

/// A text as both databases can store it: PostgreSQL knows no zero byte.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A text as it is searched for in any case.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    let text = clean(text);
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

/// A count or number as the database keeps it; what is too large names nothing there.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
