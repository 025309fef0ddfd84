//! Micro-benchmarks: the codec function by function; routing, queues and dispatch through a broker in process.
//!
//! The broker's rooms are private, and stay so: what is measured is a whole conversation in prepared bytes, made so that one
//! part of it outweighs the rest. `fastest` is the column to compare on a machine that others use too.

mod codec;
mod dispatch;
mod routing;

use std::time::Duration;

/// For one benchmark; `--max-time` says otherwise.
const TIME_MAX: Duration = Duration::from_secs(1);

fn main() {
    divan::Divan::default().max_time(TIME_MAX).config_with_args().main();
}
