//! Asks the broker how full the queues are: passive declarations on a connection of its own, which every AMQP broker
//! answers.

use super::board::{Depth, SharedBoard};
use crate::crunch::Kind;
use crate::error::Error;
use crate::stop::Stop;
use crate::topology::{self, STATUS, spam_queue};
use leveret_client::{Channel, Connection, QueueDeclare};
use std::time::Duration;

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// Who looks.
pub(super) struct Depths {
    connection: Connection,
    channel: Channel,
    board: SharedBoard,
}

impl Depths {
    pub(super) async fn start(url: &str, board: SharedBoard) -> Result<Depths, Error> {
        let connection = topology::connect(url, "view").await?;
        let channel = connection.open_channel().await?;
        Ok(Depths { connection, channel, board })
    }

    /// Looks until `stop`.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn run(mut self, mut stop: Stop) -> Result<(), Error> {
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return Ok(self.connection.close().await?),
                looked = self.look() => looked?,
            }
            tokio::select! {
                biased;
                () = stop.asked() => return Ok(self.connection.close().await?),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        for kind in Kind::BOTH {
            if let Some(depth) = self.depth(kind.queue()).await? {
                self.board.open().lane_mut(kind).queue = depth;
            }
        }
        if let Some(depth) = self.depth(STATUS).await? {
            self.board.open().status.queue = depth;
        }
        let newest = self.board.open().spammers.newest.clone();
        let mut ready = 0;
        for warning in newest {
            ready += self.depth(&spam_queue(&warning.local_part)).await?.map_or(0, |depth| u64::from(depth.ready));
        }
        self.board.open().spammers.ready = ready;
        Ok(())
    }

    /// How full that queue is; nothing if it is not there, or may not be looked at.
    async fn depth(&mut self, queue: &str) -> Result<Option<Depth>, Error> {
        match self.channel.queue_declare(QueueDeclare::new(queue).passive()).await {
            Ok(status) => Ok(Some(Depth { ready: status.messages, consumers: status.consumers })),
            Err(_) if self.connection.is_open() => {
                self.channel = self.connection.open_channel().await?;
                Ok(None)
            }
            Err(why) => Err(why.into()),
        }
    }
}
