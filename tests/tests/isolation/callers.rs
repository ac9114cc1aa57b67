//! What callers show: keys and tokens that are altered, made up, of another issuer, ended, or of tenants that are closed.

use super::data::log_in;
use super::ways::{Outcome, Ways};
use super::world::{OPERATOR, Shown, World};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const WHOSE: &str = "SELECT owner FROM item";
const ISSUER: &str = "https://id.example/rival";

fn text_of(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Header, claims and signature of a token.
fn parts(token: &str) -> [String; 3] {
    let mut parts = token.split('.').map(str::to_string);
    [(); 3].map(|()| parts.next().unwrap())
}

fn read(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A token of rival's own OpenID provider, which rival has in its hands.
struct Provider(Ed25519KeyPair);

impl Provider {
    fn token(&self, header: &Value, claims: &str) -> String {
        let signed = format!("{}.{}", text_of(header.to_string()), text_of(claims));
        format!("{signed}.{}", text_of(self.0.sign(signed.as_bytes())))
    }

    /// Serves its keys, for as long as the test runs.
    async fn serve(&self) -> String {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": text_of(self.0.public_key())});
        let body = json!({ "keys": [key] }).to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        url
    }
}

/// Anything but acme's rows: what it shows may well be good for rival.
fn not_acme(ways: &mut Ways, what: impl Into<String>, outcome: Outcome) {
    let reached = outcome.ok().filter(|rows| rows != "rival");
    ways.tried("callers", what, reached);
}

pub(crate) async fn try_all(world: &World, ways: &mut Ways) {
    for (who, shown, owner) in [
        ("acme's key", world.acme.clone(), "acme"),
        ("acme's access token", Shown::bearer(&world.acme_token), "acme"),
        ("acme's key as a password", Shown::basic("acme/etl", &world.acme_key), "acme"),
        ("acme's key, named acme's", world.acme.clone().of_tenant("acme"), "acme"),
        ("rival's access token", Shown::bearer(&world.rival_token), "rival"),
    ] {
        let answer = world.ask(&shown, WHOSE).await;
        ways.owner("callers", &format!("{who}: {answer:?}"), answer == Ok(owner.into()));
    }
    named(world, ways).await;
    own_tokens(world, ways).await;
    providers_tokens(world, ways).await;
    ended(world, ways).await;
}

/// Names of tenants beside what is shown.
async fn named(world: &World, ways: &mut Ways) {
    for (what, shown) in [
        ("acme's name without anything", Shown::default().of_tenant("acme")),
        ("acme's name with rival's key", world.rival.clone().of_tenant("acme")),
        ("ACME with rival's key", world.rival.clone().of_tenant("ACME")),
        ("' acme ' with rival's key", world.rival.clone().of_tenant(" acme ")),
        ("'rival,acme' with rival's key", world.rival.clone().of_tenant("rival,acme")),
        ("acme's name with rival's token", Shown::bearer(&world.rival_token).of_tenant("acme")),
        ("acme/etl with rival's key", Shown::basic("acme/etl", &world.rival_key)),
        ("acme/etl with rival's token", Shown::basic("acme/etl", &world.rival_token)),
        ("acme/etl with an operator's password", Shown::basic("acme/op", OPERATOR.1)),
        ("an operator, named acme's", Shown::basic(OPERATOR.0, OPERATOR.1).of_tenant("acme")),
        ("rival/acme/etl with rival's key", Shown::basic("rival/acme/etl", &world.rival_key)),
        ("a user of the tenant without a password", Shown::basic("acme/etl", "")),
        ("acme's user with a wrong password", Shown::basic("etl", "etl")),
    ] {
        not_acme(ways, what, world.ask(&shown, WHOSE).await);
        let session = match log_in(world, &shown).await {
            Ok(token) => world.ask(&Shown::bearer(&token), WHOSE).await,
            Err(why) => Err(why),
        };
        not_acme(ways, format!("a session by {what}"), session);
    }
    let id = |key: &str| key.split('_').nth(1).unwrap().to_string();
    let secret = world.rival_key.split('_').nth(2).unwrap().to_string();
    for (what, key) in [
        ("acme's key's id with rival's secret", format!("tundra_{}_{secret}", id(&world.acme_key))),
        ("acme's key's id without a secret", format!("tundra_{}_", id(&world.acme_key))),
        ("acme's key's id alone", format!("tundra_{}", id(&world.acme_key))),
        ("acme's key cut short", world.acme_key[..world.acme_key.len() - 1].to_string()),
        ("acme's key in capitals", world.acme_key.to_uppercase()),
        ("both keys", format!("{}, {}", world.rival_key, world.acme_key)),
    ] {
        not_acme(ways, what, world.ask(&Shown::bearer(&key), WHOSE).await);
    }
}

/// The control plane's tokens, altered.
async fn own_tokens(world: &World, ways: &mut Ways) {
    let [header, claims, signature] = parts(&world.rival_token);
    let mut forged = read(&claims);
    forged["tenant"] = "acme".into();
    let forged = text_of(forged.to_string());
    let of = |header: Value| text_of(header.to_string());
    let known = read(&header);
    let with = |name: &str, value: Value| {
        let mut header = known.clone();
        header[name] = value;
        of(header)
    };
    let (status, keys) = world.http_of_control(&Shown::default(), "GET", "/.well-known/jwks.json", "").await;
    ways.owner("callers", "the control plane shows its public keys", status == 200);
    let keys: Value = serde_json::from_str(&keys).unwrap();
    let public = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
    let by_public = |header: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &public);
        text_of(hmac::sign(&key, format!("{header}.{forged}").as_bytes()))
    };
    let hs256 = with("alg", "HS256".into());
    let signed_by_hmac = by_public(&hs256);
    let made_up = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let by_other = text_of(made_up.sign(format!("{header}.{forged}").as_bytes()));
    let mut jwk = known.clone();
    jwk["jwk"] = json!({"kty": "OKP", "crv": "Ed25519", "x": text_of(made_up.public_key())});
    let jwk = of(jwk);
    let by_jwk = text_of(made_up.sign(format!("{jwk}.{forged}").as_bytes()));
    let zero = text_of([0; 64]);
    for (what, token) in [
        ("its token with acme's tenant", format!("{header}.{forged}.{signature}")),
        ("algorithm none, without a signature", format!("{}.{forged}.", with("alg", "none".into()))),
        ("algorithm None", format!("{}.{forged}.", with("alg", "None".into()))),
        (
            "algorithm none, with its signature",
            format!("{}.{forged}.{signature}", with("alg", "none".into())),
        ),
        ("an HMAC with the public key", format!("{hs256}.{forged}.{signed_by_hmac}")),
        ("RS256 named for the key", format!("{}.{forged}.{signature}", with("alg", "RS256".into()))),
        ("a signature by a key of its own", format!("{header}.{forged}.{by_other}")),
        ("a key of its own in the header", format!("{jwk}.{forged}.{by_jwk}")),
        ("a signature of zeros", format!("{header}.{forged}.{zero}")),
        ("no signature", format!("{header}.{forged}.")),
        (
            "a key id that is a path",
            format!("{}.{forged}.{by_other}", with("kid", "../../../../dev/null".into())),
        ),
        ("a key id that is SQL", format!("{}.{forged}.{by_other}", with("kid", "' OR 1=1 --".into()))),
        ("no key id", format!("{}.{forged}.{by_other}", with("kid", Value::Null))),
        (
            "a key set of its own",
            format!("{}.{forged}.{by_other}", with("jku", "http://127.0.0.1:1/k".into())),
        ),
        ("its token twice", format!("{}.{}", world.rival_token, world.rival_token)),
        (
            "acme's claims under its signature",
            format!("{header}.{}.{signature}", parts(&world.acme_token)[1]),
        ),
    ] {
        not_acme(ways, what, world.ask(&Shown::bearer(&token), WHOSE).await);
    }
}

/// Tokens of a provider that names users of rival alone, and whose key rival has.
async fn providers_tokens(world: &World, ways: &mut Ways) {
    let provider = Provider(Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap());
    let url = provider.serve().await;
    for (issuer, tenant) in [(ISSUER, "rival"), ("https://id.example/acme", "acme")] {
        // acme's is at another place with other keys; here it only has the same name of a key.
        let body = json!({"issuer": issuer, "audience": "tundra-test", "jwks_url": url, "tenant": tenant});
        if tenant == "rival" {
            let operator = Shown::basic(OPERATOR.0, OPERATOR.1);
            let (status, told) = put_json(world, &operator, &body.to_string()).await;
            ways.owner("callers", &format!("the provider is taken: {told}"), status == 200);
        }
    }
    let now = now_s();
    let claims = |change: fn(&mut Value)| {
        let mut claims =
            json!({"iss": ISSUER, "aud": "tundra-test", "sub": "root", "iat": now, "exp": now + 600});
        change(&mut claims);
        claims.to_string()
    };
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "k1"});
    let good = Shown::bearer(&provider.token(&header, &claims(|_| ())));
    for at in 0..3 {
        world.until(at, &good, WHOSE, |answer| answer == &Ok("rival".into())).await;
    }
    let doubled = claims(|_| ()).replacen('{', "{\"tenant\":\"rival\",\"tenant\":\"acme\",", 1);
    for (what, token) in [
        (
            "a provider's token that claims acme",
            provider.token(&header, &claims(|c| c["tenant"] = "acme".into())),
        ),
        ("a provider's token that claims both", provider.token(&header, &doubled)),
        (
            "a provider's token for acme/root",
            provider.token(&header, &claims(|c| c["sub"] = "acme/root".into())),
        ),
        (
            "the control plane as issuer, by its own key",
            provider.token(
                &header,
                &claims(|c| {
                    c["iss"] = "tundra".into();
                    c["aud"] = "tundra".into();
                    c["tenant"] = "acme".into();
                }),
            ),
        ),
        (
            "acme's issuer, by its own key",
            provider.token(&header, &claims(|c| c["iss"] = "https://id.example/acme".into())),
        ),
        (
            "two issuers",
            provider.token(
                &header,
                &claims(|c| {
                    c["iss"] = json!([ISSUER, "tundra"]);
                    c["tenant"] = "acme".into();
                }),
            ),
        ),
        (
            "roles of an operator",
            provider.token(&header, &claims(|c| c["roles"] = json!(["operator", "acme"]))),
        ),
    ] {
        not_acme(ways, what, world.ask(&Shown::bearer(&token), WHOSE).await);
    }
    for (what, token) in [
        ("a token that has ended", provider.token(&header, &claims(|c| c["exp"] = json!(1_000_000)))),
        ("a token without an end", provider.token(&header, &claims(|c| c["exp"] = Value::Null))),
        ("a token of later", provider.token(&header, &claims(|c| c["nbf"] = json!(4_000_000_000_u64)))),
        ("a token for others", provider.token(&header, &claims(|c| c["aud"] = "else".into()))),
        ("a token without a user", provider.token(&header, &claims(|c| c["sub"] = "".into()))),
    ] {
        ways.refused("callers", what, &world.ask(&Shown::bearer(&token), WHOSE).await);
    }
}

async fn put_json(world: &World, shown: &Shown, body: &str) -> (u16, String) {
    let address = world.control.trim_start_matches("http://");
    let lines = format!("{}content-type: application/json\r\n", shown.lines());
    tundra_tests::http::request(address, "PUT", "/api/v1/issuers", &lines, body).await.unwrap()
}

/// Keys that were taken back, and those of tenants that are closed.
async fn ended(world: &World, ways: &mut Ways) {
    let key = world.decide(&["tenant", "key", "create", "acme", "--user", "left"]).await;
    let left = Shown::bearer(&key);
    world.until(0, &left, WHOSE, Result::is_ok).await;
    let session = log_in(world, &left).await.unwrap();
    let id = key.split('_').nth(1).unwrap();
    world.decide(&["tenant", "key", "revoke", "acme", id]).await;
    world.until(0, &left, WHOSE, Result::is_err).await;
    for at in 0..3 {
        world.until(at, &left, WHOSE, Result::is_err).await;
        ways.refused(
            "callers",
            format!("a key that was revoked, at coordinator {at}"),
            &world.ask_at(at, &left, WHOSE).await,
        );
    }
    let shown = Shown::bearer(&session);
    ways.refused("callers", "a session of a key that was revoked", &world.ask(&shown, WHOSE).await);

    for (tenant, end) in [("shut", "suspend"), ("gone", "delete")] {
        world.decide(&["tenant", "create", tenant]).await;
        let key = world.decide(&["tenant", "key", "create", tenant, "--user", "u"]).await;
        let token = world.decide(&["tenant", "token", tenant, "--user", "u"]).await;
        let (key, token) = (Shown::bearer(&key), Shown::bearer(&token));
        world.until(0, &key, "SELECT 1", Result::is_ok).await;
        world.must(&key, "CREATE TABLE left_qx AS SELECT 'SESAME' AS s").await;
        let session = Shown::bearer(&log_in(world, &key).await.unwrap());
        world.decide(&["tenant", end, tenant]).await;
        for (what, shown) in [("key", &key), ("access token", &token), ("session", &session)] {
            world.until(0, shown, "SELECT s FROM left_qx", Result::is_err).await;
            let answer = world.ask(shown, "SELECT s FROM left_qx").await;
            ways.refused("callers", format!("a {what} of a tenant after {end}"), &answer);
        }
        let sql = format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 's3://tundra/{tenant}/'");
        ways.refused(
            "callers",
            format!("files of a tenant after {end}"),
            &world.ask(&world.rival, &sql).await,
        );
    }
}
