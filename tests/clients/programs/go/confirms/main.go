// confirms: every message has a confirmation of its own to wait for, also when thousands are under way from many goroutines.
package main

import (
	"context"
	"fmt"
	"sync"

	"leveret/clients/broker"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	publishers = 8
	each       = 2500
)

func main() {
	connection := broker.Connect()
	channel := broker.Channel(connection)
	queue := broker.Fresh(channel, "go.confirms")
	broker.Must(channel.Confirm(false))

	// One by one.
	for n := 0; n < 50; n++ {
		broker.Check(publish(channel, queue, fmt.Sprint(n)).Wait(), "message %d was refused", n)
	}
	purged, err := channel.QueuePurge(queue, false)
	broker.Must(err)
	broker.Check(purged == 50, "%d messages instead of 50", purged)

	// In bulk: a channel for each publisher, and all confirmations are waited for at the end.
	var group sync.WaitGroup
	for publisher := 0; publisher < publishers; publisher++ {
		group.Add(1)
		go func(publisher int) {
			defer group.Done()
			bulk(connection, queue, publisher)
		}(publisher)
	}
	group.Wait()
	inOrder(channel, queue)
	_, err = channel.QueueDelete(queue, false, false, false)
	broker.Must(err)
	broker.Must(connection.Close())
	fmt.Println(publishers*each, "messages confirmed, all there and each publisher's in order")
}

func bulk(connection *amqp.Connection, queue string, publisher int) {
	channel := broker.Channel(connection)
	broker.Must(channel.Confirm(false))
	confirmations := make([]*amqp.DeferredConfirmation, each)
	for n := range confirmations {
		confirmations[n] = publish(channel, queue, fmt.Sprintf("%d %d", publisher, n))
	}
	ctx, cancel := context.WithTimeout(context.Background(), broker.Limit)
	defer cancel()
	for n, confirmation := range confirmations {
		acked, err := confirmation.WaitContext(ctx)
		broker.Must(err)
		broker.Check(acked, "message %d was refused", n)
		broker.Check(confirmation.DeliveryTag == uint64(n+1), "message %d has tag %d", n, confirmation.DeliveryTag)
	}
	broker.Must(channel.Close())
}

func publish(channel *amqp.Channel, queue, body string) *amqp.DeferredConfirmation {
	message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)}
	confirmation, err := channel.PublishWithDeferredConfirmWithContext(context.Background(), "", queue, false, false, message)
	broker.Must(err)
	return confirmation
}

func inOrder(channel *amqp.Channel, queue string) {
	deliveries, err := channel.Consume(queue, "", true, false, false, false, nil)
	broker.Must(err)
	next := [publishers]int{}
	for n := 0; n < publishers*each; n++ {
		var publisher, number int
		_, err := fmt.Sscan(string(broker.Receive(deliveries, "a message").Body), &publisher, &number)
		broker.Must(err)
		broker.Check(number == next[publisher], "%d of %d instead of %d", number, publisher, next[publisher])
		next[publisher]++
	}
}
