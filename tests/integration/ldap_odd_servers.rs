//! The LDAP connector against answers that no server here gives: ranges of values, broken searches,
//! malformed messages. The answers are scripted, message by message.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use ldap3::asn1::{PL, StructureTag, TagClass, parse_tag, write};
use rolegate::{
    clock::SystemClock,
    identity::{
        PasswordConnector, Refusal, SignInError,
        ldap::{Attributes, Bind, Flavour, GroupStrategy, LdapConnector, Settings},
    },
};
use secrecy::SecretString;

use crate::ldap::{direct, reached, refusal, sign_in};

const PERSON: &str = "cn=alice,ou=people,dc=x";

/// What a client asked for.
struct Asked {
    base: String,
    attributes: Vec<String>,
    /// How many searches came before it.
    number: usize,
}

/// What a server does next.
enum Step {
    Send(StructureTag),
    HangUp,
}

/// What follows a search, in order.
type Script = fn(&Asked) -> Vec<Step>;

/// Listens on a port of 127.0.0.1; binds as `cn=broken` get a malformed answer, others succeed.
fn serve(script: Script) -> (String, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let log = Arc::clone(&log);
            thread::spawn(move || converse(stream, script, &log));
        }
    });
    (url, asked)
}

#[expect(
    clippy::default_trait_access,
    reason = "the buffer's type is in a crate that we do not depend on"
)]
fn converse(mut stream: TcpStream, script: Script, log: &Mutex<Vec<Asked>>) {
    let mut buffer = Vec::new();
    while let Some(message) = next_message(&mut stream, &mut buffer) {
        let mut parts = constructed(message).into_iter();
        let (id, operation) = (parts.next().unwrap(), parts.next().unwrap());
        let answers = match operation.id {
            0 => vec![Step::Send(bound(operation))],
            3 => {
                let mut log = log.lock().unwrap();
                let asked = asked(operation, log.len());
                let answers = script(&asked);
                log.push(asked);
                answers
            }
            _ => return,
        };
        for answer in answers {
            let Step::Send(answer) = answer else { return };
            let message = sequence(vec![id.clone(), answer]);
            let mut bytes = Default::default();
            write::encode_into(&mut bytes, message).unwrap();
            if stream.write_all(&bytes[..]).is_err() {
                return;
            }
        }
    }
}

fn next_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<StructureTag> {
    loop {
        if let Ok((rest, message)) = parse_tag(buffer) {
            let used = buffer.len() - rest.len();
            buffer.drain(..used);
            return Some(message);
        }
        let mut more = [0; 4096];
        match stream.read(&mut more) {
            Ok(length @ 1..) => buffer.extend_from_slice(&more[..length]),
            _ => return None,
        }
    }
}

fn asked(search: StructureTag, number: usize) -> Asked {
    let parts = constructed(search);
    Asked {
        base: text(parts[0].clone()),
        attributes: constructed(parts[7].clone())
            .into_iter()
            .map(text)
            .collect(),
        number,
    }
}

fn bound(request: StructureTag) -> StructureTag {
    let name = text(constructed(request)[1].clone());
    let words: &[u8] = if name.starts_with("cn=broken") {
        b"\xff\xfe"
    } else {
        b""
    };
    application(1, result(0, words))
}

fn done(code: u8) -> Step {
    Step::Send(application(5, result(code, b"as scripted")))
}

fn entry(dn: &str, attributes: &[(&str, &[&str])]) -> Step {
    let attributes = attributes
        .iter()
        .map(|(name, values)| {
            let values = values.iter().map(|value| octets(value.as_bytes()));
            sequence(vec![
                octets(name.as_bytes()),
                tag(TagClass::Universal, 17, PL::C(values.collect())),
            ])
        })
        .collect();
    Step::Send(application(
        4,
        vec![octets(dn.as_bytes()), sequence(attributes)],
    ))
}

fn person() -> Step {
    entry(PERSON, &[("uid", &["alice"]), ("entryUUID", &["id-1"])])
}

fn group(name: &str) -> Step {
    entry(&format!("cn={name},dc=x"), &[])
}

fn reference() -> Step {
    Step::Send(application(
        19,
        vec![octets(b"ldap://elsewhere.example/dc=y")],
    ))
}

fn result(code: u8, words: &[u8]) -> Vec<StructureTag> {
    let code = tag(TagClass::Universal, 10, PL::P(vec![code]));
    vec![code, octets(b""), octets(words)]
}

fn application(id: u64, parts: Vec<StructureTag>) -> StructureTag {
    tag(TagClass::Application, id, PL::C(parts))
}

fn sequence(parts: Vec<StructureTag>) -> StructureTag {
    tag(TagClass::Universal, 16, PL::C(parts))
}

fn octets(bytes: &[u8]) -> StructureTag {
    tag(TagClass::Universal, 4, PL::P(bytes.to_vec()))
}

fn tag(class: TagClass, id: u64, payload: PL) -> StructureTag {
    StructureTag { class, id, payload }
}

fn constructed(tag: StructureTag) -> Vec<StructureTag> {
    tag.expect_constructed().unwrap()
}

fn text(tag: StructureTag) -> String {
    String::from_utf8(tag.expect_primitive().unwrap()).unwrap()
}

fn settings(url: &str) -> Settings {
    let limit = Duration::from_secs(20);
    Settings {
        id: "corp".parse().unwrap(),
        label: "Scripted".to_owned(),
        urls: vec![url.parse().unwrap()],
        start_tls: false,
        ca_pem: None,
        bind: Bind::Service {
            dn: "cn=svc,dc=x".to_owned(),
            password: SecretString::from("secret"),
        },
        user_base: "ou=people,dc=x".to_owned(),
        user_filter: "(uid={username})".to_owned(),
        attributes: Attributes {
            subject: "entryUUID".to_owned(),
            username: "uid".to_owned(),
            display_name: None,
            email: None,
        },
        group_strategy: GroupStrategy::Search,
        group_base: Some("dc=x".to_owned()),
        group_filter: "(member={dn})".to_owned(),
        nested_groups: false,
        nesting_limit: 5,
        group_limit: 100,
        page_size: 50,
        pool_size: 2,
        connect_timeout: limit,
        operation_timeout: limit,
        sign_in_timeout: limit,
        flavour: Flavour::Other,
    }
}

fn connector(settings: Settings) -> LdapConnector {
    LdapConnector::new(settings, Arc::new(SystemClock)).unwrap()
}

fn ranged(asked: &Asked) -> Vec<Step> {
    let all = [
        "cn=a,dc=x",
        "cn=b,dc=x",
        "cn=c,dc=x",
        "cn=d,dc=x",
        "cn=e,dc=x",
    ];
    let wanted = asked
        .attributes
        .iter()
        .find_map(|name| name.strip_prefix("memberOf;range="));
    let values = match wanted {
        None => ("memberOf;range=0-1", &all[..2]),
        Some("2-*") => ("memberOf;range=2-3", &all[2..4]),
        Some(_) => ("memberOf;range=4-*", &all[4..]),
    };
    let whole = [
        ("uid", &["alice"][..]),
        ("entryUUID", &["id-1"]),
        ("memberOf", &[]),
        values,
    ];
    vec![entry(PERSON, &whole), done(0)]
}

#[tokio::test]
async fn a_list_that_comes_in_ranges_is_read_to_its_end_after_the_password() {
    let (url, asked) = serve(ranged);
    let member_of = |group_limit| Settings {
        group_strategy: GroupStrategy::MemberOf,
        group_base: None,
        group_limit,
        ..settings(&url)
    };
    let by_member_of = connector(member_of(5));
    let candidate = by_member_of.locate("alice").await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 1);
    let password = SecretString::from("secret");
    let identity = by_member_of.verify(candidate, &password).await.unwrap();
    assert_eq!(
        reached(&identity.groups),
        ["a", "b", "c", "d", "e"].map(direct)
    );
    assert!(
        asked.lock().unwrap()[1..]
            .iter()
            .all(|asked| asked.base == PERSON)
    );

    for group_limit in [1, 3, 4] {
        let result = sign_in(&connector(member_of(group_limit)), "alice", "secret").await;
        assert!(
            matches!(result, Err(SignInError::GroupsUnavailable { .. })),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_search_that_ends_badly_gives_no_groups() {
    let scripts: [Script; 6] = [
        |asked| match asked.number {
            0 => vec![person(), done(0)],
            _ => vec![group("a"), done(10)],
        },
        |asked| match asked.number {
            0 => vec![person(), done(0)],
            _ => vec![group("a"), done(3)],
        },
        |asked| match asked.number {
            0 => vec![person(), done(0)],
            _ => vec![group("a"), done(4)],
        },
        // The connection ends in the middle, every time.
        |asked| match asked.number {
            0 => vec![person(), done(0)],
            _ => vec![group("a"), Step::HangUp],
        },
        // An entry that is none.
        |asked| match asked.number {
            0 => vec![person(), done(0)],
            _ => vec![
                group("a"),
                Step::Send(application(4, vec![octets(b"\xff"), octets(b"")])),
                done(0),
            ],
        },
        // A group whose name is no DN.
        |asked| match asked.number {
            0 => vec![person(), done(0)],
            _ => vec![entry("no dn", &[]), done(0)],
        },
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let (url, _) = serve(script);
        let result = sign_in(&connector(settings(&url)), "alice", "secret").await;
        assert!(
            matches!(result, Err(SignInError::GroupsUnavailable { .. })),
            "{number}: {result:?}"
        );
    }
}

#[tokio::test]
async fn references_to_other_servers_are_not_followed() {
    let (url, asked) = serve(|asked| match asked.number {
        0 => vec![reference(), person(), reference(), done(0)],
        _ => vec![reference(), group("a"), done(0)],
    });
    let identity = sign_in(&connector(settings(&url)), "alice", "secret")
        .await
        .unwrap();
    assert_eq!(reached(&identity.groups), [direct("a")]);
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn malformed_answers_are_a_failure_of_their_server() {
    let scripts: [Script; 3] = [
        |_| vec![Step::Send(application(4, vec![octets(b"x")])), done(0)],
        // Messages that ldap3 itself does not survive.
        |_| vec![Step::Send(application(7, vec![octets(b"x")]))],
        |_| vec![Step::Send(application(5, vec![]))],
    ];
    let (healthy, _) = serve(|_| vec![person(), done(0)]);
    for (number, script) in scripts.into_iter().enumerate() {
        let (url, _) = serve(script);
        let result = sign_in(&connector(settings(&url)), "alice", "secret").await;
        assert!(
            matches!(result, Err(SignInError::Unavailable(_))),
            "{number}: {result:?}"
        );
        let mut urls = settings(&url).urls;
        urls.push(healthy.parse().unwrap());
        let second = connector(Settings {
            urls,
            ..settings(&url)
        });
        let found = second.locate("alice").await.unwrap();
        assert!(found.entry.is_some(), "{number}");
    }

    let (url, _) = serve(|_| {
        vec![
            entry("cn=broken,dc=x", &[("uid", &["b"]), ("entryUUID", &["i"])]),
            done(0),
        ]
    });
    let result = sign_in(&connector(settings(&url)), "b", "secret").await;
    assert!(
        matches!(result, Err(SignInError::Unavailable(_))),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_busy_server_hands_over_to_the_next() {
    let (busy, asked_of_busy) = serve(|_| vec![done(51)]);
    let (ready, _) = serve(|asked| match asked.number {
        0 => vec![person(), done(0)],
        _ => vec![group("a"), done(0)],
    });
    let both = connector(Settings {
        urls: vec![busy.parse().unwrap(), ready.parse().unwrap()],
        ..settings(&busy)
    });
    let identity = sign_in(&both, "alice", "secret").await.unwrap();
    assert_eq!(reached(&identity.groups), [direct("a")]);
    assert_eq!(
        asked_of_busy.lock().unwrap().len(),
        1,
        "it is left alone then"
    );
}

#[tokio::test]
async fn a_server_without_the_matched_values_control_is_asked_without_it() {
    let (url, asked) = serve(|asked| match asked.number {
        0 => vec![person(), done(0)],
        1 => vec![group("a"), group("b"), done(0)],
        // The first search above two groups has the control, which is critical.
        2 => vec![done(12)],
        3 => vec![
            entry("cn=c,dc=x", &[("member", &["cn=z,dc=x", "CN=B, DC=x"])]),
            done(0),
        ],
        _ => vec![done(0)],
    });
    let identity = sign_in(
        &connector(Settings {
            nested_groups: true,
            ..settings(&url)
        }),
        "alice",
        "secret",
    )
    .await
    .unwrap();
    let groups = reached(&identity.groups);
    assert_eq!(groups[2], ("c".to_owned(), Some("b".to_owned())));
    assert_eq!(asked.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn entries_that_identify_nobody_are_refused() {
    let scripts: [Script; 3] = [
        |_| vec![entry(PERSON, &[("uid", &["alice"])]), done(0)],
        |_| {
            vec![
                entry(PERSON, &[("uid", &["alice"]), ("entryUUID", &["a", "b"])]),
                done(0),
            ]
        },
        |_| {
            vec![
                entry(PERSON, &[("uid", &[""]), ("entryUUID", &["a"])]),
                done(0),
            ]
        },
    ];
    for script in scripts {
        let (url, _) = serve(script);
        let result = sign_in(&connector(settings(&url)), "alice", "secret").await;
        assert_eq!(refusal(result), Refusal::IncompleteEntry);
    }
    let (url, _) = serve(|_| vec![person(), person(), person(), done(0)]);
    let result = sign_in(&connector(settings(&url)), "alice", "secret").await;
    assert_eq!(refusal(result), Refusal::Ambiguous);
}
