//! A broker that lies: it keeps the protocol for a while and then says what nobody asked, of what does not exist, in sizes
//! that cannot be. Whatever it says, the client neither panics nor waits for ever nor grows, and a lie that the protocol
//! allows on one channel leaves the others alone.
//!
//! Each case is made from its seed, which a failure names: `LEVERET_CLIENT_SEEDS=7..8 cargo test -p leveret-client --test
//! lying_broker` runs case 7 alone. A case that fails is made smaller before it is shown.

#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

mod broker;
mod floods;
mod heap;
mod lies;
mod neighbours;
mod program;
mod watch;

use std::ops::Range;
use std::time::Duration;

use leveret_client::{Connection, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::io::DuplexStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::time::timeout;

use broker::{Broker, Login};
use lies::Lie;
use program::Call;

/// What a client may hold beyond what the test itself does: its buffers, and the little that these cases send.
const HELD_BYTES_MAX: usize = 4 << 20;
/// Longer, on the paused clock, than every time limit in the client together.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What the broker does next.
#[derive(Clone, Debug)]
enum Act {
    /// Answers so many of the client's frames as it should.
    Answer(u8),
    Lie(Lie),
    /// Lies the same so many times.
    Insist(Lie, u8),
    Wait(u8),
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum End {
    HangUp,
    /// Nothing is said or read any more.
    Silence,
    /// connection.close.
    Close,
    /// It goes on as it should until the client closes the connection.
    Honest,
}

#[derive(Clone, Debug)]
struct Case {
    login: Login,
    /// The calls of each channel.
    program: Vec<Vec<Call>>,
    story: Vec<Act>,
    end: End,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1u8..12).prop_map(Act::Answer),
        6 => lies::lie().prop_map(Act::Lie),
        1 => (lies::lie(), 2u8..40).prop_map(|(lie, times)| Act::Insist(lie, times)),
        1 => (1u8..30).prop_map(Act::Wait),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let end = select(&[End::HangUp, End::Silence, End::Close, End::Honest][..]);
    let program = vec(vec(program::call(), 0..6), 1..4);
    (broker::login(), program, vec(act(), 0..10), end).prop_map(|(login, program, story, end)| Case {
        login,
        program,
        story,
        end,
    })
}

/// The broker's side of a case; with it, the most that was on the heap.
async fn play(mut broker: Broker, case: &Case, over: &Notify) -> usize {
    let mut most = 0;
    if broker.welcome(&case.login).await {
        for act in &case.story {
            match act {
                Act::Answer(frames) => broker.answer(*frames).await,
                Act::Lie(lie) => broker.lie(lie).await,
                Act::Insist(lie, times) => {
                    for _ in 0..*times {
                        broker.lie(lie).await;
                    }
                }
                Act::Wait(seconds) => tokio::time::sleep(Duration::from_secs((*seconds).into())).await,
            }
            most = most.max(heap::live());
        }
    }
    match case.end {
        End::HangUp => {}
        End::Silence => over.notified().await,
        End::Close => broker.close().await,
        End::Honest => broker.answer_until_the_end().await,
    }
    most
}

/// The client's side of a case.
async fn live(ours: DuplexStream, case: &Case) -> Result<(), String> {
    let options = Options::default().heartbeat_s(10).message_bytes_max(1 << 20).unconfirmed_max(50);
    let connection = match Connection::over(ours, options).await {
        Ok(connection) => connection,
        Err(error) => return watch::not_by_a_panic(&error),
    };
    let honest = matches!(case.end, End::Honest);
    let calls = program::run(&connection, &case.program);
    if honest {
        // An answer that was said to someone else is missing for ever: only the program can give up then.
        let _ = timeout(Duration::from_secs(600), calls).await;
        let _ = connection.close().await;
    } else {
        calls.await;
        if let End::Close = case.end {
            let _ = connection.close().await;
        }
    }
    let end = connection.closed().await;
    if connection.is_open() {
        return Err(format!("closed by '{end}' and yet open"));
    }
    watch::not_by_a_panic(&end)
}

/// A runtime on this thread, on which time passes when everybody waits.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn told(case: &Case) -> Result<(), String> {
    let before = heap::live();
    let panics = watch::panics();
    let runtime = paused();
    let (lived, most) = runtime.block_on(async {
        let (ours, broker) = broker::pipe();
        let over = Notify::new();
        let client = async {
            let lived = timeout(PATIENCE, live(ours, case)).await;
            over.notify_one();
            lived.unwrap_or_else(|_| Err(String::from("somebody still waits")))
        };
        tokio::join!(client, play(broker, case, &over))
    });
    drop(runtime);
    lived?;
    if watch::panics() > panics {
        return Err(String::from("something panicked"));
    }
    match most.saturating_sub(before) {
        held if held > HELD_BYTES_MAX => Err(format!("{held} bytes were held")),
        _ => Ok(()),
    }
}

/// The seeds to run: `LEVERET_CLIENT_SEEDS=from..to`, or the default.
fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("LEVERET_CLIENT_SEEDS") else { return default };
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.expect("LEVERET_CLIENT_SEEDS is from..to")
}

/// Checks one case for each seed.
fn check<T: std::fmt::Debug>(
    seeds: Range<u64>,
    cases: &impl Strategy<Value = T>,
    holds: impl Fn(&T) -> Result<(), String>,
) {
    for seed in seeds {
        watch::begin(seed);
        let config = Config {
            cases: 1,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            max_shrink_iters: 500,
            ..Config::default()
        };
        let held = |case| holds(&case).inspect_err(|_| watch::quiet(true)).map_err(TestCaseError::fail);
        let checked = TestRunner::new(config).run(cases, held);
        watch::quiet(false);
        let why = match checked {
            Ok(()) => continue,
            Err(TestError::Fail(why, case)) => format!("{why}\n{case:?}"),
            Err(TestError::Abort(why)) => why.to_string(),
        };
        assert!(why.is_empty(), "seed {seed}: {why}");
    }
}

#[test]
fn whatever_a_broker_says_every_call_ends_and_nothing_panics_or_grows() {
    let _alone = heap::alone();
    check(seeds(0..3_000), &case(), told);
}

/// What a case leaves behind would be little, and so does not show in one.
#[test]
fn connections_that_ended_badly_leave_nothing_behind() {
    let _alone = heap::alone();
    check(0..200, &case(), told);
    let before = heap::live();
    check(0..200, &case(), told);
    let kept = heap::live().saturating_sub(before);
    assert!(kept < 64 << 10, "{kept} bytes are kept after 200 connections");
}
