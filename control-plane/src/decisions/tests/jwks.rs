use super::*;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::json;

const N: &str = "xbQYLsw0AVXEgfkkYxxcLT-Msm2_Fk5EEruYgIsyAfiFe8ruw4p0_StYv9GEYQu-FvvGRCTfaKyGFEB77YltYqAQce8ZVB4Ve_ZiNQk8i3uuMj93QnZrmaf79WVv1rWtwBonGxpw1ewyYux0VFwTPcYhg4fSn0QVam488W8UwQqrrflICBnJQyN4h1EBYE17v7CQEjcTk7a02gyV-y3Ika4T5VZ9Mof6icX4cGmpoNnNpPFqEhBCj6hn9G4mrcKeX1Rdq5f7UIwDx0oD4DAaUGaU5aenod_pHZfZHLYKxOhC_IRd95g73g3s1X9FJsqwGBP8UkTf2iJYIWnZ-_blHQ";
const RSA_SIGNATURE: &str = "vR0V3rwhG8CLSZ4OHeA_3aPkPKiPJAPDI1xiTWknWcvfigkM05ae6oYkeroep2Di4mNYI75r-72ivljdW18JFGLfc5dWbvOOcs2l0mmjUNYYltYCuR8CA3bT9kLr3DI6Ylgf_Ni-fvhQ-kasFJHFGqUmwjffokhguhQnAlcp72vsXUJoMnxMUqIuBnmd9gA5krJMQOs1Qef6SlC94EwryLZETanNsxxxiDnV4Y2Bh5AVTUobtOHK4hHmoTgJ2REiYObA9n8tcsqQUwha27iF13h8I2dYe070dgZUbe93QqBaZ9vDp6KddpsU6H5YStVTZ6Q2h4j46waZeSHbCwSUqQ";
const X: &str = "JzxOFw5gO4DwVKoUrtAGOjx_F8FsmiFUaWQBkHkG6hA";
const Y: &str = "rWS_-XaAx8D6Pr9NDyss6LnBNHTlAXEbJt9xDAUevNM";
const EC_SIGNATURE: &str =
    "MEUCIBmU6WefheSgAk_5H7rXXmqgSfUzoiYrQgooe-FDQXIMAiEAo69OXe4yHttSSasFQdXFCRSWtt3HmQrs6C4GvhBrfP0";

fn keys(keys: Value) -> Result<(Vec<TokenKey>, Vec<String>), String> {
    read(json!({ "keys": keys }).to_string().as_bytes())
}

/// Signatures over `header.claims` are OpenSSL's.
fn verifies(algorithm: &'static dyn VerificationAlgorithm, key: &TokenKey, signature: &str) -> bool {
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(algorithm, &key.public_key).verify(b"header.claims", &signature).is_ok()
}

#[test]
fn keys_of_three_algorithms_are_taken_in_the_form_that_verifies() {
    let (taken, left_out) = keys(json!([
        { "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": N, "e": "AQAB" },
        { "kty": "EC", "kid": "e", "crv": "P-256", "x": X, "y": Y },
        { "kty": "OKP", "kid": "o", "crv": "Ed25519", "alg": "EdDSA", "x": X },
    ]))
    .unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");
    assert!(verifies(&signature::RSA_PKCS1_2048_8192_SHA256, &taken[0], RSA_SIGNATURE));
    assert!(verifies(&signature::ECDSA_P256_SHA256_ASN1, &taken[1], EC_SIGNATURE));
    let shapes = taken.iter().map(|key| (key.id.as_str(), key.algorithm(), key.public_key.len()));
    let expected = [("r", Algorithm::Rs256, 270), ("e", Algorithm::Es256, 65), ("o", Algorithm::EdDsa, 32)];
    assert_eq!(shapes.collect::<Vec<_>>(), expected);
}

#[test]
fn leading_zeros_of_a_modulus_do_not_count() {
    let n = URL_SAFE_NO_PAD.encode([vec![0], URL_SAFE_NO_PAD.decode(N).unwrap()].concat());
    let (taken, _) = keys(json!([{ "kty": "RSA", "n": n, "e": "AAEAAQ==" }])).unwrap();
    assert!(verifies(&signature::RSA_PKCS1_2048_8192_SHA256, &taken[0], RSA_SIGNATURE));
}

#[test]
fn keys_of_no_use_are_left_out_and_named() {
    let of_no_use = [
        (json!({ "kty": "RSA", "kid": "a", "use": "enc", "n": N, "e": "AQAB" }), "not for signatures"),
        (json!({ "kty": "RSA", "kid": "a", "alg": "RS512", "n": N, "e": "AQAB" }), "for RS512"),
        (json!({ "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB" }), "24 bits"),
        (json!({ "kty": "RSA", "kid": "a", "n": N }), "missing"),
        (json!({ "kty": "RSA", "kid": "a", "n": N, "e": "AA" }), "is 0"),
        (json!({ "kty": "EC", "kid": "a", "crv": "P-384", "x": X, "y": Y }), "EC P-384"),
        (json!({ "kty": "EC", "kid": "a", "crv": "P-256", "x": X, "y": "AQAB" }), "3 bytes instead of 32"),
        (json!({ "kty": "oct", "kid": "a", "k": "AQAB" }), "oct"),
        (json!({ "kid": "a" }), "kty"),
        (json!("a"), "without a name"),
    ];
    for (key, words) in of_no_use {
        let good = json!({ "kty": "OKP", "kid": "o", "crv": "Ed25519", "x": X });
        let (taken, left_out) = keys(json!([key, good])).unwrap();
        assert_eq!(taken.len(), 1, "{key}");
        assert!(left_out[0].contains(words), "{key}: {left_out:?}");
        assert!(keys(json!([key])).is_err(), "{key}");
    }
    for nothing in ["", "[]", "{}", "{\"keys\":[]}"] {
        assert!(read(nothing.as_bytes()).is_err(), "{nothing}");
    }
}

#[test]
fn lengths_in_der() {
    assert_eq!(der(2, &[1])[..], [2, 1, 1]);
    assert_eq!(der(2, &[0; 127])[..3], [2, 127, 0]);
    assert_eq!(der(2, &[0; 128])[..4], [2, 0x81, 128, 0]);
    assert_eq!(der(2, &[0; 256])[..5], [2, 0x82, 1, 0, 0]);
    assert_eq!(der(2, &[])[..], [2, 0]);
}
