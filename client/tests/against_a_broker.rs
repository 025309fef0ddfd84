//! The client against a real broker, named by AMQP_URL. Without it every test returns at once.

use leveret_client::{
    Channel, Connection, Consume, Error, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, Options, Outcome, Publish,
    Qos, QueueBind, QueueDeclare, QueueDelete, Result, Scope, spec::TableBuf,
};

/// A connection to the broker under test, or the end of the test.
macro_rules! broker {
    () => {
        match std::env::var("AMQP_URL") {
            Ok(url) => Connection::open(&url).await?,
            Err(_) => return Ok(()),
        }
    };
}

/// A queue of this connection's own, with a name that the broker made up.
async fn private_queue(channel: &Channel) -> Result<String> {
    Ok(channel.queue_declare(QueueDeclare::new("").exclusive()).await?.name)
}

fn code<T>(result: &Result<T>) -> Option<u16> {
    result.as_ref().err().and_then(Error::code)
}

#[tokio::test]
async fn a_message_goes_through_a_queue_with_all_its_parts() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let mut consumer = channel.consume(Consume::new(&queue).tag("me")).await?;
    let headers = TableBuf::new().with("number", 7i32)?.with("text", "seven")?;
    let publish =
        Publish::to_queue(&queue).headers(&headers).content_type("text/plain").correlation_id("c").body("hello");
    channel.publish(publish).await?;

    let delivery = consumer.next().await.unwrap()?;
    assert_eq!((delivery.body(), delivery.body_bytes().as_ref()), (&b"hello"[..], &b"hello"[..]));
    assert_eq!((&*delivery.exchange(), &*delivery.routing_key()), ("", &*queue));
    assert_eq!((delivery.delivery_tag(), delivery.consumer_tag(), delivery.redelivered()), (1, "me", false));
    let properties = delivery.properties();
    assert_eq!(properties.content_type().map(|t| t.to_vec()), Some(b"text/plain".to_vec()));
    let found = properties.headers().unwrap();
    assert_eq!(found.lookup("number").and_then(|v| v.as_i64()), Some(7));
    assert_eq!(found.lookup("text").and_then(|v| v.as_str()), Some("seven"));
    delivery.ack().await?;
    assert!(channel.get(Get::new(&queue)).await?.is_none());
    connection.close().await
}

#[tokio::test]
async fn bodies_of_every_size_arrive_whole() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let mut consumer = channel.consume(Consume::new(&queue).no_ack()).await?;
    let frame = connection.frame_max() - 8;
    let sizes = [0, 1, 255, 4096, frame - 1, frame, frame + 1, 3 * frame + 17, 3 << 20];
    for (seed, &size) in sizes.iter().enumerate() {
        let body: Vec<u8> = (0..size).map(|n| (n * 31 + seed) as u8).collect();
        channel.publish(Publish::to_queue(&queue).body(&body)).await?;
        let delivery = consumer.next().await.unwrap()?;
        assert!(delivery.into_message().into_body() == body, "{size}");
    }
    connection.close().await
}

#[tokio::test]
async fn settlements_decide_what_comes_again() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    for body in ["a", "b", "c", "d", "e"] {
        assert!(channel.publish_confirmed(Publish::to_queue(&queue).body(body)).await?.is_acked());
    }
    let next = || channel.get(Get::new(&queue));
    next().await?.unwrap().ack().await?;
    next().await?.unwrap().nack(false).await?;
    next().await?.unwrap().reject(true).await?;
    let again = next().await?.unwrap();
    assert_eq!((again.body(), again.redelivered(), again.messages_left()), (&b"c"[..], true, Some(2)));
    next().await?.unwrap().ack_multiple().await?;
    let last = next().await?.unwrap();
    assert_eq!(last.body(), b"e");
    channel.recover(true).await?;
    assert!(next().await?.unwrap().redelivered());
    connection.close().await
}

#[tokio::test]
async fn a_confirmed_publish_resolves_to_what_became_of_it() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let full = QueueDeclare::new("").exclusive().argument("x-max-length", 1).argument("x-overflow", "reject-publish");
    let full = channel.queue_declare(full).await?.name;
    let mut outcomes = vec![];
    let nowhere = Publish::to_queue("leveret.no.such.queue").mandatory().body("lost");
    for publish in [Publish::to_queue(&full), nowhere, Publish::to_queue(&full).mandatory(), nowhere] {
        outcomes.push(channel.publish_watched(publish).await?);
    }
    let mut results = vec![];
    for outcome in outcomes {
        results.push(outcome.await?);
    }
    assert!(matches!((&results[0], &results[2]), (Outcome::Acked, Outcome::Nacked)), "{results:?}");
    for returned in [&results[1], &results[3]] {
        let Outcome::Returned(returned) = returned else { panic!("{results:?}") };
        assert_eq!((returned.code, returned.message.body()), (312, &b"lost"[..]));
    }
    connection.close().await
}

#[tokio::test]
async fn an_unwatched_mandatory_message_comes_back_on_the_returns_stream() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let mut returns = channel.returns();
    channel.publish(Publish::to_queue("leveret.no.such.queue").mandatory().body("lost")).await?;
    let returned = returns.next().await.unwrap()?;
    assert_eq!((returned.code, &*returned.text, returned.message.body()), (312, "NO_ROUTE", &b"lost"[..]));
    channel.close().await?;
    assert!(returns.next().await.is_none());
    connection.close().await
}

#[tokio::test]
async fn many_confirmed_publishes_may_be_under_way() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let mut confirms = vec![];
    for n in 0..20_000u32 {
        confirms.push(channel.publish_watched(Publish::to_queue(&queue).body(&n.to_be_bytes())).await?);
    }
    for confirm in confirms {
        assert!(confirm.await?.is_acked());
    }
    channel.all_confirmed().await?;
    assert_eq!(channel.queue_declare(QueueDeclare::new(&queue).passive()).await?.messages, 20_000);
    channel.qos(Qos::per_consumer(500)).await?;
    let mut consumer = channel.consume(Consume::new(&queue).keep_dropped()).await?;
    for n in 0..20_000u32 {
        let delivery = consumer.next().await.unwrap()?;
        assert_eq!(delivery.body(), n.to_be_bytes());
        if n % 100 == 99 {
            delivery.ack_multiple().await?;
        }
    }
    consumer.cancel().await?;
    assert!(consumer.next().await.is_none());
    connection.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_a_channel() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let mut consumer = channel.consume(Consume::new(&queue)).await?;
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let (channel, queue) = (channel.clone(), queue.clone());
            tokio::spawn(async move {
                for n in 0..500 {
                    let publish = Publish::to_queue(if n % 10 == 0 { "leveret.no.such.queue" } else { &queue });
                    let outcome = channel.publish_confirmed(publish.mandatory()).await?;
                    assert_eq!(outcome.is_acked(), n % 10 != 0);
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for _ in 0..4 * 450 {
        consumer.next().await.unwrap()?.ack().await?;
    }
    for publisher in publishers {
        publisher.await.unwrap()?;
    }
    connection.close().await
}

#[tokio::test]
async fn exchanges_bind_to_queues_and_to_each_other() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    // The name of the queue is unique, but begins with what exchanges may not.
    let unique = queue.trim_start_matches("amq.");
    let (topic, fanout) = (format!("{unique}.topic"), format!("{unique}.fanout"));
    channel.exchange_declare(ExchangeDeclare::new(&topic, "topic").auto_delete()).await?;
    channel.exchange_declare(ExchangeDeclare::new(&fanout, "fanout")).await?;
    channel.exchange_declare(ExchangeDeclare::new(&topic, "").passive()).await?;
    channel.exchange_bind(ExchangeBind::new(&topic, &fanout)).await?;
    channel.queue_bind(QueueBind::new(&queue, &topic).routing_key("a.*")).await?;
    for key in ["a.b", "b.b", "a.c"] {
        assert!(channel.publish_confirmed(Publish::to_exchange(&fanout, key)).await?.is_acked());
    }
    channel.exchange_unbind(ExchangeBind::new(&topic, &fanout)).await?;
    assert!(channel.publish_confirmed(Publish::to_exchange(&fanout, "a.d")).await?.is_acked());
    assert_eq!(channel.queue_purge(&queue).await?, 2);
    channel.queue_unbind(QueueBind::new(&queue, &topic).routing_key("a.*")).await?;
    channel.exchange_delete(ExchangeDelete::new(&fanout).if_unused()).await?;
    channel.publish(Publish::to_queue(&queue)).await?;
    assert_eq!(channel.queue_delete(QueueDelete::new(&queue)).await?, 1);
    connection.close().await
}

#[tokio::test]
async fn a_transaction_takes_effect_as_a_whole_or_not_at_all() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    channel.tx_select().await?;
    channel.publish(Publish::to_queue(&queue).body("no")).await?;
    channel.tx_rollback().await?;
    channel.publish(Publish::to_queue(&queue).body("yes")).await?;
    channel.tx_commit().await?;
    let got = channel.get(Get::new(&queue).no_ack()).await?.unwrap();
    assert_eq!((got.body(), got.messages_left()), (&b"yes"[..], Some(0)));
    assert_eq!(code(&channel.publish_confirmed(Publish::to_queue(&queue)).await), Some(406));
    connection.close().await
}

#[tokio::test]
async fn a_soft_error_closes_one_channel_and_everything_on_it() -> Result<()> {
    let connection = broker!();
    let (broken, other) = (connection.open_channel().await?, connection.open_channel().await?);
    let queue = private_queue(&other).await?;
    let mut consumer = broken.consume(Consume::new(&queue)).await?;
    let failed = broken.queue_declare(QueueDeclare::new("leveret.no.such.queue").passive()).await;
    let Err(Error::Closed { scope: Scope::Channel, code: 404, text, class_id: 50, method_id: 10 }) = failed else {
        panic!("{failed:?}")
    };
    assert!(text.contains("leveret.no.such.queue"), "{text}");
    assert_eq!(code(&consumer.next().await.unwrap()), Some(404));
    assert!(consumer.next().await.is_none());
    assert_eq!(code(&broken.publish(Publish::to_queue(&queue)).await), Some(404));
    assert_eq!(code(&broken.close().await), Some(404));
    assert!(!broken.is_open() && other.is_open());
    other.publish(Publish::to_queue(&queue)).await?;
    assert_eq!(connection.open_channel().await?.id(), broken.id());
    connection.close().await
}

#[tokio::test]
async fn an_unconfirmed_publish_ends_with_the_error_of_its_channel() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let outcome = channel.publish_confirmed(Publish::to_exchange("leveret.no.such.exchange", "")).await;
    assert_eq!(code(&outcome), Some(404), "{outcome:?}");
    connection.close().await
}

#[tokio::test]
async fn a_consumer_of_a_deleted_queue_ends_with_cancelled() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let mut consumer = channel.consume(Consume::new(&queue).tag("mine")).await?;
    channel.queue_delete(QueueDelete::new(&queue)).await?;
    let end = consumer.next().await.unwrap();
    assert!(matches!(&end, Err(Error::Cancelled { consumer_tag }) if consumer_tag == "mine"), "{end:?}");
    assert!(consumer.next().await.is_none());
    channel.close().await?;
    connection.close().await
}

#[tokio::test]
async fn a_dropped_consumer_gives_back_what_it_had_not_handed_out() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    for n in 0..10u8 {
        channel.publish(Publish::to_queue(&queue).body(&[n])).await?;
    }
    let mut consumer = channel.consume(Consume::new(&queue)).await?;
    let first = consumer.next().await.unwrap()?;
    drop(consumer);
    first.ack().await?;
    // Until the broker has taken note, the rest may still be on its way back; a new consumer gets it all the same.
    let mut consumer = channel.consume(Consume::new(&queue)).await?;
    let mut rest = vec![];
    while rest.len() < 9 {
        rest.push(consumer.next().await.unwrap()?.body()[0]);
    }
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    connection.close().await
}

#[tokio::test]
async fn closing_here_ends_streams_without_an_error() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let mut consumer = channel.consume(Consume::new(&queue)).await?;
    channel.close().await?;
    channel.close().await?;
    assert!(consumer.next().await.is_none());
    assert_eq!(code(&channel.publish(Publish::to_queue(&queue)).await), Some(200));
    let mut on_connection = connection.open_channel().await?.consume(Consume::new(&queue)).await?;
    connection.close().await?;
    connection.close().await?;
    assert!(on_connection.next().await.is_none());
    assert_eq!(code(&connection.open_channel().await), Some(200));
    Ok(())
}

#[tokio::test]
async fn a_consumer_keeps_its_channel_and_connection_alive() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let mut consumer = channel.consume(Consume::new(&queue)).await?;
    channel.publish(Publish::to_queue(&queue).body("still here")).await?;
    drop((channel, connection));
    let delivery = consumer.next().await.unwrap()?;
    delivery.ack().await?;
    assert_eq!(delivery.body(), b"still here");
    Ok(())
}

#[tokio::test]
async fn a_tag_serves_one_consumer_of_a_channel() -> Result<()> {
    let connection = broker!();
    let channel = connection.open_channel().await?;
    let queue = private_queue(&channel).await?;
    let first = channel.consume(Consume::new(&queue).tag("t")).await?;
    assert!(matches!(channel.consume(Consume::new(&queue).tag("t")).await, Err(Error::Usage(_))));
    first.cancel().await?;
    let second = channel.consume(Consume::new(&queue).tag("t")).await?;
    drop(first);
    second.cancel().await?;
    connection.close().await
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_vhost_are_told_apart() -> Result<()> {
    let connection = broker!();
    let Ok(url) = std::env::var("AMQP_URL") else { return Ok(()) };
    let address = url.rsplit('@').next().and_then(|rest| rest.split(['/', '?']).next()).unwrap().to_owned();
    let refused = Connection::open(&format!("amqp://guest:wrong@{address}")).await.unwrap_err();
    assert!(matches!(&refused, Error::Auth(text) if !text.is_empty()), "{refused:?}");
    let stream = tokio::net::TcpStream::connect(&address).await?;
    let unknown = Connection::over(stream, Options::default().vhost("leveret.no.such.vhost")).await.unwrap_err();
    assert!(matches!(unknown, Error::Refused { code: 530, .. }), "{unknown:?}");
    connection.close().await
}
