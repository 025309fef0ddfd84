// cancel: a consumer ends because it wants to, because its queue is deleted, or because its channel is closed by an error.
package main

import (
	"errors"
	"fmt"

	"leveret/clients/broker"

	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	connection := broker.Connect()
	control := broker.Channel(connection)
	queue := broker.Fresh(control, "go.cancel")

	// By itself: what was delivered stays unsettled, and goes back when the channel says so.
	channel := broker.Channel(connection)
	deliveries := consume(channel, queue, "by-itself")
	publish(control, queue, "first")
	delivery := broker.Receive(deliveries, "the first message")
	broker.Must(channel.Cancel("by-itself", false))
	_, open := <-deliveries
	broker.Check(!open, "a delivery after the cancel")
	state, err := control.QueueDeclarePassive(queue, true, false, false, false, nil)
	broker.Must(err)
	broker.Check(state.Messages == 0 && state.Consumers == 0, "%d messages, %d consumers", state.Messages, state.Consumers)
	broker.Must(delivery.Reject(true))
	again := broker.Receive(consume(channel, queue, "again"), "the first message again")
	broker.Check(again.Redelivered && string(again.Body) == "first", "%s, redelivered: %v", again.Body, again.Redelivered)
	broker.Must(again.Ack(false))

	// By the broker: the queue goes away under its consumer, whose channel goes on.
	cancelled := channel.NotifyCancel(make(chan string, 1))
	_, err = control.QueueDelete(queue, false, false, false)
	broker.Must(err)
	tag := broker.Receive(cancelled, "the broker's cancel")
	broker.Check(tag == "again", "%s was cancelled", tag)
	queue = broker.Fresh(channel, queue)

	// By an error: an exclusive consumer keeps the others out, each with its own channel.
	broker.Must(channel.Qos(1, 0, false))
	_, err = channel.Consume(queue, "alone", false, true, false, false, nil)
	broker.Must(err)
	other := broker.Channel(connection)
	closed := other.NotifyClose(make(chan *amqp.Error, 1))
	_, err = other.Consume(queue, "", false, false, false, false, nil)
	var refused *amqp.Error
	broker.Check(errors.As(err, &refused) && refused.Code == amqp.AccessRefused, "not refused: %v", err)
	reason := broker.Receive(closed, "the close of the channel")
	broker.Check(reason.Code == amqp.AccessRefused && reason.Server, "closed with %v", reason)
	broker.Check(!channel.IsClosed() && !connection.IsClosed(), "more than one channel was closed")

	_, err = control.QueueDelete(queue, false, false, false)
	broker.Must(err)
	broker.Must(connection.Close())
	fmt.Println("consumers ended in three ways")
}

func consume(channel *amqp.Channel, queue, tag string) <-chan amqp.Delivery {
	deliveries, err := channel.Consume(queue, tag, false, false, false, false, nil)
	broker.Must(err)
	return deliveries
}

func publish(channel *amqp.Channel, queue, body string) {
	broker.Must(channel.Publish("", queue, false, false, amqp.Publishing{Body: []byte(body)}))
}
