//! Lies that the protocol allows on one channel: the others go on as if nothing had been said.

use leveret_client::{Channel, Connection, Consume, Get, Options, Publish, Qos, QueueDeclare, Result};
use proptest::collection::vec;

use crate::broker::{self, Broker, Login};
use crate::lies::{self, Content, Lie, Said};
use crate::{check, heap, paused, seeds, watch};

/// What the neighbour does must work, whatever is said on the other channel before each step.
async fn neighbour(channel: &Channel, step: usize) -> Result<()> {
    match step % 4 {
        0 => assert_eq!(channel.queue_declare(QueueDeclare::new("q")).await?.messages, 1),
        1 => channel.publish_confirmed(Publish::to_queue("q").body("x")).await?.into_result()?,
        2 => assert_eq!(channel.get(Get::new("q")).await?.expect("the broker has one").body(), b"got"),
        _ => {
            channel.qos(Qos::per_consumer(3)).await?;
            let mut consumer = channel.consume(Consume::new("q").keep_dropped()).await?;
            for _ in 0..3 {
                assert_eq!(consumer.next().await.expect("the consumer runs")?.body(), b"work");
            }
            consumer.cancel().await?;
        }
    }
    Ok(())
}

/// The channel that is lied to, with something of everything under way.
async fn busy(channel: &Channel) -> Result<()> {
    let consumer = channel.consume(Consume::new("q").tag("t")).await?;
    let _returns = channel.returns();
    let confirms = [
        channel.publish_watched(Publish::to_queue("q").mandatory().body("x")).await?,
        channel.publish_watched(Publish::to_queue("q").mandatory().body("x")).await?,
    ];
    for confirm in confirms {
        let _ = confirm.await?;
    }
    drop(consumer);
    std::future::pending().await
}

async fn client(connection: Connection, says: &[Vec<Said>], broker: &mut Broker) -> Result<(), String> {
    let failed = |error| format!("{error}");
    let channels =
        async { Ok::<_, leveret_client::Error>((connection.open_channel().await?, connection.open_channel().await?)) };
    let (channels, ()) = tokio::join!(channels, broker.answer(2));
    let (lied_to, quiet) = channels.map_err(failed)?;
    let used = tokio::spawn(async move { busy(&lied_to).await });
    broker.answer(1).await;
    let mut told = true;
    for (step, says) in says.iter().enumerate() {
        for said in says {
            // Nothing may follow the close of a channel.
            if told {
                let content = said.method().row().content.then(|| Content::of(1));
                let lie = content.map_or(Lie::Said(1, said.clone()), |content| Lie::Content(1, said.clone(), content));
                broker.lie(&lie).await;
                told = said.method().row().name != "channel.Close";
                if !told {
                    broker.forget(1);
                }
            }
        }
        tokio::select! {
            done = neighbour(&quiet, step) => done.map_err(|error| format!("step {step}: {error}"))?,
            () = broker.answer_until_the_end() => return Err(format!("the client left in step {step}")),
        }
    }
    used.abort();
    let closed = async { connection.close().await.map_err(failed) };
    tokio::join!(closed, broker.answer_until_the_end()).0
}

fn unharmed(says: &[Vec<Said>]) -> Result<(), String> {
    let panics = watch::panics();
    paused().block_on(async {
        let (ours, mut broker) = broker::pipe();
        let login = Login::honest();
        let (connection, _) = tokio::join!(Connection::over(ours, Options::default()), broker.welcome(&login));
        let lived = client(connection.map_err(|error| error.to_string())?, says, &mut broker);
        tokio::time::timeout(crate::PATIENCE, lived).await.unwrap_or_else(|_| Err(String::from("somebody still waits")))
    })?;
    if watch::panics() > panics { Err(String::from("something panicked")) } else { Ok(()) }
}

#[test]
fn what_the_protocol_allows_on_one_channel_leaves_the_others_alone() {
    let _alone = heap::alone();
    check(seeds(0..500), &vec(vec(lies::allowed(), 0..4), 1..8), |says| unharmed(says));
}
