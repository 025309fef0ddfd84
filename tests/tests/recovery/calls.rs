//! Calls over direct reply-to.

use std::sync::Arc;

use leveret_client::{Delivery, Publish, QueueDeclare};
use leveret_tests::unique;
use tokio::sync::Notify;

use crate::setup::{break_once, channel, proxy, soon};

#[tokio::test]
async fn calls_under_way_fail_and_later_ones_are_answered_as_before() {
    let (chaos, queue) = (proxy(51), unique("calls"));
    let serving = channel(&chaos).await;
    soon(serving.queue_declare(QueueDeclare::new(&queue).auto_delete())).await.unwrap();
    let held = Arc::new(Notify::new());
    let (server, name, arrived) = (serving.clone(), queue.clone(), held.clone());
    tokio::spawn(async move {
        let handler = |request: Arc<Delivery>| {
            let arrived = arrived.clone();
            async move {
                if request.body() == b"hold" && !request.redelivered() {
                    arrived.notify_one();
                    std::future::pending::<()>().await;
                }
                Ok::<_, String>(request.body().to_ascii_uppercase())
            }
        };
        server.serve(&name, handler).await
    });
    let calling = channel(&chaos).await;
    let rpc = soon(calling.rpc()).await.unwrap();
    assert_eq!(soon(rpc.call(Publish::to_queue(&queue).body("one"))).await.unwrap().body(), b"ONE");
    for _ in 0..2 {
        let call = rpc.call(Publish::to_queue(&queue).body("hold"));
        let (called, ()) = tokio::join!(soon(call), async {
            soon(held.notified()).await;
            tokio::join!(break_once(&chaos, calling.connection()), async {
                let mut events = serving.connection().events();
                crate::setup::recovered(&mut events).await;
            });
        });
        let error = called.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(soon(rpc.call(Publish::to_queue(&queue).body("again"))).await.unwrap().body(), b"AGAIN");
    }
}
