//! The delays between rounds of attempts.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::Recovery;

/// One outage: it begins when a connection is lost, and ends when everything is as it was.
#[derive(Debug)]
pub(crate) struct Backoff {
    recovery: Recovery,
    delay: Duration,
    deadline: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(recovery: Recovery) -> Self {
        let deadline = recovery.give_up_after.and_then(|patience| Instant::now().checked_add(patience));
        Backoff { recovery, delay: recovery.first_delay.min(recovery.delay_max), deadline }
    }

    /// How long to wait before the next round; `None` if it has taken too long.
    pub(crate) fn next_delay(&mut self) -> Option<Duration> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        let delay = self.delay;
        self.delay = delay.saturating_mul(2).min(self.recovery.delay_max);
        let jittered = delay / 2 + delay.mul_f64(chance() / 2.0);
        // The last round comes when time is up, not after that.
        Some(left.map_or(jittered, |left| left.min(jittered)))
    }
}

/// From 0 to 1. The keys of hash maps are the standard library's only chance.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_vary_by_half() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(Recovery::new().first_delay(ms(100)).delay_max(ms(350)));
        for most in [100, 200, 350, 350] {
            let delay = backoff.next_delay().unwrap();
            assert!((ms(most) / 2..=ms(most)).contains(&delay), "{delay:?} of {most} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_round_there_is_none() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(Recovery::new().first_delay(second * 8).give_up_after(second));
        let last = backoff.next_delay().unwrap();
        assert_eq!(last, second);
        tokio::time::advance(last).await;
        assert_eq!(backoff.next_delay(), None);
    }
}
