//! Crunchers that are killed in mid-work: their files come again, and the totals are those of a run without harm.

use std::process::{Command, Stdio};

use cruncher_demo::{prompt, topology};
use leveret::{Broker, Config};
use leveret_client::{Connection, Get};
use serde_json::json;

use super::{mails, totals, up};

/// Every second of the eight files kills each cruncher, before and after its result by turns.
#[test]
fn killing_crunchers_changes_no_total() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, harmed) = (folder.path().join("calm"), folder.path().join("harmed"));
    let undisturbed = totals(&up(&calm, &[]));
    let output = up(&harmed, &["--chaos"]);
    let mut totals = totals(&output);
    let chaos = totals.as_object_mut().unwrap().remove("chaos").unwrap();
    assert_eq!(totals, undisturbed);
    assert_eq!(mails(&harmed), mails(&calm));
    let expected = json!({
        "files": 8, "crunched_fast": 8, "crunched_slow": 8, "killed": 8, "redelivered": 8, "results_twice": 4,
        "addresses": undisturbed["addresses"], "addresses_without_chaos": undisturbed["addresses"], "holds": true,
    });
    assert_eq!(chaos, expected);
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert_eq!(remarks.matches("chaos: a slow cruncher was killed").count(), 4, "{remarks}");
    assert_eq!(remarks.matches("chaos: a fast cruncher was killed").count(), 4, "{remarks}");
}

/// The last file is the one whose result comes twice: the run ends only when it has.
#[test]
fn a_run_waits_for_what_the_killed_had_in_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let names = ["a", "b", "c"].map(path);
    for (name, text) in names.iter().zip(["ann@apple.com", "bob@orchard.org", "carl at apple dot com"]) {
        std::fs::write(name, text).unwrap();
    }
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    let output = up(&folder.path().join("out"), &[&["--chaos", "--pace", "20"], &files[..]].concat());
    let chaos = totals(&output)["chaos"].take();
    let counts = ["killed", "redelivered", "results_twice", "addresses"].map(|name| chaos[name].as_u64().unwrap());
    assert_eq!((counts, &chaos["holds"]), ([4, 4, 2, 3], &json!(true)));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("nothing lost, nothing twice"), "{printed}");
}

async fn broker() -> Broker {
    Broker::start(Config::in_memory().listen("127.0.0.1:0".parse().unwrap())).await.unwrap()
}

/// Files of others in the queues: three that nobody had yet, one of them with a label, and one that comes again.
async fn leave_files(broker: &Broker) {
    let connection = Connection::over(broker.connect(), Default::default()).await.unwrap();
    let channel = connection.open_channel().await.unwrap();
    topology::declare(&channel).await.unwrap();
    for label in [None, Some("other/0"), None] {
        prompt::publish(&channel, "/no/such/file", label).await.unwrap();
    }
    for queue in [topology::REGEX_CRUNCHER, topology::SLOW_CRUNCHER] {
        assert!(channel.get(Get::new(queue)).await.unwrap().is_some());
    }
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_are_no_part_of_the_account() {
    let broker = broker().await;
    leave_files(&broker).await;
    let url = broker.amqp_url().unwrap().to_owned();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().to_owned();
    let output = tokio::task::spawn_blocking(move || up(&path, &["--chaos", "--url", &url])).await.unwrap();
    let chaos = totals(&output)["chaos"].take();
    let counts = ["files", "killed", "redelivered", "results_twice"].map(|name| chaos[name].as_u64().unwrap());
    assert_eq!((counts, &chaos["holds"]), ([8, 8, 8, 4], &json!(true)));
    broker.shutdown().await.unwrap();
}

/// Each file would last an hour. What is in hand is finished at once, and the other seven stay where they are.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_end_does_not_wait_for_the_pace() {
    let out = tempfile::tempdir().unwrap();
    for kills in [&[][..], &["--chaos"]] {
        let broker = broker().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_cruncher-demo"));
        command.args(["up", "--once", "--plain", "--pace", "3600000", "--url", broker.amqp_url().unwrap(), "--out"]);
        let program = command.arg(out.path()).args(kills).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let of_both = |broker: &Broker| {
            let queues = [topology::REGEX_CRUNCHER, topology::SLOW_CRUNCHER].map(|name| broker.queue("/", name));
            queues.map(|queue| queue.map(|queue| (queue.ready(), queue.unacked())))
        };
        broker.wait_until(|broker| of_both(broker) == [Some((7, 1)); 2]).await.unwrap();
        let asked = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let output = tokio::task::spawn_blocking(|| program.wait_with_output()).await.unwrap().unwrap();
        let remarks = String::from_utf8_lossy(&output.stderr);
        broker
            .wait_until(|broker| of_both(broker).into_iter().flatten().all(|(_, unacked)| unacked == 0))
            .await
            .unwrap();
        assert_eq!(of_both(&broker), [Some((7, 0)); 2], "{remarks}");
        broker.shutdown().await.unwrap();
    }
}

/// Without `--once` it goes on until it is told to end, and finishes what it has begun, for the account.
#[cfg(unix)]
#[test]
fn chaos_that_is_told_to_end_makes_its_account() {
    use std::io::{BufRead, BufReader};

    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cruncher-demo"));
    command.env_remove("AMQP_URL").args(["up", "--chaos", "--every", "10", "--pace", "5", "--out"]).arg(out.path());
    let mut program = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut remarks = BufReader::new(program.stderr.take().unwrap()).lines();
    let printed = BufReader::new(program.stdout.take().unwrap());
    let printed = std::thread::spawn(move || printed.lines().map_while(Result::ok).collect::<Vec<_>>());
    let kills = remarks.by_ref().map_while(Result::ok).filter(|line| line.starts_with("chaos: ")).take(10).count();
    assert_eq!(kills, 10);
    let remarks = std::thread::spawn(move || remarks.map_while(Result::ok).count());
    let asked = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
    assert!(asked.success() && program.wait().unwrap().success());
    remarks.join().unwrap();
    let printed = printed.join().unwrap();
    let told = printed.iter().find(|line| line.starts_with("up: chaos: ")).unwrap();
    assert!(told.ends_with("nothing lost, nothing twice"), "{told}");
}
