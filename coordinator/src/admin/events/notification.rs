//! Notifications of object stores, whatever they are wrapped in: which objects have changed.
//!
//! - Amazon S3, "Event message structure": `Records[].s3`, keys encoded as in forms; MinIO's webhooks are the same.
//! - Amazon SNS, "HTTP/HTTPS notification JSON format": the above as text in `Message`.
//! - Amazon S3, "EventBridge event message structure": `detail`, keys as they are.
//! - CloudEvents 1.0 in structured mode: any of these in `data`.

use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// An object that was made, replaced or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) bucket: String,
    pub(super) key: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) changes: Vec<Change>,
    /// Records that tell of something else.
    pub(super) ignored: u64,
    /// What a person is to do.
    pub(super) message: Option<String>,
}

/// Notifications in notifications that are followed.
const DEPTH: usize = 4;
/// Of a URL no more is shown, in characters.
const SHOWN: usize = 2_000;

pub(super) fn parse(body: &[u8]) -> Result<Notification> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
    notification(&value, "the body", DEPTH)
}

fn wrong(why: String) -> Error {
    Error::Statement(format!("the notification is not understood: {why}"))
}

fn notification(value: &Value, place: &str, depth: usize) -> Result<Notification> {
    let object = value.as_object().ok_or_else(|| unexpected(value, place, "an object"))?;
    if depth == 0 {
        return Err(wrong(format!("{place} is wrapped more than {DEPTH} times")));
    }
    if let Some(records) = object.get("Records") {
        return s3(records);
    }
    if object.contains_key("detail") {
        return event_bridge(object);
    }
    if let Some(kind) = object.get("Type") {
        return sns(object, kind, depth);
    }
    if object.contains_key("specversion") {
        return notification(field(object, "data", place)?, "data", depth - 1);
    }
    // What S3 sends when notifications are switched on.
    if object.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Notification { ignored: 1, ..Notification::default() });
    }
    Err(wrong(format!(
        "{place} has neither Records (S3, MinIO), Type (SNS), detail (EventBridge) nor specversion (CloudEvents)"
    )))
}

fn s3(records: &Value) -> Result<Notification> {
    let records = records.as_array().ok_or_else(|| unexpected(records, "Records", "a list"))?;
    let mut known = Notification::default();
    for (place, record) in records.iter().enumerate() {
        let place = format!("Records[{place}]");
        let record = record.as_object().ok_or_else(|| unexpected(record, &place, "an object"))?;
        let event = text(record, "eventName", &place)?;
        let event = event.strip_prefix("s3:").unwrap_or(event);
        let changes = ["ObjectCreated:", "ObjectRemoved:", "LifecycleExpiration:"];
        if !changes.iter().any(|kind| event.starts_with(kind)) {
            known.ignored += 1;
            continue;
        }
        let (bucket, key) = object_in(record, "s3", &place)?;
        match shard::unescape(&key.replace('+', " ")) {
            Some(key) => known.changes.push(Change { bucket: bucket.into(), key }),
            // No object of that name can be a table's.
            None => known.ignored += 1,
        }
    }
    Ok(known)
}

fn event_bridge(event: &Map<String, Value>) -> Result<Notification> {
    let kind = text(event, "detail-type", "the event")?;
    if !["Object Created", "Object Deleted"].contains(&kind) {
        return Ok(Notification { ignored: 1, ..Notification::default() });
    }
    let (bucket, key) = object_in(event, "detail", "the event")?;
    let change = Change { bucket: bucket.into(), key: key.into() };
    Ok(Notification { changes: vec![change], ..Notification::default() })
}

/// The names of bucket and object in a field.
fn object_in<'a>(record: &'a Map<String, Value>, name: &str, place: &str) -> Result<(&'a str, &'a str)> {
    let (at, inside) = (format!("{place}.{name}"), map(record, name, place)?);
    let bucket = text(map(inside, "bucket", &at)?, "name", &format!("{at}.bucket"))?;
    let key = text(map(inside, "object", &at)?, "key", &format!("{at}.object"))?;
    Ok((bucket, key))
}

fn sns(message: &Map<String, Value>, kind: &Value, depth: usize) -> Result<Notification> {
    let kind = kind.as_str().ok_or_else(|| unexpected(kind, "Type", "a text"))?;
    let shown = |name| -> Result<String> {
        let text = text(message, name, "the message")?;
        Ok(text.chars().take(SHOWN).collect::<String>().escape_debug().to_string())
    };
    let message = match kind {
        "Notification" => {
            let inner = text(message, "Message", "the message")?;
            let inner: Value =
                serde_json::from_str(inner).map_err(|error| wrong(format!("Message is no JSON: {error}")))?;
            return notification(&inner, "Message", depth - 1);
        }
        "SubscriptionConfirmation" => format!(
            "SNS asks whether notifications of {} are wanted here: open this address once to confirm it, or confirm with \
             `aws sns confirm-subscription`: {}",
            shown("TopicArn")?,
            shown("SubscribeURL")?
        ),
        "UnsubscribeConfirmation" => format!("notifications of {} by SNS have ended", shown("TopicArn")?),
        other => {
            let other: String = other.chars().take(100).collect();
            return Err(wrong(format!(
                "Type is '{other}', expected Notification, SubscriptionConfirmation or UnsubscribeConfirmation"
            )));
        }
    };
    Ok(Notification { message: Some(message), ..Notification::default() })
}

fn field<'a>(object: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a Value> {
    object.get(name).ok_or_else(|| wrong(format!("{place} has no {name}")))
}

fn map<'a>(object: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a Map<String, Value>> {
    let value = field(object, name, place)?;
    value.as_object().ok_or_else(|| unexpected(value, &format!("{place}.{name}"), "an object"))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a str> {
    let value = field(object, name, place)?;
    value.as_str().ok_or_else(|| unexpected(value, &format!("{place}.{name}"), "a text"))
}

fn unexpected(value: &Value, place: &str, expected: &str) -> Error {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    wrong(format!("{place} is {found}, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(event: &str, key: &str) -> Value {
        json!({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": event,
            "s3": {"bucket": {"name": "lake", "arn": "arn:aws:s3:::lake"}, "object": {"key": key, "size": 1}}})
    }

    fn parsed(value: &Value) -> Result<Notification> {
        parse(value.to_string().as_bytes())
    }

    fn keys(value: &Value) -> Vec<String> {
        let known = parsed(value).unwrap();
        assert!(known.changes.iter().all(|change| change.bucket == "lake"));
        known.changes.into_iter().map(|change| change.key).collect()
    }

    #[test]
    fn keys_of_odd_characters() {
        for (encoded, key) in [
            ("a/b.parquet", "a/b.parquet"),
            ("red+flower.parquet", "red flower.parquet"),
            ("a%2Bb%25c.parquet", "a+b%c.parquet"),
            ("day%3D2024-01-01/x.parquet", "day=2024-01-01/x.parquet"),
            ("gr%C3%BC%C3%9Fe/%E6%97%A5.parquet", "grüße/日.parquet"),
            ("a%22b%27c%5B1%5D%2A.parquet", "a\"b'c[1]*.parquet"),
            ("100%", "100%"),
        ] {
            assert_eq!(keys(&json!({"Records": [record("ObjectCreated:Put", encoded)]})), [key]);
        }
        let other = parsed(&json!({"Records": [record("ObjectCreated:Put", "%ff")]})).unwrap();
        assert_eq!((other.changes.len(), other.ignored), (0, 1));
    }

    #[test]
    fn what_is_no_change_is_ignored() {
        let all = json!({"Records": [
            record("ObjectCreated:CompleteMultipartUpload", "a"), record("ObjectRemoved:DeleteMarkerCreated", "b"),
            record("LifecycleExpiration:Delete", "c"), record("s3:ObjectCreated:Put", "d"),
            record("s3:ObjectAccessed:Get", "e"), record("ObjectTagging:Put", "f"),
        ]});
        assert_eq!(keys(&all), ["a", "b", "c", "d"]);
        assert_eq!(parsed(&all).unwrap().ignored, 2);
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "lake"});
        assert_eq!(parsed(&test).unwrap().ignored, 1);
        assert_eq!(parsed(&json!({"Records": []})).unwrap(), Notification::default());
    }

    #[test]
    fn notifications_are_wrapped() {
        let plain = json!({"Records": [record("ObjectCreated:Put", "a+b")]});
        let sns = json!({"Type": "Notification", "TopicArn": "arn", "Message": plain.to_string()});
        assert_eq!(keys(&sns), ["a b"]);
        let cloud = json!({"specversion": "1.0", "type": "s3", "data": plain});
        assert_eq!(keys(&cloud), ["a b"]);
        // MinIO has the name beside the records.
        let minio =
            json!({"EventName": "s3:ObjectCreated:Put", "Key": "lake/x", "Records": plain["Records"]});
        assert_eq!(keys(&minio), ["a b"]);
        let bridge = |kind: &str| {
            json!({"version": "0", "source": "aws.s3", "detail-type": kind,
            "detail": {"bucket": {"name": "lake"}, "object": {"key": "a+b %41.parquet"}}})
        };
        assert_eq!(keys(&bridge("Object Created")), ["a+b %41.parquet"], "its keys are not encoded");
        assert_eq!(keys(&bridge("Object Deleted")), ["a+b %41.parquet"]);
        assert_eq!(parsed(&bridge("Object Tags Added")).unwrap().ignored, 1);
        let bridge_by_sns = json!({"Type": "Notification", "Message": bridge("Object Created").to_string()});
        assert_eq!(keys(&bridge_by_sns), ["a+b %41.parquet"]);
    }

    #[test]
    fn subscriptions_are_a_persons_to_confirm() {
        let ask = json!({"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:x:1:t", "Token": "t",
            "SubscribeURL": "https://sns.example/?Action=ConfirmSubscription\u{1b}[0m"});
        let message = parsed(&ask).unwrap().message.unwrap();
        assert!(
            message.contains("https://sns.example") && message.contains("arn:aws:sns:x:1:t"),
            "{message}"
        );
        assert!(!message.contains('\u{1b}'));
        let end = json!({"Type": "UnsubscribeConfirmation", "TopicArn": "arn"});
        assert!(parsed(&end).unwrap().message.unwrap().contains("ended"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let mut deep = json!({"Records": []});
        for _ in 0..6 {
            deep = json!({"Type": "Notification", "Message": deep.to_string()});
        }
        let mut no_name = record("ObjectCreated:Put", "a");
        no_name["s3"]["bucket"] = json!({});
        let mut number = record("ObjectCreated:Put", "a");
        number["s3"]["object"]["key"] = json!(5);
        for (value, why) in [
            (json!([]), "the body is a list, expected an object"),
            (json!({}), "neither Records"),
            (json!({"Records": {}}), "Records is an object, expected a list"),
            (json!({"Records": [1]}), "Records[0] is a number"),
            (json!({"Records": [record("ObjectCreated:Put", "a"), {}]}), "Records[1] has no eventName"),
            (json!({"Records": [no_name]}), "Records[0].s3.bucket has no name"),
            (json!({"Records": [number]}), "Records[0].s3.object.key is a number, expected a text"),
            (json!({"Type": 1}), "Type is a number"),
            (json!({"Type": "Nonsense"}), "'Nonsense'"),
            (json!({"Type": "Notification"}), "no Message"),
            (json!({"Type": "Notification", "Message": "hello"}), "Message is no JSON"),
            (json!({"detail": {}}), "no detail-type"),
            (json!({"detail-type": "Object Created", "detail": []}), "the event.detail is a list"),
            (json!({"specversion": "1.0"}), "no data"),
            (deep, "wrapped more than"),
        ] {
            let error = parsed(&value).unwrap_err().to_string();
            assert!(error.contains(why), "{value}: {error}");
        }
        for body in [&b""[..], b"{", b"\xff\xfe", b"not json"] {
            assert!(parse(body).unwrap_err().to_string().contains("no JSON"));
        }
    }
}
