//! Signatures of requests to AWS: Signature Version 4, as its General Reference describes it.

use super::credentials::Credentials;
use crate::hex;
use crate::signing::sha256;
use ring::hmac;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What is signed of a request.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// As it is sent, in the order of names.
    pub(super) query: &'a str,
    /// Names in lower case, ascending.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a str,
}

/// The header `Authorization` of a request at a time (`YYYYMMDDTHHMMSSZ`).
pub(super) fn authorization(
    request: &Request<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    at: &str,
) -> String {
    let day = at.get(..8).unwrap_or_default();
    let headers: String =
        request.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let Request { method, path, query, body, .. } = request;
    let body = hex::encode(&sha256(body.as_bytes()));
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{body}");
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex::encode(&sha256(canonical.as_bytes())));
    let secret = format!("AWS4{}", credentials.secret);
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| sign(&key, part.as_bytes()));
    let signature = hex::encode(&sign(&key, text.as_bytes()));
    format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", credentials.id)
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the AWS General Reference.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let credentials = Credentials {
            id: "AKIDEXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        };
        let request = Request {
            method: "GET",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: &[
                ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                ("host", "iam.amazonaws.com"),
                ("x-amz-date", "20150830T123600Z"),
            ],
            body: "",
        };
        let signed = authorization(&request, &credentials, "us-east-1", "iam", "20150830T123600Z");
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }
}
