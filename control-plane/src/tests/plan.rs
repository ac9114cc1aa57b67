use super::*;
use crate::signing::SigningKey;
use flight_proto::policy::{Document, Gone, Subject, Tenant, TenantStatus, tenant_document};
use std::sync::LazyLock;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap().0);

fn signed(document: Document) -> Held {
    Held { signed: KEY.sign_document(&document), document }
}

/// A tenant of this tier, as of this version.
fn tenant(name: &str, version: u64, tier: &str) -> Held {
    let tenant = Tenant {
        name: name.into(),
        status: TenantStatus::Active.into(),
        tier: tier.into(),
        ..Tenant::default()
    };
    let subject = Some(Subject::Tenant(tenant));
    signed(Document { name: tenant_document(name), version, decided_at_us: 1, subject })
}

fn gone(name: &str, version: u64) -> Held {
    let subject = Some(Subject::Gone(Gone {}));
    signed(Document { name: tenant_document(name), version, decided_at_us: 1, subject })
}

fn cluster(documents: Vec<Held>) -> ClusterDocuments {
    let version = documents.iter().map(|held| held.document.version).max().unwrap_or(0);
    ClusterDocuments { version, documents, ..ClusterDocuments::default() }
}

/// Steps in short: `raise 9`, `adopt a 3`, `publish b 4`.
fn planned(database: &[Held], cluster: &ClusterDocuments) -> Vec<String> {
    let short = |held: &Held| format!("{} {}", held.document.tenant().unwrap(), held.document.version);
    let steps = plan(database, cluster);
    let short = steps.iter().map(|step| match step {
        Step::Raise(version) => format!("raise {version}"),
        Step::Adopt(held) => format!("adopt {}", short(held)),
        Step::Publish(held) => format!("publish {}", short(held)),
    });
    short.collect()
}

#[test]
fn what_the_cluster_lacks_is_published_in_the_order_of_versions() {
    let own = [tenant("c", 1, ""), tenant("b", 3, ""), gone("a", 2)];
    assert_eq!(planned(&own, &cluster(vec![])), ["publish c 1", "publish a 2", "publish b 3"]);
}

#[test]
fn nothing_is_done_where_both_say_the_same() {
    let own = [tenant("a", 1, ""), gone("b", 2)];
    assert!(planned(&own, &cluster(own.to_vec())).is_empty());
    assert!(planned(&[], &cluster(vec![])).is_empty());
}

#[test]
fn what_the_database_has_later_is_published() {
    let theirs = cluster(vec![tenant("a", 1, ""), tenant("b", 2, "")]);
    assert_eq!(planned(&[tenant("a", 3, "x"), tenant("b", 2, "")], &theirs), ["publish a 3"]);
    assert_eq!(planned(&[gone("a", 3), tenant("b", 2, "")], &theirs), ["publish a 3"]);
}

#[test]
fn what_the_cluster_has_later_is_adopted_and_versions_go_on_above_it() {
    let theirs = cluster(vec![tenant("a", 7, "new"), tenant("b", 5, ""), gone("c", 9), tenant("d", 8, "")]);
    let own = [tenant("a", 1, "old"), tenant("b", 5, ""), tenant("c", 2, "")];
    assert_eq!(planned(&own, &theirs), ["raise 9", "adopt a 7", "adopt d 8", "adopt c 9"]);
}

#[test]
fn of_two_of_a_version_the_one_that_is_acted_on_counts() {
    let theirs = cluster(vec![tenant("a", 4, "acted on")]);
    assert_eq!(planned(&[tenant("a", 4, "decided after a restore")], &theirs), ["adopt a 4"]);
}

#[test]
fn losses_and_news_go_together() {
    let theirs = cluster(vec![tenant("a", 7, "new"), tenant("b", 1, "")]);
    let own = [tenant("a", 2, "old"), tenant("b", 3, "x"), tenant("new", 4, "")];
    assert_eq!(planned(&own, &theirs), ["raise 7", "adopt a 7", "publish b 3", "publish new 4"]);
}

#[test]
fn an_empty_database_adopts_everything() {
    let theirs = cluster(vec![tenant("b", 2, ""), gone("a", 3), tenant("c", 1, "")]);
    assert_eq!(planned(&[], &theirs), ["raise 3", "adopt c 1", "adopt b 2", "adopt a 3"]);
}

#[test]
fn what_cannot_be_read_is_left_alone_but_counts() {
    let unread = [("tenant/a".to_string(), 9), ("tenant/b".to_string(), 2)].into();
    let theirs = ClusterDocuments { version: 9, unread, ..ClusterDocuments::default() };
    let own = [tenant("a", 5, ""), tenant("b", 6, "")];
    assert_eq!(planned(&own, &theirs), ["raise 9", "publish b 6"]);
}

/// Every step of plans over all small cases: nothing older replaces something later, and both sides agree afterwards.
#[test]
fn both_sides_agree_afterwards_whatever_they_had() {
    let choices = |name: &str| {
        let some = |version| [tenant(name, version, "x"), tenant(name, version, "y"), gone(name, version)];
        let all = (1..=3).flat_map(some).map(Some);
        std::iter::once(None).chain(all).collect::<Vec<_>>()
    };
    for own in choices("a") {
        for their in choices("a") {
            let own: Vec<Held> = own.clone().into_iter().collect();
            let theirs = cluster(their.clone().into_iter().collect());
            let steps = plan(&own, &theirs);
            let (mut here, mut there) = (own.first().cloned(), their.clone());
            for step in steps {
                let version = |held: &Option<Held>| held.as_ref().map_or(0, |held| held.document.version);
                match step {
                    Step::Raise(raised) => assert_eq!(raised, theirs.version),
                    Step::Adopt(held) => {
                        assert!(held.document.version >= version(&here));
                        here = Some(held.clone());
                    }
                    Step::Publish(held) => {
                        assert!(held.document.version > version(&there));
                        there = Some(held.clone());
                    }
                }
            }
            assert_eq!(here, there);
        }
    }
}

fn policy(key: Option<&[u8]>, documents: &[&Held]) -> Policy {
    let documents = documents.iter().map(|held| flight_proto::admin::PolicyDocument {
        name: held.document.name.clone(),
        version: held.document.version,
        decided_at_us: 1,
        gone: false,
        signed: hex::encode(&held.signed.encode_to_vec()),
    });
    Policy { key: key.map(hex::encode), version: 0, documents: documents.collect() }
}

#[test]
fn what_others_signed_is_not_adopted() {
    let (other, _) = SigningKey::generate().unwrap();
    let own = tenant("a", 3, "");
    assert_eq!(
        read(&policy(Some(KEY.public()), &[&own]), KEY.public()).unwrap().documents,
        std::slice::from_ref(&own)
    );
    assert_eq!(read(&policy(None, &[]), KEY.public()).unwrap(), ClusterDocuments::default());
    let error = read(&policy(Some(other.public()), &[&own]), KEY.public()).unwrap_err().to_string();
    assert!(error.contains("another control plane"), "{error}");
    let foreign = Held { signed: other.sign_document(&own.document), document: own.document.clone() };
    let mut forged = own.clone();
    forged.signed.signature[0] ^= 1;
    for wrong in [foreign, forged] {
        let read = read(&policy(Some(KEY.public()), &[&wrong]), KEY.public()).unwrap();
        assert_eq!((read.documents.len(), read.unread.get("tenant/a")), (0, Some(&3)));
    }
    let mut high = policy(Some(KEY.public()), &[&own]);
    high.version = u64::MAX;
    assert!(read(&high, KEY.public()).is_err());
}
