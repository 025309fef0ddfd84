// acks: consumers of one queue, each within its prefetch, settle many messages at once; what is nacked comes again.
package main

import (
	"context"
	"fmt"

	"leveret/clients/broker"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	count     = 6000
	prefetch  = 100
	consumers = 3
)

func main() {
	connection := broker.Connect()
	channel := broker.Channel(connection)
	queue := broker.Fresh(channel, "go.acks")
	broker.Must(channel.Confirm(false))
	var last *amqp.DeferredConfirmation
	for n := 0; n < count; n++ {
		var err error
		message := amqp.Publishing{Body: []byte(fmt.Sprint(n))}
		last, err = channel.PublishWithDeferredConfirmWithContext(context.Background(), "", queue, false, false, message)
		broker.Must(err)
	}
	broker.Check(last.Wait(), "the last message was refused")

	requeue(connection, queue)
	settled := make(chan []string, consumers)
	for n := 0; n < consumers; n++ {
		go func() { settled <- settle(broker.Channel(connection), queue) }()
	}
	seen := map[string]int{}
	for n := 0; n < consumers; n++ {
		for _, body := range broker.Receive(settled, "what a consumer settled") {
			seen[body]++
		}
	}
	for n := 0; n < count; n++ {
		broker.Check(seen[fmt.Sprint(n)] == 1, "message %d was settled %d times", n, seen[fmt.Sprint(n)])
	}
	left, err := channel.QueueDelete(queue, false, false, false)
	broker.Must(err)
	broker.Check(left == 0, "%d messages are left", left)
	broker.Must(connection.Close())
	fmt.Println(count, "messages settled once each by", consumers, "consumers")
}

// requeue nacks a whole window, which comes again in order; and leaves it to the end of its channel to give it back.
func requeue(connection *amqp.Connection, queue string) {
	channel := broker.Channel(connection)
	deliveries := consume(channel, queue)
	for round := 0; round < 2; round++ {
		for n := 0; n < prefetch; n++ {
			delivery := broker.Receive(deliveries, "a message")
			broker.Check(string(delivery.Body) == fmt.Sprint(n), "%s instead of %d", delivery.Body, n)
			broker.Check(delivery.Redelivered == (round == 1), "redelivered: %v in round %d", delivery.Redelivered, round)
			if n == prefetch-1 && round == 0 {
				broker.Must(delivery.Nack(true, true))
			}
		}
	}
	broker.Must(channel.Close())
}

// settle takes its part of the messages and acks ten of them at a time; what came beyond that goes back to the queue.
func settle(channel *amqp.Channel, queue string) (bodies []string) {
	deliveries := consume(channel, queue)
	for len(bodies) < count/consumers {
		delivery := broker.Receive(deliveries, "a message")
		bodies = append(bodies, string(delivery.Body))
		if len(bodies)%10 == 0 {
			broker.Must(delivery.Ack(true))
		}
	}
	broker.Must(channel.Cancel("settler", false))
	var rest amqp.Delivery
	for rest = range deliveries {
	}
	if rest.Acknowledger != nil {
		broker.Must(rest.Nack(true, true))
	}
	broker.Must(channel.Close())
	return bodies
}

func consume(channel *amqp.Channel, queue string) <-chan amqp.Delivery {
	broker.Must(channel.Qos(prefetch, 0, false))
	deliveries, err := channel.Consume(queue, "settler", false, false, false, false, nil)
	broker.Must(err)
	return deliveries
}
