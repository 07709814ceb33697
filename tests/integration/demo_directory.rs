//! The sample directory, driven by `ldap3` and by OpenLDAP's `ldapsearch`.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{Ldap, LdapConnAsync, Scope, SearchEntry, SearchOptions};
use rolegate::demo::directory::{Directory, Entry, Fault, RunningDirectory};
use rolegate::demo::sample;

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn start() -> RunningDirectory {
    Directory::sample()
        .start(ANY_PORT)
        .expect("a free port on 127.0.0.1")
}

async fn connect(directory: &RunningDirectory) -> Ldap {
    let (connection, ldap) = LdapConnAsync::new(&directory.url())
        .await
        .expect("connects");
    ldap3::drive!(connection);
    ldap
}

async fn bound(directory: &RunningDirectory) -> Ldap {
    let mut ldap = connect(directory).await;
    let bind = ldap
        .simple_bind(sample::SERVICE_DN, sample::SERVICE_PASSWORD)
        .await;
    bind.and_then(ldap3::LdapResult::success)
        .expect("the service account binds");
    ldap
}

async fn names(ldap: &mut Ldap, base: &str, filter: &str) -> Vec<String> {
    let found = ldap
        .search(base, Scope::Subtree, filter, vec!["cn"])
        .await
        .expect("answers");
    let (entries, _) = found.success().expect("succeeds");
    entries
        .into_iter()
        .map(|entry| SearchEntry::construct(entry).dn)
        .collect()
}

async fn bind_code(directory: &RunningDirectory, dn: &str, password: &str) -> u32 {
    connect(directory)
        .await
        .simple_bind(dn, password)
        .await
        .expect("answers")
        .rc
}

#[tokio::test]
async fn bind_tells_the_right_password_from_every_other() {
    let directory = start();
    for person in sample::PEOPLE {
        let expected = if person.is_locked { 49 } else { 0 };
        let code = bind_code(&directory, &person.dn(), person.password).await;
        assert_eq!(code, expected, "{}", person.username);
        assert_eq!(bind_code(&directory, &person.dn(), "wrong").await, 49);
        assert_eq!(bind_code(&directory, &person.dn(), "").await, 53);
    }
    assert_eq!(
        bind_code(&directory, &sample::person_dn("nobody"), "x").await,
        49
    );
    assert_eq!(bind_code(&directory, "not a name", "x").await, 49);
    assert_eq!(directory.binds(), 17);
}

#[tokio::test]
async fn anonymous_search_is_refused_and_a_failed_bind_ends_the_earlier_one() {
    let directory = start();
    let mut ldap = connect(&directory).await;
    let mut search = async || {
        let found = ldap
            .search(sample::SUFFIX, Scope::Subtree, "(uid=ada)", vec!["cn"])
            .await;
        found.expect("answers").1.rc
    };
    assert_eq!(search().await, 8);
    let mut ldap = bound(&directory).await;
    assert_eq!(
        ldap.simple_bind(sample::SERVICE_DN, "wrong")
            .await
            .expect("answers")
            .rc,
        49
    );
    let found = ldap
        .search(sample::SUFFIX, Scope::Subtree, "(uid=ada)", vec!["cn"])
        .await;
    assert_eq!(found.expect("answers").1.rc, 8);
}

#[tokio::test]
async fn people_and_groups_are_found_as_a_broker_looks_for_them() {
    let directory = start();
    let mut ldap = bound(&directory).await;
    let filter = "(&(objectClass=inetOrgPerson)(uid=ADA))";
    let attributes = vec!["uid", "entryUUID", "mail", "userPassword"];
    let found = ldap
        .search(sample::PEOPLE_BASE, Scope::OneLevel, filter, attributes)
        .await;
    let (entries, _) = found.expect("answers").success().expect("succeeds");
    let [ada] = <[_; 1]>::try_from(entries)
        .expect("one entry")
        .map(SearchEntry::construct);
    assert_eq!(ada.dn, sample::person_dn("ada"));
    assert_eq!(ada.attrs["mail"], ["ada@example.com"]);
    assert_eq!(ada.attrs["entryUUID"].len(), 1);
    assert!(!ada.attrs.contains_key("userPassword"));

    let filter = "(&(objectClass=groupOfNames)(member=UID=Ada,OU=people,dc=example,dc=com))";
    let groups = names(&mut ldap, sample::GROUPS_BASE, filter).await;
    assert!(
        groups.contains(&sample::group_dn("payments-leads")),
        "{groups:?}"
    );
    assert!(
        !groups.contains(&sample::group_dn("payments-dev")),
        "nested only: {groups:?}"
    );
    let nested = format!("(member={})", sample::group_dn("payments-leads"));
    let groups = names(&mut ldap, sample::GROUPS_BASE, &nested).await;
    assert_eq!(groups, [sample::group_dn("payments-dev")]);
    let missing = ldap
        .search("ou=x,dc=example,dc=com", Scope::Base, "(cn=*)", vec!["*"])
        .await;
    assert_eq!(missing.expect("answers").1.rc, 32);
}

#[tokio::test]
async fn who_am_i_answers_and_unknown_extended_operations_are_refused() {
    let directory = start();
    let mut ldap = bound(&directory).await;
    let answer = ldap.extended(ldap3::exop::WhoAmI).await.expect("answers");
    let (answer, _) = answer.success().expect("succeeds");
    let identity: ldap3::exop::WhoAmIResp = answer.parse();
    assert_eq!(identity.authzid, format!("dn:{}", sample::SERVICE_DN));
    let start_tls = ldap3::exop::Exop {
        name: Some("1.3.6.1.4.1.1466.20037".to_owned()),
        val: None,
    };
    assert_eq!(ldap.extended(start_tls).await.expect("answers").1.rc, 2);
    let deleted = ldap
        .delete(&sample::person_dn("ada"))
        .await
        .expect("answers");
    assert_eq!(deleted.rc, 53);
}

#[tokio::test]
async fn paged_search_returns_everything_once() {
    let people = (0..2_345).map(|number| {
        Entry::new(format!("uid=u{number},{}", sample::PEOPLE_BASE))
            .with("objectClass", ["person"])
            .with("uid", [format!("u{number}")])
    });
    let service = Entry::new(sample::SERVICE_DN).with("userPassword", [sample::SERVICE_PASSWORD]);
    let base = [
        Entry::new(sample::SUFFIX),
        Entry::new(sample::PEOPLE_BASE),
        service,
    ];
    let directory = Directory::new(base.into_iter().chain(people))
        .start(ANY_PORT)
        .expect("starts");
    let mut ldap = bound(&directory).await;
    let adapters: Vec<Box<dyn Adapter<_, _>>> = vec![
        Box::new(EntriesOnly::new()),
        Box::new(PagedResults::new(500)),
    ];
    let (scope, filter) = (Scope::Subtree, "(objectClass=person)");
    let mut search = ldap
        .streaming_search_with(adapters, sample::PEOPLE_BASE, scope, filter, vec!["uid"])
        .await
        .expect("starts");
    let mut found = std::collections::BTreeSet::new();
    let mut count = 0;
    while let Some(entry) = search.next().await.expect("answers") {
        count += 1;
        found.insert(SearchEntry::construct(entry).dn);
    }
    search.finish().await.success().expect("succeeds");
    assert_eq!((count, found.len()), (2_345, 2_345));
    assert_eq!(directory.searches(), 5);
}

#[tokio::test]
async fn size_limits_are_told() {
    let directory = start();
    let mut ldap = bound(&directory).await;
    ldap.with_search_options(SearchOptions::new().sizelimit(2));
    let search = ldap
        .search(sample::SUFFIX, Scope::Subtree, "(uid=*)", vec!["uid"])
        .await;
    let ldap3::SearchResult(entries, result) = search.expect("answers");
    assert_eq!((entries.len(), result.rc), (2, 4));
    directory.set_fault(Some(Fault::SizeLimitPartial));
    let search = ldap
        .search(sample::SUFFIX, Scope::Subtree, "(uid=*)", vec!["uid"])
        .await;
    let ldap3::SearchResult(entries, result) = search.expect("answers");
    assert_eq!((entries.len(), result.rc), (3, 4));
}

#[tokio::test]
async fn tests_can_change_people_and_groups() {
    let directory = start();
    let mut ldap = bound(&directory).await;
    let (linus, group) = (sample::person_dn("linus"), sample::group_dn("payments-dev"));
    let filter = format!("(member={linus})");
    let mut groups = async || names(&mut ldap, sample::GROUPS_BASE, &filter).await;
    assert!(!groups().await.contains(&group));
    assert!(directory.add_member(&group, &linus));
    assert!(groups().await.contains(&group));
    assert!(directory.remove_member(&group, &linus.to_uppercase()));
    assert!(!groups().await.contains(&group));
    assert!(directory.set_password(&linus, "new"));
    assert_eq!(bind_code(&directory, &linus, "linus-demo").await, 49);
    assert_eq!(bind_code(&directory, &linus, "new").await, 0);
    assert!(directory.disable(&linus));
    assert_eq!(bind_code(&directory, &linus, "new").await, 49);
    assert!(directory.enable(&linus));
    assert_eq!(bind_code(&directory, &linus, "new").await, 0);
    directory.remove_entry(&linus);
    assert_eq!(bind_code(&directory, &linus, "new").await, 49);
    assert!(!directory.disable(&linus));
}

#[tokio::test]
async fn faults_come_and_go() {
    let directory = start();
    let mut ldap = bound(&directory).await;
    directory.set_fault(Some(Fault::Busy));
    assert_eq!(bind_code(&directory, sample::SERVICE_DN, "x").await, 51);

    directory.set_fault(Some(Fault::Hang));
    let waiting = tokio::spawn({
        let mut ldap = ldap.clone();
        async move {
            ldap.search(sample::SUFFIX, Scope::Base, "(dc=*)", vec!["dc"])
                .await
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    directory.set_fault(None);
    assert_eq!(waiting.await.expect("no panic").expect("answers").1.rc, 0);

    directory.set_fault(Some(Fault::CloseConnections));
    assert!(
        ldap.search(sample::SUFFIX, Scope::Base, "(dc=*)", vec!["dc"])
            .await
            .is_err()
    );
    assert!(
        connect(&directory)
            .await
            .simple_bind(sample::SERVICE_DN, "x")
            .await
            .is_err()
    );
    directory.set_fault(None);
    assert_eq!(
        bind_code(&directory, sample::SERVICE_DN, sample::SERVICE_PASSWORD).await,
        0
    );
}

#[tokio::test]
async fn a_dropped_directory_closes_its_connections() {
    let directory = start();
    let mut ldap = bound(&directory).await;
    let url = directory.url();
    drop(directory);
    assert!(
        ldap.search(sample::SUFFIX, Scope::Base, "(dc=*)", vec!["dc"])
            .await
            .is_err()
    );
    assert!(LdapConnAsync::new(&url).await.is_err());
}

async fn ldapsearch(directory: &RunningDirectory, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new("ldapsearch");
    command
        .args(["-x", "-LLL", "-H", &directory.url()])
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("ldapsearch runs (package ldap-utils)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("an exit code"), text)
}

#[tokio::test]
async fn ldapsearch_reads_it_like_any_directory() {
    let directory = start();
    let service = ["-D", sample::SERVICE_DN, "-w", sample::SERVICE_PASSWORD];
    let (code, _) = ldapsearch(&directory, &["-b", sample::SUFFIX]).await;
    assert_eq!(code, 8, "anonymous search");
    let root = ["-b", "", "-s", "base", "namingContexts"];
    let (code, text) = ldapsearch(&directory, &root).await;
    assert_eq!(
        (code, text.contains("namingContexts: dc=example,dc=com")),
        (0, true),
        "{text}"
    );
    let query = [
        "-E",
        "pr=2/noprompt",
        "-b",
        sample::PEOPLE_BASE,
        "(&(uid=*)(!(cn=*zz*)))",
        "uid",
    ];
    let (code, text) = ldapsearch(&directory, &[&service[..], &query].concat()).await;
    assert_eq!(
        (code, text.matches("\nuid: ").count()),
        (0, sample::PEOPLE.len()),
        "{text}"
    );
    let locked = ["-b", sample::PEOPLE_BASE, "(uid=locked)", "+", "*"];
    let (code, text) = ldapsearch(&directory, &[&service[..], &locked].concat()).await;
    assert_eq!(code, 0);
    assert!(
        text.contains("pwdAccountLockedTime: 000001010000Z"),
        "{text}"
    );
    assert!(
        text.contains("entryUUID: ") && !text.contains("userPassword"),
        "{text}"
    );
    let wrong = [
        "-D",
        sample::SERVICE_DN,
        "-w",
        "wrong",
        "-b",
        sample::SUFFIX,
    ];
    assert_eq!(ldapsearch(&directory, &wrong).await.0, 49);
}
