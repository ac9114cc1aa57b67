//! GetXdbcTypeInfo: the types that a column can have. Some clients show no table without it.

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use std::sync::LazyLock;

/// All types; built once.
pub(super) static TYPE_INFO: LazyLock<Option<XdbcTypeInfoData>> = LazyLock::new(|| {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    types().into_iter().for_each(|info| builder.append(info));
    match builder.build() {
        Ok(data) => Some(data),
        Err(error) => {
            tracing::error!("the list of types could not be built: {error}");
            None
        }
    }
});

/// Name, type, the same for SQL_DATA_TYPE, digits or bytes at most.
fn plain(name: &str, data_type: XdbcDataType, column_size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.into(),
        data_type,
        sql_data_type: data_type,
        column_size: Some(column_size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        local_type_name: Some(name.into()),
        ..XdbcTypeInfo::default()
    }
}

fn number(name: &str, data_type: XdbcDataType, digits: i32, radix: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(radix),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        ..plain(name, data_type, digits)
    }
}

fn quoted(info: XdbcTypeInfo, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo { literal_prefix: Some(prefix.into()), literal_suffix: Some("'".into()), ..info }
}

fn time(name: &str, data_type: XdbcDataType, size: i32, subcode: XdbcDatetimeSubcode) -> XdbcTypeInfo {
    let info = XdbcTypeInfo {
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..plain(name, data_type, size)
    };
    quoted(info, &format!("{name} '"))
}

fn types() -> Vec<XdbcTypeInfo> {
    use XdbcDataType::*;
    let decimal = XdbcTypeInfo {
        create_params: Some(vec!["precision".into(), "scale".into()]),
        maximum_scale: Some(38),
        fixed_prec_scale: false,
        ..number("DECIMAL", XdbcDecimal, 38, 10)
    };
    let text = XdbcTypeInfo { case_sensitive: true, ..plain("VARCHAR", XdbcVarchar, i32::MAX) };
    vec![
        plain("BOOLEAN", XdbcBit, 1),
        number("TINYINT", XdbcTinyint, 3, 10),
        number("SMALLINT", XdbcSmallint, 5, 10),
        number("INTEGER", XdbcInteger, 10, 10),
        number("BIGINT", XdbcBigint, 19, 10),
        decimal,
        number("REAL", XdbcReal, 24, 2),
        number("DOUBLE", XdbcDouble, 53, 2),
        // 1 is the code of dates; the crate calls it by its other meaning.
        time("DATE", XdbcDate, 10, XdbcDatetimeSubcode::XdbcSubcodeYear),
        time("TIME", XdbcTime, 15, XdbcDatetimeSubcode::XdbcSubcodeTime),
        time("TIMESTAMP", XdbcTimestamp, 26, XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        quoted(plain("INTERVAL", XdbcInterval, 49), "INTERVAL '"),
        quoted(text, "'"),
        quoted(plain("BLOB", XdbcVarbinary, i32::MAX), "'\\x"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_one() {
        let data = TYPE_INFO.as_ref().unwrap();
        assert_eq!(data.record_batch(None).unwrap().num_rows(), types().len());
        assert_eq!(data.record_batch(XdbcDataType::XdbcBigint as i32).unwrap().num_rows(), 1);
    }
}
