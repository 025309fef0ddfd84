//! Transactions: publishes and settlements that take effect together. Confirms are faster and say more.

use leveret_spec::tx;

use super::Channel;
use crate::error::Result;

impl Channel {
    /// Makes every publish and settlement from now on part of a transaction. When its connection is lost, such a channel
    /// is over: half of a transaction must not be committed on the next one.
    ///
    /// # Errors
    /// The channel is closed with 406 if it is in confirm mode.
    pub async fn tx_select(&self) -> Result<()> {
        let attempt = || {
            let mut state = self.core().state();
            if !state.check_live()? {
                return Ok(None);
            }
            let started = self.core().start_call_in(&mut state, self.shared(), &tx::Select {})?;
            state.transactional = true;
            Ok(Some(started))
        };
        self.call_when_live(attempt).await.map(drop)
    }

    /// Carries out what was held back, and begins the next transaction.
    ///
    /// # Errors
    /// The channel is closed with 406 if it has no transactions, or by what a publish in it did wrong.
    pub async fn tx_commit(&self) -> Result<()> {
        self.done(&tx::Commit {}).await
    }

    /// Forgets what was held back, and begins the next transaction. Deliveries settled in it are unsettled again.
    ///
    /// # Errors
    /// The channel is closed with 406 if it has no transactions.
    pub async fn tx_rollback(&self) -> Result<()> {
        self.done(&tx::Rollback {}).await
    }
}
