//! Bodies as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::delivery::Delivery;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::publishing::Publishing;

const JSON: &str = "application/json";

fn failed(error: serde_json::Error) -> Error {
    Error::Json(error.to_string())
}

impl Publishing<'_> {
    /// A value as the body, with content type `application/json`. What JSON cannot say, such as a map with keys that are
    /// no text, makes publishing fail with `Json`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use leveret_client::{Connection, Get, QueueDeclare};
    /// # let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
    /// # let connection = Connection::over(broker.connect(), Default::default()).await?;
    /// # let channel = connection.open_channel().await?;
    /// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    /// struct Order {
    ///     number: u32,
    /// }
    ///
    /// channel.queue_declare(QueueDeclare::new("orders")).await?;
    /// channel.publish_to_queue("orders").json(&Order { number: 7 }).await?;
    /// let order = channel.get(Get::new("orders")).await?.ok_or("no order")?;
    /// assert_eq!(order.json::<Order>()?, Order { number: 7 });
    /// order.ack().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.own_body = Some(body),
            Err(error) => self.error = Some(failed(error)),
        }
        self.content_type(JSON)
    }
}

impl Message {
    /// The body, read as JSON whatever the content type says.
    ///
    /// # Errors
    /// `Json`: it is no JSON, or not what the type asks for.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.body()).map_err(failed)
    }
}

impl Delivery {
    /// The body, read as JSON whatever the content type says.
    ///
    /// # Errors
    /// `Json`: it is no JSON, or not what the type asks for.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.body()).map_err(failed)
    }
}
