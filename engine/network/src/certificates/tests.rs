use super::*;
use std::os::unix::fs::PermissionsExt;

/// A time some days before or after now.
fn in_days(days: i64) -> UnixTime {
    let seconds = UnixTime::now().as_secs().checked_add_signed(days * DAY_SECONDS as i64).unwrap();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Why credentials are refused at a time.
fn refusal(credentials: &Credentials, now: UnixTime) -> String {
    credentials.identity(now).err().expect("refused").to_string()
}

#[test]
fn a_node_is_accepted_while_its_certificate_is_valid() {
    let credentials = Authority::create().unwrap().issue("a").unwrap();
    credentials.identity(UnixTime::now()).unwrap();
    credentials.identity(in_days(NODE_DAYS as i64 - 1)).unwrap();
    assert!(
        refusal(&credentials, in_days(-2)).contains("node.pem is not valid yet")
            || refusal(&credentials, in_days(-2)).contains("authority.pem is not valid yet")
    );
    assert_eq!(refusal(&credentials, in_days(NODE_DAYS as i64 + 3)), "node.pem expired 3 days ago");
}

#[test]
fn an_authority_expires() {
    let authority = Authority::create_at(in_days(-(AUTHORITY_DAYS as i64) - 2)).unwrap();
    let credentials = authority.issue("a").unwrap();
    assert_eq!(refusal(&credentials, UnixTime::now()), "authority.pem expired 2 days ago");
    let stored = Authority::from_pem(&authority.certificate_pem, &authority.key.serialize_pem());
    assert!(stored.err().unwrap().to_string().contains("authority.pem expired 2 days ago"));
}

#[test]
fn foreign_parts_are_refused() {
    let (ours, theirs) = (Authority::create().unwrap(), Authority::create().unwrap());
    let (own, other) = (ours.issue("a").unwrap(), ours.issue("b").unwrap());
    let mixed = Credentials { key_pem: other.key_pem.clone(), ..own.clone() };
    assert_eq!(refusal(&mixed, UnixTime::now()), "node.key is not the key of node.pem");
    let foreign = Credentials { authority_pem: theirs.certificate_pem.clone(), ..own.clone() };
    assert_eq!(refusal(&foreign, UnixTime::now()), "node.pem is not signed by authority.pem");
    // Both are trusted while one replaces the other.
    let both = format!("{}{}", theirs.certificate_pem, ours.certificate_pem);
    Credentials { authority_pem: both, ..own }.identity(UnixTime::now()).unwrap();
    let mixed = Authority::from_pem(&ours.certificate_pem, &theirs.key.serialize_pem());
    assert!(mixed.err().unwrap().to_string().contains("not signed"));
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::create().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["www.example".to_string()]).unwrap();
    set_validity(&mut parameters, UnixTime::now(), 1);
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let issuer = Issuer::new(subject(&authority.key), &authority.key);
    let credentials = Credentials {
        authority_pem: authority.certificate_pem.clone(),
        certificate_pem: parameters.signed_by(&key, &issuer).unwrap().pem(),
        key_pem: key.serialize_pem(),
    };
    assert_eq!(refusal(&credentials, UnixTime::now()), "node.pem is not for the name node.tundra");
}

#[test]
fn texts_that_are_no_certificates_are_refused() {
    let good = Authority::create().unwrap().issue("a").unwrap();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in ["", "nonsense", garbage, &good.certificate_pem[..200], &good.key_pem] {
        let bad = Credentials { authority_pem: text.to_string(), ..good.clone() };
        assert!(refusal(&bad, UnixTime::now()).starts_with("authority.pem "), "{text}");
        let bad = Credentials { certificate_pem: text.to_string(), ..good.clone() };
        assert!(refusal(&bad, UnixTime::now()).starts_with("node.pem "), "{text}");
    }
    for text in ["", "nonsense", &good.key_pem[..100], &good.certificate_pem] {
        let bad = Credentials { key_pem: text.to_string(), ..good.clone() };
        assert!(refusal(&bad, UnixTime::now()).starts_with("node.key "), "{text}");
    }
}

#[test]
fn files_are_read_back_and_keys_are_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (top, node) = (folder.path().join("deep/cluster"), folder.path().join("deep/node"));
    assert!(Authority::load(&top).unwrap().is_none());
    Authority::create().unwrap().store(&top).unwrap();
    let authority = Authority::load(&top).unwrap().unwrap();
    authority.issue("a").unwrap().store(&node).unwrap();
    let first = Credentials::load(&node).unwrap();
    authority.issue("a").unwrap().store(&node).unwrap();
    assert_ne!(Credentials::load(&node).unwrap().key_pem, first.key_pem);
    for key in [top.join(AUTHORITY_KEY_FILE), node.join(NODE_KEY_FILE)] {
        assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let files = fs::read_dir(&node).unwrap().count();
    assert_eq!(files, 3);
}

#[test]
fn files_that_are_missing_or_damaged_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let authority = Authority::create().unwrap();
    authority.issue("a").unwrap().store(path).unwrap();
    let message = || Credentials::load(path).err().unwrap().to_string();
    fs::write(path.join(NODE_FILE), [0xff, 0xfe]).unwrap();
    assert!(message().contains("node.pem"), "{}", message());
    fs::write(path.join(NODE_FILE), "nothing").unwrap();
    assert!(message().contains(path.to_str().unwrap()) && message().contains("node.pem"), "{}", message());
    fs::remove_file(path.join(NODE_FILE)).unwrap();
    assert!(message().contains("node.pem") && message().contains("tundra cert"), "{}", message());
    fs::remove_file(path.join(NODE_KEY_FILE)).unwrap();
    // An authority without its key signs nothing.
    assert!(Authority::load(path).err().unwrap().to_string().contains("authority.key"));
}

#[test]
fn names_are_those_of_folders() {
    let authority = Authority::create().unwrap();
    for name in ["node-1", "a", "rack_2.node.7", &"x".repeat(NAME_LENGTH_MAX)] {
        authority.issue(name).unwrap().identity(UnixTime::now()).unwrap();
    }
    for name in ["", ".", "..", ".hidden", "a/b", "ä", "a b", "a\0", &"x".repeat(NAME_LENGTH_MAX + 1)] {
        assert!(authority.issue(name).is_err(), "{name:?}");
    }
}
