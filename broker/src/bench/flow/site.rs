//! The exchange, queues and bindings of a flow, and the routes through them.

use std::sync::Arc;

use leveret_client::spec::TableBuf;
use leveret_client::{Channel, Publish, QueueBind};

use super::plan::{Kind, Plan, share};
use crate::bench::target::Target;
use crate::bench::trouble::{Result, Trouble};

/// What was declared for a flow.
pub(crate) struct Site {
    pub(crate) target: Arc<Target>,
    pub(crate) plan: Plan,
    /// Empty for the default exchange.
    exchange: String,
    pub(crate) queues: Vec<String>,
    pub(crate) routes: Vec<Route>,
}

/// A way for messages to their queue, or with a fanout to all of them.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) queue: usize,
    key: String,
    headers: Option<TableBuf>,
}

impl Site {
    /// Declares everything.
    pub(crate) async fn build(target: &Arc<Target>, plan: Plan) -> Result<Arc<Site>> {
        plan.check()?;
        let channel = target.channel().await?;
        let queues: Vec<String> = (0..plan.queues).map(|i| target.name(&format!("{}.{i}", plan.name))).collect();
        for queue in &queues {
            target.declare_queue(&channel, queue, plan.terms.persistent).await?;
        }
        let routes = routes(&plan, &queues)?;
        let mut exchange = String::new();
        if plan.kind != Kind::Default {
            exchange = target.name(plan.name);
            target.declare_exchange(&channel, &exchange, plan.kind.name()).await?;
        }
        let site = Site { target: target.clone(), plan, exchange, queues, routes };
        site.bind(&channel).await?;
        channel.connection().close().await?;
        Ok(Arc::new(site))
    }

    async fn bind(&self, channel: &Channel) -> Result<()> {
        match self.plan.kind {
            Kind::Default => {}
            Kind::Fanout => {
                for queue in &self.queues {
                    channel.queue_bind(QueueBind::new(queue, &self.exchange)).await?;
                }
            }
            kind => {
                for (index, route) in self.routes.iter().enumerate() {
                    let Some(queue) = self.queues.get(route.queue) else { continue };
                    let pattern = if kind == Kind::Topic { pattern(index) } else { route.key.clone() };
                    let mut bind = QueueBind::new(queue, &self.exchange).routing_key(&pattern);
                    if let Some(headers) = &route.headers {
                        bind = bind.arguments(headers.clone());
                    }
                    channel.queue_bind(bind).await?;
                }
            }
        }
        Ok(())
    }

    /// A message without a body for each of a producer's routes, with the route's queue.
    pub(crate) fn publishes(&self, producer: usize) -> Vec<(usize, Publish<'_>)> {
        let mine = match self.plan.kind {
            Kind::Default => share(self.plan.queues, self.plan.producers, producer),
            // Everybody uses every binding, each beginning somewhere else.
            _ => (0..self.routes.len()).map(|i| (i + producer) % self.routes.len()).collect(),
        };
        let routes = mine.iter().filter_map(|&route| self.routes.get(route));
        routes.map(|route| (route.queue, self.publish(route))).collect()
    }

    fn publish<'a>(&'a self, route: &'a Route) -> Publish<'a> {
        let mut publish = Publish::to_exchange(&self.exchange, &route.key);
        if self.plan.terms.persistent {
            publish = publish.persistent();
        }
        match &route.headers {
            Some(headers) => publish.headers(headers),
            None => publish,
        }
    }
}

fn routes(plan: &Plan, queues: &[String]) -> Result<Vec<Route>> {
    let plain = |queue, key| Route { queue, key, headers: None };
    Ok(match plan.kind {
        Kind::Default => queues.iter().enumerate().map(|(queue, name)| plain(queue, name.clone())).collect(),
        Kind::Fanout => vec![plain(0, String::new())],
        Kind::Direct | Kind::Topic => bound(plan).map(|(queue, index)| plain(queue, key(index))).collect(),
        Kind::Headers => {
            let headers = |index| TableBuf::new().with("key", key(index).as_str());
            let route = |(queue, index)| Some(Route { queue, key: String::new(), headers: Some(headers(index).ok()?) });
            let routes: Option<Vec<Route>> = bound(plan).map(route).collect();
            routes.ok_or_else(|| Trouble::new("a header is too long"))?
        }
    })
}

/// The bindings, each with its queue; every queue has one.
fn bound(plan: &Plan) -> impl Iterator<Item = (usize, usize)> {
    let queues = plan.queues;
    (0..plan.bindings.max(queues)).map(move |index| (index % queues, index))
}

/// The routing key that only this binding takes.
fn key(index: usize) -> String {
    format!("bench.{index}.of.many")
}

/// The binding's pattern: a key as it is, one with a star and one with a hash take turns.
fn pattern(index: usize) -> String {
    match index % 3 {
        0 => key(index),
        1 => format!("bench.{index}.*.many"),
        _ => format!("bench.{index}.#"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::flow::plan::Terms;

    fn site(kind: Kind, producers: usize, queues: usize, bindings: usize) -> Site {
        let plan = Plan { kind, producers, queues, bindings, ..Plan::new("t", Terms::bare(16)) };
        let names: Vec<String> = (0..queues).map(|i| format!("q{i}")).collect();
        let routes = routes(&plan, &names).unwrap();
        let target = Arc::new(Target::new("amqp://localhost"));
        Site { target, plan, exchange: String::from("x"), queues: names, routes }
    }

    fn queues_of(site: &Site, producer: usize) -> Vec<usize> {
        site.publishes(producer).into_iter().map(|(queue, _)| queue).collect()
    }

    #[test]
    fn producers_share_the_queues_of_the_default_exchange() {
        let many = site(Kind::Default, 2, 5, 0);
        assert_eq!([queues_of(&many, 0), queues_of(&many, 1)], [vec![0, 2, 4], vec![1, 3]]);
        let few = site(Kind::Default, 3, 2, 0);
        assert_eq!([0, 1, 2].map(|producer| queues_of(&few, producer)), [[0], [1], [0]]);
    }

    #[test]
    fn every_producer_uses_every_binding() {
        for kind in [Kind::Direct, Kind::Topic, Kind::Headers] {
            assert_eq!(queues_of(&site(kind, 2, 2, 5), 1), [1, 0, 1, 0, 0]);
            assert_eq!(queues_of(&site(kind, 1, 3, 0), 0), [0, 1, 2]);
        }
        assert_eq!(queues_of(&site(Kind::Fanout, 2, 5, 0), 1), [0]);
    }

    #[test]
    fn a_headers_exchange_gets_headers_and_a_topic_exchange_patterns() {
        let site = site(Kind::Headers, 1, 1, 1);
        assert!(site.routes.iter().all(|route| route.headers.is_some() && route.key.is_empty()));
        assert_eq!([0, 1, 2].map(pattern), ["bench.0.of.many", "bench.1.*.many", "bench.2.#"]);
    }
}
