//! Who may call: operators with passwords, or anybody who reaches this machine's own address where there are none.

use super::{Api, Failed};
use crate::config::Login;
use crate::error::{Error, Result};
use crate::signing;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::sync::Arc;

/// Who calls where nobody has to say so.
const ANONYMOUS: &str = "anonymous";
/// Padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The API, for who may call it.
pub(super) struct Admitted {
    pub(super) api: Arc<Api>,
    /// The operator who calls.
    pub(super) who: String,
}

impl FromRequestParts<Arc<Api>> for Admitted {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> super::Result<Admitted> {
        check_origin(&parts.headers, api.operators.is_empty())?;
        let who = log_in(&api.operators, &parts.headers)?;
        Ok(Admitted { api: api.clone(), who })
    }
}

fn log_in(operators: &[Login], headers: &HeaderMap) -> Result<String> {
    if operators.is_empty() {
        return Ok(ANONYMOUS.into());
    }
    let unknown = |what: &str| Error::Unauthenticated(what.into());
    let shown = headers.get(header::AUTHORIZATION);
    let shown = shown.ok_or_else(|| unknown("log in with an operator's name and password"))?;
    let basic = shown.to_str().ok().and_then(|shown| shown.split_once(' '));
    let basic = basic.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let text = basic.and_then(|(_, value)| BASE64.decode(value.trim()).ok());
    let text = text.and_then(|text| String::from_utf8(text).ok());
    let (name, password) = text
        .as_deref()
        .and_then(|text| text.split_once(':'))
        .ok_or_else(|| unknown("log in with Basic: a name and a password"))?;
    let known = operators.iter().find(|operator| operator.name == name);
    // Compared also for unknown names, so that time tells nothing.
    let expected = known.map_or("", |known| known.password.as_str());
    match same(expected, password) & known.is_some() {
        true => Ok(name.into()),
        false => Err(unknown("the name or the password is wrong")),
    }
}

/// Equality in a time that tells nothing of what is expected: hashes are compared.
fn same(expected: &str, given: &str) -> bool {
    let [expected, given] = [expected, given].map(|text| signing::sha256(text.as_bytes()));
    expected.iter().zip(&given).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

/// Pages of other sites have no business here, though a browser may send their requests; nor has a name of somebody else's that
/// leads here, where nobody has to log in.
fn check_origin(headers: &HeaderMap, open: bool) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST);
    if open && !host.is_some_and(is_here) {
        let why = "without operators, calls come to 127.0.0.1, [::1] or localhost; start it with --operator";
        return Err(Error::Denied(why.into()));
    }
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let site = origin.split_once("://").map(|(_, site)| site);
    match site.is_some() && site == host {
        true => Ok(()),
        false => Err(Error::Denied(format!("a page of {origin} may not call this control plane"))),
    }
}

/// The `Host` of a request names this machine.
fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn operators_show_their_passwords() {
        let operators: Vec<Login> = vec!["ann:se:cret".parse().unwrap(), "bob:x".parse().unwrap()];
        let log_in = |authorization: &'static str| {
            let header = (header::AUTHORIZATION, HeaderValue::from_static(authorization));
            log_in(&operators, &HeaderMap::from_iter([header]))
        };
        assert_eq!(log_in("Basic YW5uOnNlOmNyZXQ=").unwrap(), "ann");
        assert_eq!(log_in("basic YW5uOnNlOmNyZXQ").unwrap(), "ann");
        // bob:se:cret, nobody:, an empty text, and what is none.
        for wrong in
            ["Basic Ym9iOnNlOmNyZXQ=", "Basic bm9ib2R5Og==", "Basic ", "Basic *", "Bearer x", "Basic"]
        {
            assert!(matches!(log_in(wrong), Err(Error::Unauthenticated(_))), "{wrong}");
        }
        assert!(super::log_in(&operators, &HeaderMap::new()).is_err());
        assert_eq!(super::log_in(&[], &HeaderMap::new()).unwrap(), ANONYMOUS);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let check = |host: &'static str, origin: Option<&'static str>, open| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            check_origin(&headers, open).is_ok()
        };
        assert!(check("127.0.0.1:8090", None, true));
        assert!(check("[::1]:8090", Some("http://[::1]:8090"), true));
        assert!(check("localhost", Some("http://localhost"), true));
        assert!(!check("127.0.0.1:8090", Some("http://evil.example"), true));
        assert!(
            !check("evil.example:8090", Some("http://evil.example:8090"), true),
            "its name may lead here"
        );
        assert!(check("control.example:8090", Some("http://control.example:8090"), false));
        assert!(!check("control.example:8090", Some("null"), false));
    }
}
