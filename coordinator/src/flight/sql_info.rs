//! GetSqlInfo: what the server can do, as drivers ask for it. What is not there is said not to be.

use arrow_flight::sql::SqlInfo;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use std::collections::HashMap;
use std::sync::LazyLock;

// Bit positions of the enumerations in FlightSql.proto, and values of those that are not bit sets.
const TRANSACTIONS_NONE: i32 = 0;
const CASE_INSENSITIVE: i32 = 1;
const NULLS_SORTED_HIGH: i32 = 0;
const GROUP_BY_UNRELATED: i32 = 1 << 0;
const GROUP_BY_BEYOND_SELECT: i32 = 1 << 1;
const GRAMMAR_MINIMUM_AND_CORE: i32 = (1 << 0) | (1 << 1);
const GRAMMAR_ANSI92_ENTRY: i32 = 1 << 0;
const OUTER_JOINS_FULL: i32 = 1 << 2;
const SUBQUERIES_ALL: i32 = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 3);
const UNION_AND_UNION_ALL: i32 = (1 << 0) | (1 << 1);
const FORWARD_ONLY: i32 = 1 << 1;
const READ_ONLY_CURSORS: i32 = 1 << 1;
const ISOLATION_NONE: i32 = 0;
/// Longer names are accepted; drivers want a bound.
const NAME_LENGTH_MAX: i64 = 255;

/// All infos; built once.
pub(super) static SQL_INFO: LazyLock<Option<SqlInfoData>> = LazyLock::new(|| match build() {
    Ok(data) => Some(data),
    Err(error) => {
        tracing::error!("the list of SQL infos could not be built: {error}");
        None
    }
});

fn build() -> Result<SqlInfoData, arrow_flight::error::FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Tundra");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "60.1.0");
    info.append(SqlInfo::FlightSqlServerReadOnly, false);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, TRANSACTIONS_NONE);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, true);
    info.append(SqlInfo::SqlDdlTable, true);
    info.append(SqlInfo::SqlIdentifierCase, CASE_INSENSITIVE);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlQuotedIdentifierCase, CASE_INSENSITIVE);
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(SqlInfo::SqlNullOrdering, NULLS_SORTED_HIGH);
    info.append(
        SqlInfo::SqlKeywords,
        texts(&["EXTERNAL", "LOCATION", "STORED", "PARQUET", "REFRESH", "DESCRIBE"]),
    );
    info.append(
        SqlInfo::SqlNumericFunctions,
        texts(&["ABS", "CEILING", "FLOOR", "MOD", "POWER", "ROUND", "SQRT"]),
    );
    info.append(
        SqlInfo::SqlStringFunctions,
        texts(&["CONCAT", "LENGTH", "LOWER", "SUBSTRING", "TRIM", "UPPER"]),
    );
    info.append(SqlInfo::SqlSystemFunctions, texts(&[]));
    info.append(SqlInfo::SqlDatetimeFunctions, texts(&["EXTRACT", "DATE_TRUNC"]));
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "");
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlNullPlusNullIsNull, true);
    info.append(SqlInfo::SqlSupportsConvert, HashMap::<i32, Vec<i32>>::new());
    info.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    info.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    info.append(SqlInfo::SqlSupportedGroupBy, GROUP_BY_UNRELATED | GROUP_BY_BEYOND_SELECT);
    info.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    info.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    info.append(SqlInfo::SqlSupportedGrammar, GRAMMAR_MINIMUM_AND_CORE);
    info.append(SqlInfo::SqlAnsi92SupportedLevel, GRAMMAR_ANSI92_ENTRY);
    info.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    info.append(SqlInfo::SqlOuterJoinsSupportLevel, OUTER_JOINS_FULL);
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlProcedureTerm, "procedure");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.append(SqlInfo::SqlSchemasSupportedActions, 0_i32);
    info.append(SqlInfo::SqlCatalogsSupportedActions, 0_i32);
    info.append(SqlInfo::SqlSupportedPositionedCommands, 0_i32);
    info.append(SqlInfo::SqlSelectForUpdateSupported, false);
    info.append(SqlInfo::SqlStoredProceduresSupported, false);
    info.append(SqlInfo::SqlSupportedSubqueries, SUBQUERIES_ALL);
    info.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    info.append(SqlInfo::SqlSupportedUnions, UNION_AND_UNION_ALL);
    // 0 stands for no limit, or none that is known.
    for unlimited in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatementLength,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        info.append(unlimited, 0_i64);
    }
    info.append(SqlInfo::SqlMaxColumnNameLength, NAME_LENGTH_MAX);
    info.append(SqlInfo::SqlDbSchemaNameLength, NAME_LENGTH_MAX);
    info.append(SqlInfo::SqlMaxCatalogNameLength, NAME_LENGTH_MAX);
    info.append(SqlInfo::SqlMaxTableNameLength, NAME_LENGTH_MAX);
    info.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
    info.append(SqlInfo::SqlDefaultTransactionIsolation, ISOLATION_NONE);
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, 0_i32);
    info.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    info.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    info.append(SqlInfo::SqlSupportedResultSetTypes, FORWARD_ONLY);
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0_i32);
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, READ_ONLY_CURSORS);
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0_i32);
    info.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0_i32);
    info.append(SqlInfo::SqlBatchUpdatesSupported, true);
    info.append(SqlInfo::SqlSavepointsSupported, false);
    info.append(SqlInfo::SqlNamedParametersSupported, false);
    info.append(SqlInfo::SqlLocatorsUpdateCopy, false);
    info.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
    info.build()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_some() {
        let data = SQL_INFO.as_ref().unwrap();
        assert!(data.record_batch([]).unwrap().num_rows() > 80);
        let some = data.record_batch([SqlInfo::FlightSqlServerTransaction as u32]).unwrap();
        assert_eq!(some.num_rows(), 1);
    }
}
