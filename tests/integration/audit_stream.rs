//! The audit log's stream and its checkpoints, from a running server.

use std::{fs, os::unix::net::UnixDatagram, path::Path, time::Duration};

use rolegate::{audit::checkpoint::CheckpointKey, store::AuditLog as _};
use serde_json::Value;

use crate::support::{
    app::{Options, TestApp},
    temporary_dir,
};

async fn streaming_to(target: String) -> TestApp {
    TestApp::start_overriding(&[("AUDIT__STREAM", &target)]).await
}

/// Waits until `found` says so; the tests' own deadline.
async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn count(lines: &[Value]) -> i64 {
    lines.len().try_into().unwrap()
}

fn places(lines: &[Value]) -> Vec<i64> {
    lines
        .iter()
        .map(|line| line["seq"].as_i64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_becomes_a_line_in_order_across_a_restart() {
    let dir = temporary_dir("stream");
    let file = dir.path().join("audit.jsonl");
    let mut app = streaming_to(format!("file:{}", file.display())).await;
    app.signed_in("linus").await;
    let head = app.store.chain_head().await.unwrap().seq;
    let told = until("the stream", || {
        Some(lines(&file)).filter(|l| count(l) >= head)
    })
    .await;
    let expected: Vec<i64> = (1..=head).collect();
    assert_eq!(places(&told), expected);
    let rows = app.audit_rows().await;
    for (line, row) in told.iter().zip(rows.iter().rev()) {
        assert_eq!(line["type"], "audit");
        assert_eq!(line["hash"], row.hash);
        assert_eq!(line["event"], serde_json::to_value(&row.event).unwrap());
    }
    // The file is moved away, and the program restarts.
    let cursor = format!("file:{}", file.display());
    while app.store.stream_cursor(&cursor).await.unwrap() < head {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::rename(&file, dir.path().join("old.jsonl")).unwrap();
    app.restart().await;
    app.signed_in("linus").await;
    let head_now = app.store.chain_head().await.unwrap().seq;
    let more = head_now - head;
    let told = until("the rest", || {
        Some(lines(&file)).filter(|l| count(l) >= more)
    })
    .await;
    assert_eq!(places(&told), (head + 1..=head_now).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_down_holds_nobody_up_and_catches_up() {
    let dir = temporary_dir("stream");
    let folder = dir.path().join("later");
    let file = folder.join("audit.jsonl");
    let app = streaming_to(format!("file:{}", file.display())).await;
    app.signed_in("linus").await;
    let head = app.store.chain_head().await.unwrap().seq;
    let lag = format!("rolegate_audit_stream_lag_rows {head}");
    // The gauge is the process's; other tests' streams may tell theirs in between.
    for _ in 0..3_000 {
        if app.metrics().await.contains(&lag) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::create_dir(&folder).unwrap();
    let told = until("the stream", || {
        Some(lines(&file)).filter(|l| count(l) >= head)
    })
    .await;
    assert_eq!(places(&told), (1..=head).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_blocks_holds_nobody_up() {
    let dir = temporary_dir("stream");
    let pipe = dir.path().join("pipe");
    // Nobody reads: to open it for writing waits for ever.
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let mut app = streaming_to(format!("file:{}", pipe.display())).await;
    app.signed_in("linus").await;
    app.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_gets_rfc_5424_messages() {
    let dir = temporary_dir("stream");
    let path = dir.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let app = streaming_to(format!("syslog:{}", path.display())).await;
    app.signed_in("linus").await;
    let head = app.store.chain_head().await.unwrap().seq;
    let received = tokio::task::spawn_blocking(move || {
        let mut seen = Vec::new();
        let mut message = vec![0; 65_536];
        for _ in 0..head {
            let length = socket.recv(&mut message).unwrap();
            seen.push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
        seen
    });
    let received = received.await.unwrap();
    let told: Vec<Value> = received
        .iter()
        .map(|message| {
            assert!(message.starts_with("<86>1 20"), "{message}");
            let (header, line) = message.split_once(" - {").unwrap();
            assert!(
                header.contains(" - rolegate ") && header.ends_with(" audit"),
                "{header}"
            );
            serde_json::from_str(&format!("{{{line}")).unwrap()
        })
        .collect();
    assert_eq!(places(&told), (1..=head).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_signs_checkpoints_and_notes_its_settings() {
    let dir = temporary_dir("checkpoints");
    let key = dir.path().join("key.pem");
    fs::write(&key, CheckpointKey::generate().unwrap().as_bytes()).unwrap();
    let file = dir.path().join("checkpoints.jsonl");
    let overrides = [
        ("AUDIT__CHECKPOINT_KEY_FILE", key.display().to_string()),
        ("AUDIT__CHECKPOINT_FILE", file.display().to_string()),
    ];
    let overrides = overrides
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    let app = TestApp::start_with(Options {
        overrides,
        ..Options::default()
    })
    .await;
    let signed = until("a checkpoint", || lines(&file).into_iter().next()).await;
    let seq = signed["seq"].as_i64().unwrap();
    let hash = app.store.chain_hash(seq).await.unwrap().unwrap();
    assert_eq!(signed["hash"], hash);
    let rows = app.audit_rows().await;
    let settings = rows
        .iter()
        .find(|row| row.event.action.as_str() == "settings.load");
    let details = &settings.unwrap().event.details;
    assert_eq!(details["sha256"], app.config.fingerprint);
    assert_eq!(app.config.fingerprint.len(), 64);
}
