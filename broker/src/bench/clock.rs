//! The time of a measurement: nanoseconds since it began, the schedule of a fixed rate, and an alarm that is exact.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Instant;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::trouble::Result;

const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds since the first call, the same for all threads.
pub(crate) fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// When each message of a producer is to be sent. Latency counts from there, so that a stall is charged to every message
/// that it kept waiting, not only to the one that met it (coordinated omission).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    start_ns: u64,
    step_ns: f64,
}

impl Pace {
    /// The part of producer number `index` in `rate` messages a second that `producers` share.
    pub(crate) fn new(start_ns: u64, rate: f64, producers: usize, index: usize) -> Self {
        let step_ns = NS_PER_S as f64 * producers as f64 / rate;
        let offset = step_ns * index as f64 / producers as f64;
        Pace { start_ns: start_ns + offset as u64, step_ns }
    }

    /// When message number `index` is due, from 0.
    pub(crate) fn time_of(&self, index: u64) -> u64 {
        self.start_ns + (self.step_ns * index as f64) as u64
    }

    /// How many messages are due by then.
    pub(crate) fn due(&self, now_ns: u64) -> u64 {
        let Some(passed) = now_ns.checked_sub(self.start_ns) else { return 0 };
        (passed as f64 / self.step_ns) as u64 + 1
    }
}

/// A timer of the kernel's: the runtime's own have a grain of a millisecond, which would be most of what is measured.
pub(crate) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    pub(crate) fn new() -> Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags).map_err(std::io::Error::from)?;
        #[expect(
            deprecated,
            reason = "an OwnedFd stays open and the same, which the replacement wants promised as unsafe"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Alarm(timer))
    }

    /// Waits until then.
    pub(crate) async fn sleep_until(&self, time_ns: u64) -> Result<()> {
        let rest_ns = time_ns.saturating_sub(now_ns()).max(1);
        let timespec = |ns: u64| Timespec { tv_sec: (ns / NS_PER_S) as i64, tv_nsec: (ns % NS_PER_S) as _ };
        let once = Itimerspec { it_interval: timespec(0), it_value: timespec(rest_ns) };
        rustix::time::timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)
            .map_err(std::io::Error::from)?;
        let read = |timer: &OwnedFd| Ok(rustix::io::read(timer, &mut [0; 8])?);
        self.0.async_io(Interest::READABLE, read).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_keeps_its_rate_however_late_it_is_asked() {
        let pace = Pace::new(500, 1000.0, 1, 0);
        assert_eq!([pace.time_of(0), pace.time_of(1), pace.time_of(3000)], [500, 1_000_500, 3_000_000_500]);
        assert_eq!([pace.due(499), pace.due(500), pace.due(1_000_499), pace.due(1_000_500)], [0, 1, 1, 2]);
        assert_eq!(pace.due(3_000_000_500), 3001);
    }

    #[test]
    fn producers_share_a_rate_and_take_turns() {
        let times = [0, 1, 2].map(|index| Pace::new(0, 3000.0, 3, index).time_of(1));
        assert_eq!(times, [1_000_000, 1_333_333, 1_666_666]);
    }

    #[tokio::test]
    async fn an_alarm_does_not_ring_early() {
        let alarm = Alarm::new().unwrap();
        let time = now_ns() + 300_000;
        alarm.sleep_until(time).await.unwrap();
        assert!(now_ns() >= time);
        alarm.sleep_until(0).await.unwrap();
    }
}
