//! What is counted within this process: heap allocations, and turns of the connections' tasks.

use std::alloc::System;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use leveret_tests::in_process::{InProcess, Plan};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::report::Figure;
use crate::{COUNTED, WARM_UP, figure};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

pub(crate) fn figures() -> Vec<Figure> {
    vec![
        figure("allocations", Some(1.0), |case| case.cost(|plan, batch| Some(allocated(plan, batch).0))),
        figure("bytes", None, |case| case.cost(|plan, batch| Some(allocated(plan, batch).1))),
        figure("turns", Some(0.0), |case| case.cost(|plan, batch| Some(turns(plan, batch)))),
    ]
}

/// Allocations, and bytes of them. What grows in place counts as one more.
fn allocated(plan: Plan, batch: usize) -> (f64, f64) {
    let process = InProcess::start();
    let mut flow = process.flow(plan, batch);
    let change = process.run(async move {
        for _ in 0..WARM_UP {
            flow.batch().await?;
        }
        let region = Region::new(HEAP);
        for _ in 0..COUNTED {
            flow.batch().await?;
        }
        std::io::Result::Ok(region.change())
    });
    let change = change.expect("the broker takes what is published");
    ((change.allocations + change.reallocations) as f64, change.bytes_allocated as f64)
}

/// Turns of the connections' tasks, at most: how often a task beside them that always runs has had its own. Tasks that are
/// woken run in the order of their waking, each once before that one comes again.
fn turns(plan: Plan, batch: usize) -> f64 {
    let process = InProcess::start();
    let mut flow = process.flow(plan, batch);
    let rounds = Arc::new(AtomicUsize::new(0));
    let metronome = rounds.clone();
    let counted = process.run(async move {
        tokio::spawn(poll_fn(move |cx| {
            metronome.fetch_add(1, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        for _ in 0..WARM_UP {
            flow.batch().await?;
        }
        let before = rounds.load(Ordering::Relaxed);
        for _ in 0..COUNTED {
            flow.batch().await?;
        }
        std::io::Result::Ok(rounds.load(Ordering::Relaxed) - before)
    });
    counted.expect("the broker takes what is published") as f64
}
