//! Rows in relocatable pages: the state of joins, aggregates and sorts.
