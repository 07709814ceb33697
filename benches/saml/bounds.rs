//! What the largest accepted and the worst refused messages cost.
//!
//! Every document is just below the size limit and as dear as its kind can be made. The goal is
//! the same for all: no message may keep a processor for longer than 50 ms.

use std::{fmt::Write as _, fs, hint::black_box, time::Instant};

use rolegate::identity::saml::{
    gate::LARGEST,
    verify::{Trust, verify},
};
use time::OffsetDateTime;

use super::{
    case::{self, Signer},
    report::{judged, told},
};

const GOAL_MILLISECONDS: f64 = 50.0;
/// How often each document is looked at; the quickest time counts, which noise only adds to.
const TURNS: usize = 5;
/// Certificates of a provider that is about to change its key, and has done so before.
const CERTIFICATES: usize = 4;

pub fn measure(signer: &Signer, now: OffsetDateTime) {
    let now = now.replace_nanosecond(0).unwrap();
    let others: Vec<Signer> = (0..CERTIFICATES).map(|_| Signer::new()).collect();
    let others: Vec<&Signer> = others.iter().collect();
    let mut worst = 0.0_f64;
    for (name, attributes) in dear_attributes() {
        let document = signer.signed(&attributes, now);
        assert!(document.len() <= LARGEST, "{name}: {}", document.len());
        let size = document.len();
        let own = cost(&document, &case::trust(&[signer]), now);
        let foreign = cost(&document, &case::trust(&others), now);
        let label = format!("{name}, {size} bytes");
        judge(&format!("{label}: {}", own.1), own.0, &mut worst);
        let label = format!("{label}: {} by {CERTIFICATES} keys", foreign.1);
        judge(&label, foreign.0, &mut worst);
    }
    for (name, document) in dear_documents() {
        assert!(document.len() <= LARGEST, "{name}: {}", document.len());
        let (time, verdict) = cost(&document, &case::trust(&[signer]), now);
        let label = format!("{name}, {} bytes: {verdict}", document.len());
        judge(&label, time, &mut worst);
    }
    let is_met = worst <= GOAL_MILLISECONDS;
    judged(
        "the dearest of all",
        &format!("{worst:.1} ms"),
        "≤ 50 ms",
        is_met,
    );
    if let Some(peak) = peak_memory() {
        told("peak memory of this process, all of it", &peak);
    }
}

fn judge(label: &str, milliseconds: f64, worst: &mut f64) {
    *worst = worst.max(milliseconds);
    told(label, &format!("{milliseconds:.2} ms"));
}

/// Milliseconds, and the verdict.
fn cost(document: &str, trust: &Trust, now: OffsetDateTime) -> (f64, String) {
    let expected = case::expectations();
    let mut quickest = f64::INFINITY;
    let mut verdict = String::new();
    for _ in 0..TURNS {
        let start = Instant::now();
        let verified = black_box(verify(document.as_bytes(), trust, &expected, now));
        quickest = quickest.min(start.elapsed().as_secs_f64() * 1e3);
        verdict = match verified {
            Ok(_) => "accepted".to_owned(),
            Err(refused) => refused.reason.code().to_owned(),
        };
    }
    (quickest, verdict)
}

/// Attributes that fill a response up to the limit, each in another way.
fn dear_attributes() -> Vec<(&'static str, String)> {
    let open = r#"<saml:Attribute Name="groups">"#;
    // What stands around the attributes, with the signature's values.
    let room = LARGEST - 6_000;
    let filled = |value: &dyn Fn(usize) -> String| {
        let mut xml = open.to_owned();
        let mut n = 0;
        loop {
            let next = value(n);
            if xml.len() + next.len() > room {
                break;
            }
            xml += &next;
            n += 1;
        }
        xml + "</saml:Attribute>"
    };
    let foreign: String = (0..30).fold(String::new(), |mut text, n| {
        let _ = write!(text, r#" f:a{n}="""#);
        text
    });
    let spaces: String = (0..30).fold(String::new(), |mut text, n| {
        let _ = write!(text, r#" xmlns:n{n}="u:{n}""#);
        text
    });
    vec![
        (
            "groups",
            filled(&|n| format!("<saml:AttributeValue>aws-payments-{n:05}</saml:AttributeValue>")),
        ),
        (
            "empty values",
            filled(&|_| "<saml:AttributeValue/>".to_owned()),
        ),
        (
            "escapes",
            filled(&|_| {
                "<saml:AttributeValue>&amp;&lt;&gt;&#38;&#x26;</saml:AttributeValue>".to_owned()
            }),
        ),
        (
            "one long value",
            filled(&|n| match n {
                0 => format!(
                    "<saml:AttributeValue>{}</saml:AttributeValue>",
                    "x".repeat(room - 200)
                ),
                _ => " ".repeat(room),
            }),
        ),
        (
            "foreign attributes",
            filled(&|_| format!(r#"<saml:AttributeValue xmlns:f="u:f"{foreign}/>"#)),
        ),
        (
            "namespaces",
            filled(&|_| format!("<saml:AttributeValue{spaces}/>")),
        ),
    ]
}

/// Documents that go no further than the gate.
fn dear_documents() -> Vec<(&'static str, String)> {
    let response = |inside: String| {
        format!(
            r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_1" Version="2.0">{inside}</samlp:Response>"#
        )
    };
    let room = LARGEST - 200;
    let repeated = |text: &str| text.repeat(room / text.len());
    vec![
        ("nesting", response("<a>".repeat(room / 3))),
        ("elements", response(repeated("<a/>"))),
        ("comments", response(repeated("<!---->"))),
        ("references", response(repeated("&#38;"))),
        ("unknown entities", response(repeated("&x;"))),
        (
            "an attribute's value",
            format!(r#"<a b="{}"/>"#, "&lt;".repeat(room / 4)),
        ),
        ("no markup", "a".repeat(room)),
        ("unclosed markup", "<".repeat(room)),
        ("zeros", "\0".repeat(room)),
    ]
}

/// As the kernel tells it.
fn peak_memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}
